"""Photos as files: listed, read, named."""
