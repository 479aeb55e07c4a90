"""Baselines that others are measured against."""
