"""A process as the platform runs them, with an actor of the test's: ``python -m … URL HOW``.

It tells on its output what it begins. ``drains`` ends no message before it is told to stop,
``stuck`` ends none at all, ``breaks`` has a part that always fails, ``works`` just works.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from actors.runtime import host, worker
from actors.runtime.bus import connected
from actors.runtime.follow import follow
from actors.runtime.host import Hosted, run_hosted, supervised
from effectmesh.processes.common import run_process
from effectmesh.processes.vitals import about
from effectmesh.settings import Settings
from schemas.base import Module
from schemas.events import Notice, UserNotified, VideoIngested
from subjects.topology import Topology
from tests.builders import NOON, USER
from tests.integration.runtime.world import consumer

HEARD = consumer(Module.CONTENT_ANALYSIS, filters=("evt.video_intake.>",))


class _Actor:
    def __init__(self, how: str, stopping: anyio.Event) -> None:
        self._how = how
        self._stopping = stopping

    async def receive(self, heard: VideoIngested) -> Sequence[Any]:
        """Say a notice, sooner or later."""
        tell(f"begun {heard.event_id}")
        if self._how == "drains":
            await self._stopping.wait()
        if self._how == "stuck":
            await anyio.sleep_forever()
        notice = Notice(user_id=USER, kind="a", channel="b", subject="c", body="d")
        return [UserNotified(**follow(heard, UserNotified, at=NOON), payload=notice)]


async def main(how: str, settings: Settings, stopping: anyio.Event) -> None:
    """Run the actor until told to stop."""
    actor = _Actor(how, stopping)
    hosted = Hosted(module=Module.CONTENT_ANALYSIS, receive=actor.receive)
    async with (
        connected(settings.nats_url, name="child") as bus,
        anyio.create_task_group() as background,
    ):
        if how == "breaks":
            background.start_soon(supervised, "the part", _break)
        await run_hosted(
            bus=bus,
            hosted=[hosted],
            declared=Topology(streams=(), consumers=(HEARD,), buckets=()),
            dice=random.Random(1),
            stopping=stopping,
            about=about(),
        )
        background.cancel_scope.cancel()


async def _break() -> None:
    raise RuntimeError("it is broken")


def tell(what: str) -> None:
    """Say something to the test."""
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    url, manner = sys.argv[1:]
    host.RESTART_WAIT_S = 0.0  # type: ignore[misc]  # a test does not wait
    worker.DRAIN_S = 0.3 if manner == "stuck" else worker.DRAIN_S  # type: ignore[misc]  # nor here
    raise SystemExit(
        run_process("child", partial(main, manner), Settings(home=Path("/nowhere"), nats_url=url))
    )
