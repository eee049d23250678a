"""What a broker must be before anything is looked up on it."""

from __future__ import annotations

from typing import Any

import pytest

from actors.runtime import provision
from actors.runtime.errors import AskError
from actors.runtime.provision import JetStreamOffError, OldServerError
from subjects.topology import Topology

NOTHING = Topology(streams=(), consumers=(), buckets=())


class _Bus:
    """A broker of some version, which may not answer."""

    def __init__(self, version: str, *, answers: bool = True, alive: bool = True) -> None:
        self.server_version = version
        self.alive = alive
        self._answers = answers

    async def api(self, call: str) -> dict[str, Any]:
        """Answer, or stay silent."""
        if not self._answers:
            raise AskError(f"nobody answers {call}")
        return {}


@pytest.mark.parametrize("version", ["2.10.29", "2.13.9", "1.99.0", "2.9.0-beta.1"])
async def test_an_old_broker_is_refused(version: str) -> None:
    """It would take the streams and never fire a timer."""
    with pytest.raises(OldServerError, match=rf"{version} is too old.*2\.14"):
        await provision.plan(_Bus(version), NOTHING)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["2.14.0", "2.15.1", "2.100.0", "2.14.0-RC.1", "3.0.0"])
async def test_a_newer_broker_is_taken(version: str) -> None:
    """2.100 is newer than 2.14, and so is 3.0."""
    assert await provision.plan(_Bus(version), NOTHING) == []  # type: ignore[arg-type]


async def test_a_broker_that_is_away_is_not_one_without_jetstream() -> None:
    """The advice would be wrong: its configuration is fine."""
    with pytest.raises(AskError):
        await provision.plan(
            _Bus("2.15.1", answers=False, alive=False),  # type: ignore[arg-type]
            NOTHING,
        )
    with pytest.raises(JetStreamOffError):
        await provision.plan(_Bus("2.15.1", answers=False), NOTHING)  # type: ignore[arg-type]
