"""Refusals have a stable code, a whole sentence and something to do."""

from __future__ import annotations

import pytest

from media.verdicts import Code, IntakeLimits, refuse, size_refusal

VALUES: dict[str, int | str] = {"found": 1, "limit": 2, "width": 3, "height": 4}


@pytest.mark.parametrize("code", Code)
def test_every_code_has_its_sentences(code: Code) -> None:
    """A code without words would leave a user with a word in capitals."""
    refusal = refuse(code, **VALUES)

    assert refusal.code == code.name == code.value
    assert refusal.reason.endswith(".")
    assert refusal.hint.endswith(".")
    assert "{" not in refusal.reason + refusal.hint


def test_the_codes_are_the_published_ones() -> None:
    """Clients compare them; taking one away or renaming it breaks them."""
    assert set(Code) >= {
        "EMPTY_FILE",
        "NOT_A_VIDEO",
        "NO_PICTURE",
        "TRUNCATED",
        "ZERO_SIZE",
        "TOO_LONG",
        "TOO_LARGE",
        "TOO_MANY_PIXELS",
        "TOO_FEW_FRAMES",
        "UNREADABLE",
        "TIMED_OUT",
    }


@pytest.mark.parametrize(
    ("size", "code"), [(0, "EMPTY_FILE"), (1, None), (100, None), (101, "TOO_LARGE")]
)
def test_the_size_alone_can_refuse(size: int, code: str | None) -> None:
    """A file that is too large is refused before a byte of it is fetched."""
    refusal = size_refusal(size, IntakeLimits(max_bytes=100))

    assert (refusal.code if refusal else None) == code
