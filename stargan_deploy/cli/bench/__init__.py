"""`bench` and `bench compare`."""
