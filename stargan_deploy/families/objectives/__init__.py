"""The base class of objectives, and parts that several of them share."""
