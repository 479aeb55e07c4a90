"""Translating in a style that is drawn, found in a reference, or given."""
