"""Layouts of data sets, one a module."""
