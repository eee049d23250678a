"""A worker process that kills itself where it is told to: ``python -m … URL [mechanism off …]``.

It runs the counting saga as the runtime does, apart from the places where it may die. Whoever asks
``DIE`` arms one of the workers: the place, and at which pass.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import anyio
import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from actors.runtime.answering import ACK
from actors.runtime.bus import Bus, connected
from actors.runtime.record import Recorded
from actors.runtime.wire import Sayable
from actors.runtime.worker import Worker
from schemas.base import Module
from schemas.events import VideoIngested
from tests.integration.crashes.counting import HEARD, Counting, Crippled, Mechanism

DIE: Final = "crash.die"
READY: Final = "crash.ready"
PLACES: Final = (
    "before the write",
    "after the write",
    "before the words",
    "between the words",
    "after the words",
    "before the acknowledgement",
    "after the acknowledgement",
)
CONCURRENCY: Final = 8
PULL: Final = f"$JS.API.CONSUMER.MSG.NEXT.{HEARD.stream}.{HEARD.name}"


class Death(Struct, frozen=True):
    """Where to die, and after how many passes."""

    place: str
    passes: int


class Fate:
    """Counts the passes of the place where this process will die."""

    def __init__(self) -> None:
        self._place = ""
        self._left = 0

    def arm(self, death: Death) -> None:
        """From now on it is certain."""
        self._place, self._left = death.place, death.passes

    def passing(self, place: str) -> None:
        """Die, or go on."""
        if place != self._place:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalLog(Crippled):
    """A log and a mouth that pass the places."""

    def __init__(self, bus: Bus, off: Collection[Mechanism], fate: Fate) -> None:
        super().__init__(bus, off)
        self._fate = fate

    async def append(self, key: str, body: bytes, *, after: int) -> int:
        """Write a record."""
        self._fate.passing("before the write")
        sequence = await super().append(key, body, after=after)
        self._fate.passing("after the write")
        return sequence

    async def say(self, said: Iterable[Sayable]) -> None:
        """Say one word after the other."""
        self._fate.passing("before the words")
        for number, order in enumerate(self.words(said)):
            if number:
                self._fate.passing("between the words")
            await self._bus.say([order])
        self._fate.passing("after the words")


def _hook(bus: Bus, fate: Fate) -> anyio.Event:
    """Pass the places around each acknowledgement; return what is set by the first pull."""
    send, pulling = bus.send, anyio.Event()

    async def passing(
        subject: str, data: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        if data != ACK:
            await send(subject, data, reply=reply, headers=headers)
            if subject == PULL:
                pulling.set()
            return
        fate.passing("before the acknowledgement")
        await send(subject, data, reply=reply, headers=headers)
        fate.passing("after the acknowledgement")

    bus.send = passing  # type: ignore[method-assign]
    return pulling


async def main(url: str, off: Sequence[Mechanism]) -> None:
    """Work until SIGTERM, or until the time has come."""
    fate = Fate()
    async with connected(url, name="mortal") as bus:
        pulling = _hook(bus, fate)
        log = MortalLog(bus, off, fate)
        worker = Worker(
            bus=bus,
            module=Module.APPROVAL,
            consumer=HEARD,
            decoder=msgspec.json.Decoder(VideoIngested),
            receive=Recorded(saga=Counting(), log=log, say=log.say).receive,
            concurrency=CONCURRENCY,
            dice=random.Random(1),
        )

        async def arm(message: Msg) -> None:
            await bus.send(message.reply, b"")
            await bus.barrier()  # there may be work already, and then it dies at once
            fate.arm(msgspec.json.decode(message.data, type=Death))

        async with bus.subscribed(DIE, arm, queue="mortals"), anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                await pulling.wait()
                await bus.barrier()
                await bus.send(READY, str(os.getpid()).encode())
                async for _ in signals:
                    break
            worker.stop()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], [Mechanism(each) for each in sys.argv[2:]])
