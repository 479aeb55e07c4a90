"""Progressive GAN (ICLR 2018)."""
