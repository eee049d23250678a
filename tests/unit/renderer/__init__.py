"""The embedded renderer."""
