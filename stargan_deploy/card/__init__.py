"""The model card: what every later command must know about a model, and its tensors and labels."""
