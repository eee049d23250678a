"""Step 1: uploads are looked at, refused or normalised. Start with ``actor.py``."""
