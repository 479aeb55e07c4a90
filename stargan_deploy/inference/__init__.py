"""Choosing a model and running it on images in memory."""
