"""Requests of many clients in the batches of one engine."""
