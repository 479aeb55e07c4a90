"""Measuring time, memory and throughput."""
