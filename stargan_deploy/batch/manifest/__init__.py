"""The record of every photo that a batch has finished."""
