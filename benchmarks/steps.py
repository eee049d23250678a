"""The saga step that everybody does: read 1 KiB of state, change it, keep it, say two messages."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, structs

from actors.runtime.follow import follow
from benchmarks import sample
from schemas.base import EventId, JobId
from schemas.events import VideoIngested

SAGAS: Final = 32
SAID: Final = 2
LINES: Final = 10


class Course(Struct, frozen=True, kw_only=True):
    """About 1 KiB of JSON."""

    steps: int = 0
    lines: tuple[str, ...] = ()


def heard(saga: int, number: int) -> VideoIngested:
    """Return one of the messages that move a saga on."""
    event = sample.sample(saga * 1_000_000 + number)
    return structs.replace(event, correlation_id=JobId(f"job_{saga:022d}"))


def moved(course: Course | None, event: VideoIngested) -> Course:
    """Return the state after a message."""
    before = course or Course(lines=tuple(f"{number:090d}" for number in range(LINES)))
    line = f"{event.event_id:0>90}"
    return Course(steps=before.steps + 1, lines=(*before.lines[1:], line))


def said(event: VideoIngested) -> tuple[VideoIngested, ...]:
    """Return what a step says."""
    return tuple(
        VideoIngested(
            **follow(event, VideoIngested, at=event.timestamp, part=str(part)),
            payload=event.payload,
        )
        for part in range(SAID)
    )


def words(event: VideoIngested) -> list[tuple[str, str, bytes]]:
    """Return the same as id, subject and body, for those who have no runtime that spells them."""
    return [
        (EventId(each.event_id), sample.subject_of(each), sample.ENCODER.encode(each))
        for each in said(event)
    ]


DECODER: Final = msgspec.json.Decoder(Course)
