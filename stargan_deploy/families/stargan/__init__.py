"""StarGAN (CVPR 2018)."""
