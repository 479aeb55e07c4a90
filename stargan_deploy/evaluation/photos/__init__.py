"""Held-out photos, and their way through the pipeline."""
