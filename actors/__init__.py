"""Ten modules, one package each. They meet only on the bus. ``runtime`` carries them."""
