"""Data sets: where training images and labels come from."""
