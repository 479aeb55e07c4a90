"""Looking at a data set before training, and downloading one."""
