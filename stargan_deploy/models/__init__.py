"""Networks, one family a file, and the checkpoints that hold them."""
