"""Content Analysis with real servers and real footage."""
