"""Backends: what an artefact is exported to and run with."""
