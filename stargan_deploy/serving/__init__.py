"""An HTTP service of models: batching, protocols, limits and the page."""
