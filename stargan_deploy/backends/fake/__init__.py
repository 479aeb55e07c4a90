"""A runtime without a network, for tests."""
