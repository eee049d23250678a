"""A renderer in a process of its own, which can be killed."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process

_START_S: Final = 30


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def renderer_process(
    home: Path, *, switches: str = "", port: int = 0, environment: str = ""
) -> AsyncIterator[tuple[str, Process]]:
    """Run a renderer until the block is left; yield its URL and the process.

    ``switches`` go onto the command line, those in ``environment`` into its variable.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "effectmesh", "run", "renderer"]
    command += ["--port", str(port), "--number", "1"]
    command += ["--switches", switches] if switches else []
    env = {**os.environ, "EFFECTMESH_HOME": str(home)}
    if environment:
        env["EFFECTMESH_RENDERER_SWITCHES"] = environment
    async with await anyio.open_process(command, env=env, stdout=None, stderr=None) as process:
        try:
            with anyio.fail_after(_START_S):
                await _answers(port)
            yield f"http://127.0.0.1:{port}", process
        finally:
            if process.returncode is None:
                process.kill()


async def _answers(port: int) -> None:
    while True:
        try:
            async with await anyio.connect_tcp("127.0.0.1", port):
                return
        except OSError:
            await anyio.sleep(0.02)
