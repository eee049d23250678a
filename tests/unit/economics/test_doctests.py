"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import economics

MODULES = [f"economics.{each.name}" for each in pkgutil.iter_modules(economics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    """An example that no longer holds misleads whoever trusts it most."""
    failed, _ = doctest.testmod(importlib.import_module(name))

    assert failed == 0
