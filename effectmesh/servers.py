"""The embedded servers as the settings ask for them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from effectmesh.embedded.stack import Endpoints, Servers, ServerSettings
from effectmesh.settings import Settings


def servers_of(settings: Settings) -> Servers:
    """Return the servers to be started: those without a URL."""
    return Servers(server_settings(settings))


def server_settings(settings: Settings) -> ServerSettings:
    """Return what of the settings concerns the servers."""
    return ServerSettings(
        home=settings.home,
        nats_url=settings.nats_url or None,
        postgres_url=settings.postgres_url or None,
        redis_url=settings.redis_url or None,
        nats_bin=_path(settings.nats_bin),
        postgres_bin=_path(settings.postgres_bin),
        redis_bin=_path(settings.valkey_bin),
        run_as=settings.postgres_user,
    )


def resolved(settings: Settings, endpoints: Endpoints) -> Settings:
    """Return the settings with every server's address in them, for the other processes."""
    return msgspec.structs.replace(
        settings,
        nats_url=endpoints.nats_url,
        postgres_url=endpoints.postgres_url,
        redis_url=endpoints.redis_url,
    )


def _path(value: str) -> Path | None:
    return Path(value) if value else None
