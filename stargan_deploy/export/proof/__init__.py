"""The proof that an artefact equals PyTorch."""
