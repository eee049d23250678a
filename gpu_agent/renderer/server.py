"""Starting the renderer: bind, serve until cancelled, leave nothing behind."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Final

import anyio
import uvicorn

from actors.runtime.contract import Clock, SystemClock
from gpu_agent.renderer.app import App
from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.engine import Engine
from gpu_agent.renderer.files import Folders

_SHUTDOWN_SECONDS: Final = 5
_BACKLOG: Final = 128


class _Server(uvicorn.Server):
    """Uvicorn without its own ideas about signals; tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = anyio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the caller."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.accepting.set()


async def serve(
    *,
    root: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[int], None] | None = None,
    behaviour: Behaviour | None = None,
    limits: Limits | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve ComfyUI's API below ``root`` until cancelled; ``ready`` is told the port.

    ``root`` gets the folders ``input``, ``output`` and ``temp``; the last is emptied first.
    """
    shutil.rmtree(root / "temp", ignore_errors=True)
    engine = Engine(
        folders=Folders(root),
        behaviour=behaviour or Behaviour(),
        limits=limits or Limits(),
        clock=clock or SystemClock(),
    )
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    server = _Server(
        uvicorn.Config(
            App(engine),
            http="httptools",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
            ws_per_message_deflate=False,
            # the real server sends no pings; its clients do
            ws_ping_interval=None,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
    )
    async with anyio.create_task_group() as group:
        group.start_soon(_until_told, server, listener)
        group.start_soon(engine.work)
        try:
            await server.accepting.wait()
            if ready is not None:
                ready(listener.getsockname()[1])
            await anyio.sleep_forever()
        finally:
            engine.stop()
            server.should_exit = True


async def _until_told(server: _Server, listener: socket.socket) -> None:
    """Run the server to its own end, so that a cancellation leaves no open connection."""
    with anyio.CancelScope(shield=True):
        await server.serve(sockets=[listener])


@contextlib.asynccontextmanager
async def running_renderer(
    root: Path,
    behaviour: Behaviour | None = None,
    *,
    limits: Limits | None = None,
    port: int = 0,
) -> AsyncIterator[str]:
    """Run a renderer for as long as the block lasts and yield its base URL."""
    bound: list[int] = []
    told = anyio.Event()
    failure: Exception | None = None

    def ready(at: int) -> None:
        bound.append(at)
        told.set()

    async with anyio.create_task_group() as group:

        async def run() -> None:
            await serve(root=root, port=port, ready=ready, behaviour=behaviour, limits=limits)

        group.start_soon(run)
        await told.wait()
        try:
            yield f"http://127.0.0.1:{bound[0]}"
        except Exception as problem:
            # raised below, so that the caller sees its own error and no group around it
            failure = problem
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
