"""The page: how it is built, and what its sources promise."""
