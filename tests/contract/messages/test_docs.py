"""docs/events.md is what the declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest

from effectmesh import docs
from subjects.build import ADDRESSEE, ANSWERER, OWNER

REPOSITORY = Path(__file__).parents[3]


def test_the_page_is_up_to_date() -> None:
    """Somebody who subscribes reads this page, not the source; ``python -m effectmesh.docs``."""
    assert docs.main(["--check"], target=REPOSITORY / docs.PAGE) == 0


def test_an_old_page_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or nobody would notice."""
    target = tmp_path / "events.md"
    assert docs.main([], target=target) == 0
    target.write_text(target.read_text(encoding="utf-8").replace("approval", "approvals"))

    assert docs.main(["--check"], target=target) == docs.FAILED
    assert "python -m effectmesh.docs" in capsys.readouterr().err


def test_a_missing_page_fails_the_check(tmp_path: Path) -> None:
    """A fresh clone without it is as wrong as an old one."""
    assert docs.main(["--check"], target=tmp_path / "events.md") == docs.FAILED


def test_everything_that_is_said_or_asked_stands_on_the_page() -> None:
    """A message nobody reads about is a message nobody hears."""
    page = docs.page()

    missing = [
        kind.__name__
        for kind in (*OWNER, *ADDRESSEE, *ANSWERER)
        if f"\n### {kind.__name__}\n" not in page
    ]
    assert missing == []
