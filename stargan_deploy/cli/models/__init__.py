"""Commands about checkpoints and artefacts."""
