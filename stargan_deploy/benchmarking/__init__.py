"""Benchmarks of every backend, of training and of batches."""
