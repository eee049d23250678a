"""Whether a clip may go on: what was seen in it, what is on a list, and the policy over both.

Pure; imports no decoder. The scores come from ``media.nudity``, the list from whoever keeps one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

from media.likeness import FINGERPRINT, NEAR, distance

Score = Annotated[float, Meta(ge=0, le=1)]
MAX_ENTRIES: Final = 100_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Outcome(StrEnum):
    """What screening comes to."""

    PASSED = "passed"
    HELD = "held"
    """An admin must look at it first."""
    BLOCKED = "blocked"


class ScreeningPolicy(Struct, frozen=True, kw_only=True):
    """From which score on a clip is held, or blocked. A single picture never blocks."""

    hold_at: Score = 0.5
    block_at: Score = 0.8
    pictures_to_block: Annotated[int, Meta(ge=1)] = 2
    hold_unscreened: bool = False
    """Whether a clip that no model looked at waits for an admin."""


class Screening(Struct, frozen=True, kw_only=True):
    """What screening came to, and why."""

    outcome: Outcome
    why: str = ""
    nudity: tuple[float, ...] | None = None


class HashList(Protocol):
    """Clips that somebody decided nobody may use."""

    async def match(self, content_hash: str, fingerprint: str) -> str:
        """Return the label of the entry that matches, empty when none does."""
        ...


class NoHashList:
    """Matches nothing."""

    async def match(self, content_hash: str, fingerprint: str) -> str:
        """Return nothing."""
        del content_hash, fingerprint
        return ""


class BadHashListError(ValueError):
    """A line of a hash list is no entry."""

    def __init__(self, number: int, line: str) -> None:
        super().__init__(f"line {number} of the hash list is no entry: {line[:80]!r}")
        self.number = number


class FileHashList:
    """A text file: on each line a SHA-256 or a fingerprint, a space, and a label.

    Empty lines and those that start with ``#`` are passed over.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._exact: dict[str, str] = {}
        self._near: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            self._take(number, line.strip())

    @classmethod
    def read(cls, path: Path) -> FileHashList:
        """Return the list in a file.

        Raises:
            BadHashListError: a line is no entry, or there are too many.
        """
        with path.open(encoding="utf-8") as lines:
            return cls(lines)

    async def match(self, content_hash: str, fingerprint: str) -> str:
        """Return the label of the entry that matches, empty when none does."""
        if content_hash in self._exact:
            return self._exact[content_hash]
        return next(
            (label for known, label in self._near.items() if distance(known, fingerprint) <= NEAR),
            "",
        )

    def _take(self, number: int, line: str) -> None:
        if not line or line.startswith("#"):
            return
        entry, _, label = line.partition(" ")
        full = len(self._exact) + len(self._near) >= MAX_ENTRIES
        if _SHA256.fullmatch(entry) and not full:
            self._exact[entry] = label.strip() or "listed"
        elif FINGERPRINT.fullmatch(entry) and not full:
            self._near[entry] = label.strip() or "listed"
        else:
            raise BadHashListError(number, line)


def screened(
    policy: ScreeningPolicy, nudity: tuple[float, ...] | None, *, listed: str
) -> Screening:
    """Return what the policy makes of the scores and of the list's answer."""
    if listed:
        return Screening(outcome=Outcome.BLOCKED, why=f"on the list: {listed}", nudity=nudity)
    if nudity is None:
        outcome = Outcome.HELD if policy.hold_unscreened else Outcome.PASSED
        return Screening(outcome=outcome, why="no model looked at it")
    if sum(score >= policy.block_at for score in nudity) >= policy.pictures_to_block:
        return Screening(
            outcome=Outcome.BLOCKED, why=f"nudity, score {max(nudity):.2f}", nudity=nudity
        )
    if any(score >= policy.hold_at for score in nudity):
        return Screening(
            outcome=Outcome.HELD, why=f"perhaps nudity, score {max(nudity):.2f}", nudity=nudity
        )
    return Screening(outcome=Outcome.PASSED, nudity=nudity)
