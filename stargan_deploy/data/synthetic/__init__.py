"""Synthetic faces, drawn without any data."""
