"""The local copies of key-value buckets that processes read from."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.runtime.bus import Bus
from actors.runtime.watch import Watched
from schemas.routing import ProviderRecord, RoutingManifest
from subjects.topology import REGISTRY, ROUTING


def routing_copy(bus: Bus) -> Watched[RoutingManifest]:
    """Return a copy of the routing manifest, to be run."""
    return _copy(bus, ROUTING, RoutingManifest)


def registry_copy(bus: Bus) -> Watched[ProviderRecord]:
    """Return a copy of every provider's record, to be run."""
    return _copy(bus, REGISTRY, ProviderRecord)


def _copy(bus: Bus, bucket: str, kind: type[Any]) -> Watched[Any]:
    return Watched(bus=bus, bucket=bucket, decode=msgspec.json.Decoder(kind).decode)
