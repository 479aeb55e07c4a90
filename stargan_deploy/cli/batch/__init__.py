"""`batch` and `sample`."""
