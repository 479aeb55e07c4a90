"""`evaluate` and `evaluate compare`."""
