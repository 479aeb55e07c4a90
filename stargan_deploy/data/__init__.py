"""Data sets as labelled images, and the way from there to batches."""
