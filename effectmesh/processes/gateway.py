"""HTTP and WebSocket in a process of their own."""

from __future__ import annotations

from functools import partial
from typing import Final

import anyio

from actors.runtime.contract import SystemClock
from actors.runtime.host import supervised
from effectmesh import __version__
from effectmesh.processes.bus_for_gateway import GatewayBus
from effectmesh.processes.common import traced
from effectmesh.processes.copies import registry_copy, routing_copy
from effectmesh.settings import Settings
from effectmesh.shelf import direct_uploads, media_store, signed_urls
from effectmesh.state import tokens_file
from effectmesh.users import connected_as
from gateway.app import create_app, serve
from gateway.identity import Tokens
from gateway.settings import GatewaySettings
from schemas.base import Module

MEGABYTE: Final = 1_000_000


async def main(settings: Settings, stopping: anyio.Event) -> None:
    """Serve until ``stopping``, then let open requests finish."""
    async with (
        traced(settings) as tracer,
        connected_as(settings, Module.GATEWAY, name="gateway") as buses,
    ):
        bus = buses[Module.GATEWAY]
        routing = routing_copy(bus)
        registry = registry_copy(bus)
        app = create_app(
            bus=GatewayBus(bus=bus, routing=routing, registry=registry, tracer=tracer),
            store=media_store(settings),
            direct=direct_uploads(settings),
            signed=signed_urls(settings),
            tokens=Tokens.read(tokens_file(settings)),
            uploads_dir=settings.home / "uploads",
            clock=SystemClock(),
            settings=GatewaySettings(
                version=__version__,
                max_upload_bytes=settings.max_upload_mb * MEGABYTE,
                allowed_origins=tuple(filter(None, settings.allowed_origins.split(","))),
            ),
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervised, "routing copy", routing.run)
            tasks.start_soon(supervised, "registry copy", registry.run)
            listen = partial(
                serve, app, host=settings.http_host, port=settings.http_port, ready=_ignore
            )
            tasks.start_soon(listen)
            await stopping.wait()
            tasks.cancel_scope.cancel()


def _ignore(_: str) -> None:
    """Whoever started us asks ``/readyz``."""
