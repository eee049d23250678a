"""What becomes of an order to the registry. Pure.

A revision holds what a provider is; whether it is given jobs is its status, which is kept apart, so
that an edit never brings back what somebody switched off. An edit names the revision it was made
from. Nothing serves that cannot work; and nothing serves that no host is known to run, unless
whoever says so takes the blame (``force``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from actors.provider_registry import core
from actors.provider_registry.core import DRAFT, SERVING, STATUSES
from schemas.asks import ProviderChange
from schemas.commands import ProviderEdition, PutProvider, SetProviderStatus, StatusOrder
from schemas.routing import ProviderRecord

PUT: Final = "put"
STATUS: Final = "status"

DONE: Final = "done"
UNCHANGED: Final = "unchanged"
EXISTS: Final = "exists"
STALE: Final = "stale"
UNKNOWN: Final = "unknown"
INVALID: Final = "invalid"
UNPROVEN: Final = "unproven"

FAULTS_KEPT: Final = 200
"""Of one refused order."""
SETTLED: Final = timedelta(seconds=5)
"""What an agent said sooner after an edit may still be about the revision before."""


class Able(Struct, frozen=True, kw_only=True):
    """An agent that says that it can run a provider, and when it looked."""

    agent_id: str
    at: datetime


class Known(Struct, frozen=True, kw_only=True):
    """What is stored of a provider; ``record`` is the newest revision, with its status."""

    record: ProviderRecord
    stored_at: datetime
    validated: frozenset[str] = frozenset()
    """Digests of the graphs that some host was found able to run."""


class Decision(Struct, frozen=True, kw_only=True):
    """What is to be stored: the outcome always, a record or a status when they change."""

    change: ProviderChange
    record: ProviderRecord | None = None
    status: str = ""


def proof(known: Known, able: Sequence[Able]) -> bool:
    """Tell whether a host is known that can run the newest revision."""
    if core.graph_digest(known.record) in known.validated:
        return True
    return any(each.at >= known.stored_at + SETTLED for each in able)


def decide(
    known: Known | None,
    heard: PutProvider | SetProviderStatus,
    *,
    validated: frozenset[str],
    able: Sequence[Able],
    at: datetime,
) -> Decision:
    """Return what becomes of an order. ``validated`` holds proven graphs of any provider."""
    if isinstance(heard, PutProvider):
        return _put(known, heard, validated=validated, able=able, at=at)
    return _set(known, heard, able=able, at=at)


def _put(
    known: Known | None,
    heard: PutProvider,
    *,
    validated: frozenset[str],
    able: Sequence[Able],
    at: datetime,
) -> Decision:
    edition = heard.payload
    first = ProviderChange(
        change_id=heard.event_id,
        provider_id=edition.record.provider_id,
        kind=PUT,
        outcome=DONE,
        at=at,
        by=edition.by,
        revision=known.record.revision if known else 0,
        status=known.record.status if known else "",
        previous=known.record.status if known else "",
    )
    if found := core.faults(edition.record):
        return _refused(first, INVALID, "the record cannot work", faults=found)
    tested = edition.force or core.graph_digest(edition.record) in validated
    if known is None:
        return _add(first, edition, tested=tested)
    if core.content_digest(edition.record) == core.content_digest(known.record):
        return _refused(first, UNCHANGED, f"revision {known.record.revision} is the same")
    if not edition.made_from:
        return _refused(first, EXISTS, f"there is one already, at revision {first.revision}")
    if edition.made_from != known.record.revision:
        why = f"revision {edition.made_from} was edited, and the newest is {first.revision}"
        return _refused(first, STALE, why)
    narrower = core.needs(edition.record) <= core.needs(known.record) and proof(known, able)
    if known.record.status in SERVING and not (tested or narrower):
        return _refused(first, UNPROVEN, "it serves, and no host is known that can run the edit")
    return _stored(first, edition, status=known.record.status)


def _add(first: ProviderChange, edition: ProviderEdition, *, tested: bool) -> Decision:
    if edition.made_from:
        return _refused(first, UNKNOWN, "there is no such provider to edit")
    wanted = edition.record.status
    if wanted in SERVING and not tested:
        why = f"kept as {DRAFT} and not {wanted}: no host is known that can run it"
        return _stored(msgspec.structs.replace(first, reason=why), edition, status=DRAFT)
    return _stored(first, edition, status=wanted)


def _stored(first: ProviderChange, edition: ProviderEdition, *, status: str) -> Decision:
    revision = first.revision + 1
    record = msgspec.structs.replace(edition.record, revision=revision, status=status, health=None)
    change = msgspec.structs.replace(first, revision=revision, status=status)
    return Decision(change=change, record=record, status=status)


def _set(
    known: Known | None, heard: SetProviderStatus, *, able: Sequence[Able], at: datetime
) -> Decision:
    order = heard.payload
    first = ProviderChange(
        change_id=heard.event_id,
        provider_id=order.provider_id,
        kind=STATUS,
        outcome=DONE,
        at=at,
        by=order.by,
        revision=known.record.revision if known else 0,
        status=known.record.status if known else "",
        previous=known.record.status if known else "",
        reason=order.reason,
    )
    if known is None:
        return _refused(first, UNKNOWN, "there is no such provider")
    if order.status not in STATUSES:
        why = f"{order.status!r} is none of {', '.join(sorted(STATUSES))}"
        return _refused(first, INVALID, why)
    if order.status == known.record.status:
        return _refused(first, UNCHANGED, f"it is {order.status} already")
    if order.status in SERVING and (why := _unfit_to_serve(known, order, able=able)):
        found = core.faults(known.record)
        return _refused(first, INVALID if found else UNPROVEN, why, faults=found)
    change = msgspec.structs.replace(first, status=order.status)
    return Decision(change=change, status=order.status)


def _unfit_to_serve(known: Known, order: StatusOrder, *, able: Sequence[Able]) -> str:
    """Return why a provider may not be given jobs; being broken is no matter of ``force``."""
    if core.faults(known.record):
        return "the record cannot work"
    if order.force or known.record.status in SERVING or proof(known, able):
        return ""
    return "no host is known that can run it"


def _refused(
    first: ProviderChange, outcome: str, why: str, *, faults: tuple[str, ...] = ()
) -> Decision:
    return Decision(
        change=msgspec.structs.replace(
            first, outcome=outcome, reason=why, faults=faults[:FAULTS_KEPT]
        )
    )
