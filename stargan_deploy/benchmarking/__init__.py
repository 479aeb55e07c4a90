"""Measuring models and trainings."""
