"""Puts the gateway together, and serves it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import uvicorn
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from actors.runtime.contract import Clock
from gateway import (
    problems,
    routes_admin,
    routes_direct,
    routes_jobs,
    routes_live,
    routes_providers,
    routes_public,
    routes_reviews,
    routes_signed,
    routes_uploads,
)
from gateway.approvals import ApprovalDesk
from gateway.direct import DirectDesk
from gateway.errors import AskTimedOutError, BusUnavailableError, Refusal, UploadTooLargeError
from gateway.guards import KnownCaller, OwnPages, caller_of
from gateway.headers import complete_headers
from gateway.identity import Tokens
from gateway.jobs import JobDesk
from gateway.live import Live
from gateway.media import MediaDesk
from gateway.pages import page_router
from gateway.ports import Bus
from gateway.providers import ProviderDesk
from gateway.recent import RecentOrders
from gateway.settings import JSON_BODY_BYTES, GatewaySettings
from gateway.tus import TusUploads
from gateway.uploads import Handover, Uploads
from media.errors import StoreAwayError, StoreFullError
from media.local_urls import LocalUrls
from media.store import DirectUploads, MediaStore

WS_FRAME_BYTES: Final = 64 * 1024
"""Largest frame a client may send."""
BACKLOG: Final = 2048
DRAIN_S: Final = 20
"""How long open requests may go on after the end was asked for."""

STATIC: Final = Path(__file__).with_name("static")


def create_app(
    *,
    bus: Bus,
    store: MediaStore,
    tokens: Tokens,
    uploads_dir: Path,
    clock: Clock,
    settings: GatewaySettings,
    direct: DirectUploads | None = None,
    signed: LocalUrls | None = None,
) -> Litestar:
    """Return the application; nothing is opened before it is served.

    ``direct`` is for a store that a browser reaches by itself, ``signed`` for one that it does not.
    """
    handover = Handover(bus=bus, store=store, settings=settings)
    uploads = Uploads(
        bus=bus,
        store=store,
        handover=handover,
        folder=uploads_dir,
        clock=clock,
        settings=settings,
    )
    tus = TusUploads(handover=handover, folder=uploads_dir, clock=clock, settings=settings)
    jobs = JobDesk(bus=bus, clock=clock, recent=RecentOrders())
    desk = DirectDesk(direct=direct, store=store, handover=handover, clock=clock, settings=settings)
    parts = {
        "bus": bus,
        "clock": clock,
        "settings": settings,
        "uploads": uploads,
        "tus": tus,
        "direct": desk,
        "signed": signed,
        "jobs": jobs,
        "media": MediaDesk(store=store),
        "approvals": ApprovalDesk(bus=bus, clock=clock),
        "providers": ProviderDesk(bus=bus, clock=clock),
        "live": Live(bus=bus, jobs=jobs, tokens=tokens, clock=clock, settings=settings),
    }
    return Litestar(
        route_handlers=_routes(tokens, settings),
        dependencies={name: _given(part) for name, part in parts.items()},
        exception_handlers={
            Refusal: problems.refused,
            HTTPException: problems.refused_by_framework,
            BusUnavailableError: problems.bus_away,
            AskTimedOutError: problems.bus_away,
            UploadTooLargeError: problems.too_large,
            StoreFullError: problems.no_room,
            StoreAwayError: problems.store_away,
            OSError: problems.disk_trouble,
            RecursionError: problems.too_deep,
            Exception: problems.unexpected,
        },
        before_send=[complete_headers],
        on_startup=[uploads.sweep, desk.sweep],
        request_max_body_size=JSON_BODY_BYTES,
        openapi_config=OpenAPIConfig(
            title="effectmesh",
            version=settings.version,
            path="/schema",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            components=Components(
                security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}
            ),
        ),
        logging_config=None,
        debug=False,
    )


async def serve(app: Litestar, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; then let open requests finish, ``DRAIN_S`` seconds at most.

    ``ready`` gets the address once connections are accepted; port 0 takes a free one. Signals are
    the caller's business.

    Raises:
        OSError: the address cannot be listened on.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=WS_FRAME_BYTES,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_S,
    )
    bound_host, bound_port = listener.getsockname()[:2]
    shown = f"[{bound_host}]" if ":" in bound_host else bound_host
    server = _Server(config, started=lambda: ready(f"http://{shown}:{bound_port}"))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_stop_when_cancelled, server)
            with anyio.CancelScope(shield=True):
                await server.serve(sockets=[listener])
            group.cancel_scope.cancel()
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn without its hold on signals."""

    def __init__(self, config: uvicorn.Config, *, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets=sockets)
        self._tell()


async def _stop_when_cancelled(server: _Server) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def _routes(tokens: Tokens, settings: GatewaySettings) -> list[Router]:
    signed_in = Router(
        path="/v1",
        route_handlers=[
            *routes_uploads.HANDLERS,
            *routes_direct.HANDLERS,
            *routes_reviews.HANDLERS,
            *routes_signed.HANDLERS,
            *routes_jobs.HANDLERS,
            *routes_admin.HANDLERS,
            *routes_providers.HANDLERS,
        ],
        guards=[KnownCaller(tokens)],
        dependencies={"caller": Provide(caller_of)},
        security=[{"token": []}],
    )
    live = Router(
        path="/",
        route_handlers=[routes_live.live_progress],
        guards=[OwnPages(settings.allowed_origins)],
    )
    public = Router(path="/", route_handlers=list(routes_public.HANDLERS))
    return [signed_in, live, public, page_router(settings.static or STATIC)]


def _given(part: object) -> Provide:
    async def give() -> object:
        return part

    return Provide(give, use_cache=True)
