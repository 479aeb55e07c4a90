"""A classifier of attributes or domains: the independent judge of translated images."""
