"""Training: what is optimised (objectives), how (trainer), and what a run leaves behind."""
