"""CycleGAN (ICCV 2017)."""
