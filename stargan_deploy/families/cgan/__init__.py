"""Conditional GAN (2014)."""
