"""`data check` and `data download`."""
