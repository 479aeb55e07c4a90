"""pix2pix (CVPR 2017)."""
