"""`stargan-deploy serve`."""
