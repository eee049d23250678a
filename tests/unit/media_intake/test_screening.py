"""The policy over scores and lists."""

from __future__ import annotations

import pytest

from media.screening import BadHashListError, FileHashList, Outcome, ScreeningPolicy, screened

HASH, LOOK = "ab" * 32, "5" * 128


@pytest.mark.parametrize(
    ("nudity", "outcome"),
    [
        ((0.0, 0.49), Outcome.PASSED),
        ((0.0, 0.5), Outcome.HELD),
        ((0.0, 0.99), Outcome.HELD),
        ((0.8, 0.79), Outcome.HELD),
        ((0.8, 0.8), Outcome.BLOCKED),
        ((), Outcome.PASSED),
        (None, Outcome.PASSED),
    ],
)
def test_one_picture_never_blocks(nudity: tuple[float, ...] | None, outcome: Outcome) -> None:
    """The model scores cartoons too; a person decides what is doubtful."""
    assert screened(ScreeningPolicy(), nudity, listed="").outcome is outcome


def test_the_list_goes_before_the_model() -> None:
    """And says which entry it was, to the admin."""
    found = screened(ScreeningPolicy(), (0.0,), listed="case 7")

    assert (found.outcome, found.why) == (Outcome.BLOCKED, "on the list: case 7")


async def test_a_list_matches_bytes_and_looks() -> None:
    """A line is a SHA-256 or a fingerprint, and a label."""
    listed = FileHashList(["# case files", "", f"{HASH} one", LOOK])

    assert await listed.match(HASH, "") == "one"
    assert await listed.match("", "5" * 126 + "44") == "listed"
    assert await listed.match("cd" * 32, "a" * 128) == ""
    assert await listed.match("", "") == ""


@pytest.mark.parametrize("line", ["nonsense", HASH[:-1], HASH.upper(), LOOK + "5"])
def test_a_line_that_is_no_entry_is_refused(line: str) -> None:
    """Half a list is worse than none that says so."""
    with pytest.raises(BadHashListError, match="line 2"):
        FileHashList([HASH, line])
