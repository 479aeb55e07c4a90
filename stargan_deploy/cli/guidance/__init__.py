"""What to type: completion in the shell, and the command that follows the one just done."""
