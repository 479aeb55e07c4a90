"""PyTorch through torch.compile."""
