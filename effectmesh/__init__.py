"""The composition root: the command line, the settings, the embedded servers, the demo."""

__version__ = "0.1.0"
