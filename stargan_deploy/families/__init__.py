"""Model families: networks, entry points, objectives and presets."""
