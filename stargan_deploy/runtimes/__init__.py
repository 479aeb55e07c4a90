"""Engines that run an artefact, all behind `runtimes.base.Runtime`."""
