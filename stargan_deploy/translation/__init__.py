"""Translating images: in memory, by the folder, and as pages to look at."""
