"""PyTorch, as the checkpoint stands."""
