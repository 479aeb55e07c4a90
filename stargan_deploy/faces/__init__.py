"""Finding faces, aligning them, and blending them back."""
