"""Training a small network after a large one."""
