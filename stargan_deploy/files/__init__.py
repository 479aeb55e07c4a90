"""Files: written atomically, read as images, hashed, and found again."""
