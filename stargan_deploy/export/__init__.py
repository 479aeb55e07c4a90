"""Exports: planned, written, proven, cached."""
