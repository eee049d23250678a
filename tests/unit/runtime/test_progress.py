"""Live progress may lose a line, and never holds up the work."""

from __future__ import annotations

import anyio
import pytest
from msgspec import structs

from actors.runtime.progress import QUEUED, LiveProgress
from actors.runtime.wire import MSG_ID
from schemas.base import JobId
from schemas.progress import JobProgressed
from subjects.build import InvalidTokenError
from tests.builders import header


class _Bus:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.enough = anyio.Event()
        self.wanted = 1

    async def send(self, subject: str, data: bytes, *, headers: dict[str, str]) -> None:
        """Take a line."""
        self.sent.append(headers[MSG_ID])
        if len(self.sent) == self.wanted:
            self.enough.set()


def line(event_id: str) -> JobProgressed:
    """Return one line."""
    return JobProgressed(**header(event_id), stage="render")  # type: ignore[arg-type]


async def test_lines_are_published_in_order() -> None:
    """A bar that jumps back looks broken."""
    bus = _Bus()
    bus.wanted = 3
    progress = LiveProgress(bus=bus)  # type: ignore[arg-type]
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(progress.run)
            for n in range(3):
                progress.say(line(f"evt_{n}"))
            await bus.enough.wait()
            tasks.cancel_scope.cancel()

    assert bus.sent == ["evt_0", "evt_1", "evt_2"]


async def test_a_full_queue_drops_lines_and_counts_them() -> None:
    """The renderer must not wait for whoever watches."""
    progress = LiveProgress(bus=_Bus())  # type: ignore[arg-type]
    for n in range(QUEUED + 5):
        progress.say(line(f"evt_{n}"))

    assert progress.dropped == 5


async def test_a_line_that_cannot_be_said_does_not_silence_the_others() -> None:
    """The part is started again, and goes on behind the line that broke it."""
    bus = _Bus()
    progress = LiveProgress(bus=bus)  # type: ignore[arg-type]
    progress.say(structs.replace(line("evt_bad"), correlation_id=JobId("a.b")))
    progress.say(line("evt_good"))
    with pytest.raises(InvalidTokenError):
        await progress.run()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(progress.run)
            await bus.enough.wait()
            tasks.cancel_scope.cancel()

    assert bus.sent == ["evt_good"]
