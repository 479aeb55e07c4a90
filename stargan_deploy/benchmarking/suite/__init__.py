"""The candidates of a benchmark, and the run that measures them."""
