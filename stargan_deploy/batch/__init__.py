"""Folders of photos: a job, its pipeline, and its resumption."""
