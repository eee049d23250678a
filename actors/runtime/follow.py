"""Ids that a redelivery makes again, so that the stream can drop the second answer."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b32hexencode
from datetime import datetime
from typing import TypedDict

from schemas.base import EventId, JobId, Message, TenantId

_ID_BYTES = 15
"""120 bits: 24 characters of base32."""


class Header(TypedDict):
    """The envelope of a message, ready to be spread into its constructor."""

    event_id: EventId
    timestamp: datetime
    correlation_id: JobId
    tenant_id: TenantId
    cause_id: EventId


def follow(heard: Message, kind: type[Message], *, at: datetime, part: str = "") -> Header:
    """Return the envelope of an answer to ``heard``.

    The event id is derived from cause, kind and ``part``. Give ``part`` when one cause says
    several of a kind, or all but the first are dropped as duplicates.
    """
    return Header(
        event_id=EventId(derived_id("evt", heard.event_id, kind.__name__, part)),
        timestamp=at,
        correlation_id=heard.correlation_id,
        tenant_id=heard.tenant_id,
        cause_id=heard.event_id,
    )


def begin(
    *, job_id: JobId, tenant_id: TenantId, at: datetime, event_id: str | None = None
) -> Header:
    """Return the envelope of a message nobody caused, such as a user's order."""
    return Header(
        event_id=EventId(event_id or new_id("evt", at)),
        timestamp=at,
        correlation_id=job_id,
        tenant_id=tenant_id,
        cause_id=EventId(""),
    )


def derived_id(prefix: str, *parts: str) -> str:
    """Return the same id for the same parts, always."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()[:_ID_BYTES]
    return f"{prefix}_{b32hexencode(digest).decode().lower()}"


def new_id(prefix: str, at: datetime) -> str:
    """Return a new readable id that sorts by time: 48 bits of milliseconds, 72 bits of chance."""
    stamp = int(at.timestamp() * 1000).to_bytes(6, "big")
    raw = stamp + secrets.token_bytes(_ID_BYTES - len(stamp))
    return f"{prefix}_{b32hexencode(raw).decode().lower()}"
