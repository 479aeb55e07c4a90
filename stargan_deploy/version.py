"""The version of the package, which cards, caches and manifests record."""

__version__ = "0.1.0"
