"""From a data set to batches of tensors."""
