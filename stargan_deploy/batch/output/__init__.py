"""Pages and sheets made of the translated images."""
