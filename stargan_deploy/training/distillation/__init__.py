"""Opens the teacher of a distillation, and writes the recipe of its student."""
