"""Turns checkpoints into artefacts, and proves each artefact against PyTorch before it appears."""
