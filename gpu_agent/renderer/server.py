"""Starting the renderer: bind, serve until cancelled, leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Final

import anyio
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from actors.runtime.contract import Clock, SystemClock
from gpu_agent.renderer.app import App
from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.engine import Engine
from gpu_agent.renderer.errors import KilledError
from gpu_agent.renderer.faults import exit_process
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

    def cut_sockets(self) -> None:
        """Cut the line of every WebSocket, as a lost network does."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, WebSocketsSansIOProtocol):
                connection.transport.abort()

    def die(self) -> None:
        """Be gone for every client at once, as a killed process is."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            transport = connection.transport
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()


async def serve(
    *,
    root: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[int], None] | None = None,
    behaviour: Behaviour | None = None,
    limits: Limits | None = None,
    clock: Clock | None = None,
    switchable: bool = False,
    die: Callable[[], None] = exit_process,
) -> None:
    """Serve ComfyUI's API below ``root`` until cancelled; ``ready`` is told the port.

    ``root`` gets the folders ``input``, ``output`` and ``temp``; the last is emptied first.
    A ``switchable`` server lets its switches be set over HTTP. ``die`` is how it ends where a
    switch says that it is killed.
    """
    shutil.rmtree(root / "temp", ignore_errors=True)
    engine = Engine(
        folders=Folders(root),
        behaviour=behaviour or Behaviour(),
        limits=limits or Limits(),
        clock=clock or SystemClock(),
        die=die,
    )
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # else asyncio leaves Nagle's delay on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    server = _Server(
        uvicorn.Config(
            App(engine, switchable=switchable),
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
    engine.sockets.cut = server.cut_sockets
    async with anyio.create_task_group() as group:
        group.start_soon(_until_told, server, listener)
        group.start_soon(_work, engine, server)
        try:
            await server.accepting.wait()
            if ready is not None:
                ready(listener.getsockname()[1])
            await anyio.sleep_forever()
        finally:
            engine.stop()
            server.should_exit = True


async def _work(engine: Engine, server: _Server) -> None:
    try:
        await engine.work()
    except KilledError:
        server.die()
        raise


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
            try:
                await serve(
                    root=root,
                    port=port,
                    ready=ready,
                    behaviour=behaviour,
                    limits=limits,
                    switchable=True,
                    die=_killed,
                )
            except* KilledError:
                # it is gone for its clients, and the block goes on without it
                pass

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


def _killed() -> None:
    raise KilledError
