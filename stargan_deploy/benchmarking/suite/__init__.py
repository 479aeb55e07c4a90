"""What a benchmark compares, and how a run measures it."""
