"""What an endpoint did is counted, and nothing about it is changed by the counting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import msgspec
import pytest
from msgspec import Struct

from actors.runtime.contract import GiveUp, TryLater
from actors.runtime.micro import ERROR_CHARACTERS, Meter
from schemas.asks import JobFound, ListJobs
from schemas.base import TenantId
from schemas.commands import Wake
from tests.unit.runtime.fakes import wake


class _Actor:
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def receive(self, heard: Wake) -> Sequence[Any]:
        """Say what was heard, or raise."""
        await anyio.lowlevel.checkpoint()
        if self._error:
            raise self._error
        return [heard]

    async def answer(self, question: Struct) -> Struct:
        """Answer, or raise."""
        if self._error:
            raise self._error
        return JobFound()


async def test_what_is_said_goes_through_unchanged() -> None:
    """A meter that swallows a word would lose a job."""
    meter = Meter()

    assert await meter.receiving(_Actor().receive)(wake("evt_1")) == [wake("evt_1")]
    assert (meter.requests, meter.errors, meter.under_way) == (1, 0, 0)
    assert meter.spent_ns > 0


@pytest.mark.parametrize(
    ("error", "errors"),
    [(TryLater("not yet"), 0), (GiveUp("never"), 1), (KeyError("job_1"), 1)],
    ids=["put off", "given up", "a bug"],
)
async def test_a_failure_is_counted_and_raised(error: Exception, errors: int) -> None:
    """Whether a message is put off, buried or tried again depends on it."""
    meter = Meter()

    with pytest.raises(type(error)):
        await meter.receiving(_Actor(error).receive)(wake("evt_1"))

    assert (meter.requests, meter.errors, meter.under_way) == (1, errors, 0)
    assert bool(meter.last_error) == bool(errors)


async def test_what_was_cancelled_is_no_longer_under_way() -> None:
    """After a drain that ran out of time the numbers must still add up."""
    meter = Meter()

    async def stuck(_: Any) -> Sequence[Any]:
        await anyio.sleep_forever()
        return ()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(meter.receiving(stuck), wake("evt_1"))
        while not meter.under_way:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    assert (meter.requests, meter.errors, meter.under_way) == (1, 0, 0)


def test_what_cannot_be_read_is_counted_and_raised() -> None:
    """It is buried before it comes to the actor."""
    meter = Meter()
    decoder = meter.decoding(msgspec.json.Decoder(Wake))

    with pytest.raises(msgspec.DecodeError):
        decoder.decode(b"garbage")

    assert (meter.requests, meter.errors) == (1, 1)
    assert "malformed" in meter.last_error


def test_what_can_be_read_is_counted_when_it_is_answered() -> None:
    """Else every message would count twice."""
    meter = Meter()

    heard = meter.decoding(msgspec.json.Decoder(Wake)).decode(msgspec.json.encode(wake("evt_1")))

    assert heard == wake("evt_1")
    assert meter.requests == 0


async def test_questions_are_counted_too() -> None:
    """They are half of what some modules do."""
    meter = Meter()
    question = ListJobs(tenant_id=TenantId("tnt_1"))

    assert await meter.answering(_Actor()).answer(question) == JobFound()
    with pytest.raises(ValueError, match="x"):
        await meter.answering(_Actor(ValueError("x" * 10_000))).answer(question)

    assert (meter.requests, meter.errors) == (2, 1)
    assert len(meter.last_error) == ERROR_CHARACTERS
