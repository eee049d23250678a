"""What goes over the wire: a subject, headers and JSON. Knows no connection.

What is said while a message is answered carries that message's trace; else these are pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from actors.runtime.contract import Later, Put, Said
from actors.runtime.tracing import carried
from schemas.base import Message
from subjects import build
from subjects.topology import TIMER

MSG_ID: Final = "Nats-Msg-Id"
EXPECTED_LAST: Final = "Nats-Expected-Last-Subject-Sequence"
SCHEMA: Final = "Schema"
SCHEDULE: Final = "Nats-Schedule"
SCHEDULE_TARGET: Final = "Nats-Schedule-Target"

SHORT_ACK: Final = 9
"""Tokens of an acknowledgement subject without domain and account."""

_encoder: Final = msgspec.json.Encoder()


class Outgoing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to store: a message on a subject, or with ``purge`` the end of that subject."""

    subject: str
    data: msgspec.Raw = msgspec.Raw(b"")
    headers: dict[str, str] = {}
    purge: str = ""
    """The stream whose ``subject`` is emptied, instead of a message."""


Sayable = Said | Outgoing


class Delivery(Struct, frozen=True):
    """Where a message comes from, how often it was delivered, and what waits behind it."""

    stream: str
    consumer: str
    delivered: int
    sequence: int
    consumer_sequence: int
    pending: int

    @classmethod
    def of(cls, reply: str) -> Delivery:
        """Read the acknowledgement subject: 9 tokens, or more with domain and account."""
        tokens = reply.split(".")
        at = 2 if len(tokens) == SHORT_ACK else 4
        delivered, sequence, consumer_sequence, _, pending = map(int, tokens[at + 2 : at + 7])
        return cls(tokens[at], tokens[at + 1], delivered, sequence, consumer_sequence, pending)

    @staticmethod
    def count(reply: str) -> int:
        """Return how often a message was delivered, and read nothing else."""
        tokens = reply.split(".")
        return int(tokens[4 if len(tokens) == SHORT_ACK else 6])


def encode(value: Struct) -> bytes:
    """Return a struct as JSON."""
    return _encoder.encode(value)


def outgoing(said: Sayable) -> Outgoing:
    """Return what has to be stored so that ``said`` is said.

    Raises:
        InvalidTokenError: an id is empty or holds a character that NATS reads as structure.
        UnroutedMessageError: the message class is declared nowhere.
    """
    if isinstance(said, Outgoing):
        return said
    if isinstance(said, Later):
        return _timer(said)
    if isinstance(said, Put):
        return Outgoing(subject=build.entry(said.bucket, said.key), data=msgspec.Raw(said.value))
    return Outgoing(
        subject=build.subject_of(said),
        data=msgspec.Raw(encode(said)),
        headers=_identity(said, said.event_id),
    )


def _timer(later: Later) -> Outgoing:
    subject = build.timer(later.key, later.name)
    if later.at is None:
        return Outgoing(subject=subject, purge=TIMER)
    wake = later.message
    target = build.due(later.module, wake.tenant_id, wake.correlation_id, later.name)
    return Outgoing(
        subject=subject,
        data=msgspec.Raw(encode(wake)),
        headers=_identity(wake, "timer:" + wake.event_id)
        | {SCHEDULE: "@at " + _rfc3339(later.at), SCHEDULE_TARGET: target},
    )


def _identity(said: Message, message_id: str) -> dict[str, str]:
    return {MSG_ID: message_id, SCHEMA: type(said).__name__, **carried()}


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
