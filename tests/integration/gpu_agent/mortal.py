"""Agents that are killed, each in another phase of its first render.

One process that has everything imported forks a child for each phase; a child is an agent like any
other until it gets there. Run as ``python -m``, with the broker, the host, a folder, and phases.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio

from actors.runtime.bus import connected
from gpu_agent.comfy import ComfyHost, open_host
from media.local_store import LocalMediaStore
from schemas.progress import JobProgressed
from tests.integration.gpu_agent import house
from tests.integration.runtime.world import working

PHASES = ("upload", "submit", "run", "download", "store", "report", "acknowledge")
NAME = "agent_of_one_host"
PROVIDER = "fx-warm-grade-v1"
TIME_S = 60.0


def die() -> None:
    """Be gone at once, as under ``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Host:
    """A host whose agent dies when it calls this, or when the call is over."""

    def __init__(self, host: ComfyHost, phase: str) -> None:
        self._host = host
        self._phase = phase

    def __getattr__(self, name: str) -> Any:
        if name == "download" and self._phase == "download":
            die()
        called = getattr(self._host, name)
        if name != self._phase:
            return called

        async def last(*args: Any, **named: Any) -> None:
            await called(*args, **named)
            die()

        return last


class _Store:
    def __init__(self, store: Any, phase: str) -> None:
        self._store = store
        self._phase = phase

    def __getattr__(self, name: str) -> Any:
        if name == "put_file" and self._phase == "store":
            die()
        return getattr(self._store, name)


class _Watched(house.Unheard):
    def __init__(self, phase: str) -> None:
        self._phase = phase

    def say(self, line: JobProgressed) -> None:
        if self._phase == "run":
            die()


async def serve(nats_url: str, comfyui: str, folder: Path, phase: str) -> None:
    """Be an agent until the phase comes."""
    neighbours = house.Neighbours()
    async with (
        connected(nats_url, name=f"mortal {phase}") as bus,
        open_host(comfyui, name="host", limits=house.LIMITS) as host,
    ):
        said = bus.say

        async def say(words: Any) -> None:
            if phase == "report":
                die()
            await said(words)
            if phase == "acknowledge":
                die()

        agent = house.agent_of(
            _Host(host, phase),  # type: ignore[arg-type]  # it is one in all but type
            _Store(LocalMediaStore(root=folder / "media"), phase),
            folder,
            neighbours,
            name=NAME,
            progress=_Watched(phase),
        )
        puller, _ = house.puller_of(bus, agent, [PROVIDER], neighbours, name=NAME, say=say)
        async with working(puller):
            await anyio.sleep(TIME_S)


def main() -> int:
    """Return how many children did not die as they should."""
    nats_url, comfyui, folder, *phases = sys.argv[1:]
    children = []
    for phase in phases:
        child = os.fork()
        if child == 0:
            anyio.run(serve, nats_url, comfyui, Path(folder), phase)
            os._exit(1)
        children.append(child)
    ends = [os.waitpid(child, 0)[1] for child in children]
    return sum(not os.WIFSIGNALED(end) or os.WTERMSIG(end) != signal.SIGKILL for end in ends)


if __name__ == "__main__":
    sys.exit(main())
