"""How the module is built from settings, and that its examples run."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from actors.prompt_generation import parameters, ranking, words
from actors.runtime.contract import FrozenClock
from effectmesh.processes.prompts import PromptCare
from effectmesh.settings import SettingError, read

NOWHERE = cast("Any", object())
"""A bus and a pool that nobody uses while things are only built."""


def care(tmp_path: Path, **changes: str) -> PromptCare:
    """Return the module as these settings ask for it."""
    variables = {f"EFFECTMESH_REWRITER_{name.upper()}": each for name, each in changes.items()}
    settings = read({"EFFECTMESH_HOME": str(tmp_path), **variables})
    return PromptCare(settings, bus=NOWHERE, pool=NOWHERE, clock=FrozenClock())


def test_nobody_rewrites_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Words of users leave the platform only when an operator says so."""
    names = [name for name, _ in care(tmp_path).parts()]

    assert "ranking of prompts" in names
    assert "line to the rewriter" not in names


def test_a_rewriter_without_a_model_is_refused(tmp_path: Path) -> None:
    """Better at start than at every job."""
    with pytest.raises(SettingError, match="REWRITER_MODEL"):
        care(tmp_path, url="http://127.0.0.1:1/v1")


def test_a_key_s_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Without the key every job would be refused by the server."""
    with pytest.raises(SettingError, match="KEY_FILE"):
        care(tmp_path, url="http://127.0.0.1:1/v1", model="m", key_file=str(tmp_path / "none"))


async def test_a_rewriter_s_line_is_a_part_of_its_own(tmp_path: Path) -> None:
    """It is closed when the process ends."""
    (tmp_path / "key").write_text("secret\n")
    built = care(tmp_path, url="http://127.0.0.1:1/v1", model="m", key_file=str(tmp_path / "key"))

    assert "line to the rewriter" in [name for name, _ in built.parts()]
    assert built._line is not None
    assert built._line.key == "secret"
    await built._line.client.aclose()


@pytest.mark.parametrize("module", [words, parameters, ranking], ids=lambda each: each.__name__)
def test_the_examples_in_the_docstrings_run(module: ModuleType) -> None:
    """They are what is read first."""
    failed, tried = doctest.testmod(module)

    assert tried
    assert failed == 0
