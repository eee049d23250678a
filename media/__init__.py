"""Pixels: stores, probing, normalising, what is in a clip, and how good a result is."""
