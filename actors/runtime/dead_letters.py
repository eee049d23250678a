"""Reads, replays and drops dead letters.

A replay publishes the original body on the original subject under an id that names the letter, and
only then takes the letter away. Whatever breaks in between, the letter is still there, and a
second replay is dropped by the stream as a repeat.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from actors.runtime.answering import DeadLetter
from actors.runtime.bus import Bus
from actors.runtime.envelope import UNREADABLE
from actors.runtime.errors import ApiError, BusError
from actors.runtime.provision import STREAM_NOT_FOUND
from actors.runtime.wire import MSG_ID
from schemas.base import Module
from subjects import build
from subjects.topology import CMD, DLQ, EVT, TIMER

EXPECTED_STREAM: Final = "Nats-Expected-Stream"
REPLAYABLE: Final = (EVT, CMD, TIMER)
"""Streams of messages. A saga record replayed would be the newest state of its job."""
NO_LETTER: Final = "no letter"
"""The reason of something in ``DLQ`` that nobody buried there."""

_ANY: Final = ">"
_NO_MESSAGE: Final = 10037
_OF_THE_SERVER: Final = "nats-"
_LOST: Final = "\N{REPLACEMENT CHARACTER}"
_TRACEPARENT_PARTS: Final = 4


class NoLetterError(BusError):
    """There is no dead letter of that number."""

    def __init__(self, sequence: int, *, last: int) -> None:
        kept_before = 0 < sequence <= last
        why = "it was replayed, dropped or too old" if kept_before else f"the last one is {last}"
        super().__init__(f"there is no dead letter {sequence}: {why}")
        self.kept_before = kept_before
        """True when the number was given out: what is asked for may be done already."""


class NoLettersError(BusError):
    """The broker keeps no dead letters."""

    def __init__(self) -> None:
        super().__init__(f"the broker has no stream {DLQ}; run: effectmesh topology apply")


class NotReplayableError(BusError):
    """A letter cannot become its message again."""

    def __init__(self, sequence: int, why: str) -> None:
        super().__init__(f"dead letter {sequence} cannot be replayed: {why}")


class Kept(Struct, frozen=True, kw_only=True):
    """One dead letter and where it lies."""

    sequence: int
    """Its number in ``DLQ``."""
    at: datetime
    trace_id: str
    letter: DeadLetter


class Replayed(Struct, frozen=True, kw_only=True):
    """Where a replayed message went."""

    letter: int
    subject: str
    stream: str
    sequence: int
    repeated: bool
    """True when the stream had this replay already, so nothing is done twice."""


class DeadLetters:
    """The dead letters of one broker."""

    def __init__(self, *, bus: Bus) -> None:
        self._bus = bus

    async def counts(self) -> Mapping[str, int]:
        """Return how many letters each module has.

        Raises:
            NoLettersError: there is no such stream.
        """
        state = await self._state({"subjects_filter": _ANY})
        found: dict[str, int] = state.get("subjects") or {}
        return {subject.split(".", 1)[1]: count for subject, count in sorted(found.items())}

    async def newest(self, *, limit: int, module: Module | None = None) -> Sequence[Kept]:
        """Return the last letters, oldest first.

        Raises:
            NoLettersError: there is no such stream.
        """
        state = await self._state()
        first, upper, span = state["first_seq"], state["last_seq"], limit
        found: list[Kept] = []
        # Sequences have gaps and the server seeks forward only: look at the end, then before it.
        while upper >= first and len(found) < limit:
            lower = max(first, upper - span + 1)
            found[:0] = [each async for each in self._between(lower, upper, module)]
            upper, span = lower - 1, span * 2
        return found[-limit:]

    async def every(self, *, module: Module | None = None) -> AsyncIterator[Kept]:
        """Yield the letters there are now, oldest first; those that come meanwhile are not.

        Raises:
            NoLettersError: there is no such stream.
        """
        state = await self._state()
        async for each in self._between(state["first_seq"], state["last_seq"], module):
            yield each

    async def find(self, sequence: int) -> Kept:
        """Return one letter.

        Raises:
            NoLetterError: it is not there, any more or yet.
            NoLettersError: there is no such stream.
        """
        found = await self._get({"seq": sequence})
        if found is None:
            raise NoLetterError(sequence, last=(await self._state())["last_seq"])
        return found

    async def replay(self, kept: Kept) -> Replayed:
        """Say a letter's message again and, once it is stored, take the letter away.

        Raises:
            NotReplayableError: the letter does not hold the message, or it is none.
            BusError: it could not be stored; the letter is still there.
        """
        if why := refusal(kept.letter):
            raise NotReplayableError(kept.sequence, why)
        letter = kept.letter
        ack = await self._bus.publish(letter.subject, letter.body.encode(), _headers(kept))
        await self.drop(kept.sequence)
        return Replayed(
            letter=kept.sequence,
            subject=letter.subject,
            stream=ack.stream,
            sequence=ack.seq,
            repeated=ack.duplicate,
        )

    async def drop(self, sequence: int) -> bool:
        """Take a letter away; tell whether it was there.

        Raises:
            NoLettersError: there is no such stream.
        """
        try:
            await self._api("STREAM.MSG.DELETE", {"seq": sequence, "no_erase": True})
        except ApiError:
            # The server has several codes for what is not there.
            if await self._get({"seq": sequence}) is not None:
                raise
            return False
        return True

    async def _between(self, lower: int, upper: int, module: Module | None) -> AsyncIterator[Kept]:
        subject = build.dead_letter(module) if module else _ANY
        while lower <= upper:
            found = await self._get({"seq": lower, "next_by_subj": subject})
            if found is None or found.sequence > upper:
                return
            yield found
            lower = found.sequence + 1

    async def _get(self, which: Mapping[str, object]) -> Kept | None:
        try:
            answer = await self._api("STREAM.MSG.GET", which)
        except ApiError as refused:
            if refused.code == _NO_MESSAGE:
                return None
            raise
        return _opened(answer["message"])

    async def _state(self, body: object = None) -> dict[str, Any]:
        state: dict[str, Any] = (await self._api("STREAM.INFO", body))["state"]
        return state

    async def _api(self, call: str, body: object) -> dict[str, Any]:
        try:
            return await self._bus.api(f"{call}.{DLQ}", body)
        except ApiError as refused:
            if refused.code == STREAM_NOT_FOUND:
                raise NoLettersError from None
            raise


def refusal(letter: DeadLetter) -> str:
    """Return why a letter cannot be replayed, or nothing."""
    if letter.reason == NO_LETTER:
        return "somebody published it here; no module buried it"
    if letter.stream not in REPLAYABLE:
        return f"what {letter.stream} holds is no message, and would be taken for newer than it is"
    origin = f"{letter.stream} may still have all of it at {letter.sequence}"
    if letter.stream == CMD:
        origin = f"{CMD} has it no more"
    if letter.cut:
        return f"its body was too large for a letter and lost its end; {origin}"
    if letter.reason == "poison" and _LOST in letter.body:
        return f"its body is no text, and the letter holds what could be read of it; {origin}"
    return ""


def trace_of(headers: Mapping[str, str]) -> str:
    """Return the trace id of a message, or nothing."""
    for name, value in headers.items():
        parts = value.split("-")
        if name.lower() == "traceparent" and len(parts) == _TRACEPARENT_PARTS:
            return parts[1]
    return ""


def _headers(kept: Kept) -> dict[str, str]:
    """Return the headers of a replay: those it came with, but none that steer the server."""
    letter = kept.letter
    of_the_message = {
        name: value
        for name, value in letter.headers.items()
        if not name.lower().startswith(_OF_THE_SERVER)
    }
    # The letter's own number is not enough: a stream that is made anew counts from one again.
    origin = f"{letter.stream}:{letter.consumer}:{letter.sequence}"
    return of_the_message | {
        MSG_ID: f"replay:{kept.sequence}:{origin}",
        EXPECTED_STREAM: letter.stream,
    }


def _opened(message: Mapping[str, Any]) -> Kept:
    sequence: int = message["seq"]
    data = b64decode(message.get("data", ""))
    try:
        letter = msgspec.json.decode(data, type=DeadLetter)
    except UNREADABLE as poison:
        letter = DeadLetter(
            module=message["subject"].split(".", 1)[1],
            stream=DLQ,
            consumer="",
            sequence=sequence,
            subject=message["subject"],
            delivered=0,
            error=str(poison),
            reason=NO_LETTER,
            headers={},
            body=data.decode("utf-8", "replace"),
        )
    at = msgspec.convert(message["time"], datetime)
    return Kept(sequence=sequence, at=at, trace_id=trace_of(letter.headers), letter=letter)
