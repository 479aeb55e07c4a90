"""What is measured in photos and their translations: labels, pixels, faces, features."""
