"""An admin's work on the provider catalog: orders to the registry, and what became of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct

from actors.runtime.contract import Clock
from actors.runtime.follow import begin, new_id
from gateway import bodies
from gateway.errors import Refusal
from gateway.identity import Caller
from gateway.ids import is_id
from gateway.ports import Bus
from schemas.asks import (
    FindProvider,
    FindProviderChange,
    ImportProvider,
    ProviderChange,
    ProviderChangeFound,
    ProviderFound,
    ProviderProposal,
    ProviderValidated,
    ValidateProvider,
)
from schemas.base import EventId, JobId, ProviderId, TenantId
from schemas.commands import ProviderEdition, PutProvider, SetProviderStatus, StatusOrder
from schemas.routing import ProviderRecord

PLATFORM: Final = TenantId("platform")
"""Providers are nobody's; the id of the provider stands where a job's would."""
OUTCOME_S: Final = 10.0
"""How long the registry's decision is waited for; the order is safe all the while."""
FIRST_LOOK_S: Final = 0.02
LOOK_CAP_S: Final = 0.5
ID_LIMIT: Final = 100

_ETAG: Final = re.compile(r'(?:W/)?"?([0-9]{1,9})"?')
_CODES: Final[Mapping[str, tuple[int, str, str]]] = {
    "exists": (
        409,
        "PROVIDER_EXISTS",
        "edit it: PUT it with the revision you saw in If-Match",
    ),
    "stale": (412, "STALE_REVISION", "read it again, and edit what is there now"),
    "unknown": (404, "UNKNOWN_PROVIDER", "GET /v1/admin/providers lists them"),
    "invalid": (422, "INVALID_PROVIDER", "mend every fault that is listed, and send it again"),
    "unproven": (
        409,
        "UNPROVEN_PROVIDER",
        "validate it against a host, or keep it a draft until an agent can run it, or force it",
    ),
}
"""What becomes of an order that was refused."""


class ProviderDesk:
    """Passes orders on to the registry and waits for what becomes of them."""

    def __init__(self, *, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def find(self, provider_id: str, *, revision: int = 0) -> ProviderFound:
        """Return a provider.

        Raises:
            Refusal: there is no such provider, or revision.
        """
        found = ProviderFound()
        if is_id(provider_id):
            question = FindProvider(provider_id=ProviderId(provider_id), revision=revision)
            found = await self._bus.ask(question, ProviderFound)
        if found.record is None:
            raise _unknown(provider_id, revision)
        return found

    async def put(
        self, caller: Caller, record: ProviderRecord, *, made_from: int, force: bool
    ) -> tuple[ProviderChange | None, EventId]:
        """Add a provider or store a new revision; nothing yet when the registry is slow.

        Raises:
            Refusal: the registry refused it.
        """
        _check_id(record.provider_id)
        edition = ProviderEdition(
            record=record, by=caller.user_id, made_from=made_from, force=force
        )
        header = self._header(record.provider_id)
        return await self._ordered(PutProvider(**header, payload=edition))

    async def set_status(
        self, caller: Caller, provider_id: str, body: bodies.StatusBody
    ) -> tuple[ProviderChange | None, EventId]:
        """Give a provider jobs, or no more; nothing yet when the registry is slow.

        Raises:
            Refusal: the registry refused it.
        """
        _check_id(provider_id)
        order = StatusOrder(
            provider_id=ProviderId(provider_id),
            status=body.status,
            by=caller.user_id,
            reason=body.reason,
            force=body.force,
        )
        header = self._header(provider_id)
        return await self._ordered(SetProviderStatus(**header, payload=order))

    async def propose(self, body: bodies.ImportBody) -> ProviderProposal:
        """Return the record that a graph would make.

        Raises:
            Refusal: the graph cannot become a provider.
        """
        if body.provider_id:
            _check_id(body.provider_id)
        question = ImportProvider(
            graph=body.graph,
            provider_id=ProviderId(body.provider_id),
            title=body.title,
            object_info=_needed(body.object_info, body.graph),
        )
        proposal = await self._bus.ask(question, ProviderProposal)
        if proposal.record is None:
            raise Refusal(
                422,
                "GRAPH_REFUSED",
                detail=f"the graph cannot become a provider: {'; '.join(proposal.refusals)}",
                hint="mend what is listed, and export the graph again",
                more={"faults": proposal.refusals, "notes": proposal.notes},
            )
        return proposal

    async def validate(self, body: bodies.ValidateBody) -> ProviderValidated:
        """Compare a record, given or stored, with what a host says it has.

        Raises:
            Refusal: neither a record nor a known provider was named.
        """
        record = body.record
        if record is None:
            record = (await self.find(body.provider_id)).record
        assert record is not None, "found or refused"
        question = ValidateProvider(
            object_info=_needed(body.object_info, record.graph), record=record, host=body.host
        )
        return await self._bus.ask(question, ProviderValidated)

    def _header(self, provider_id: str) -> Any:
        now = self._clock.now()
        return begin(
            job_id=JobId(provider_id),
            tenant_id=PLATFORM,
            at=now,
            event_id=new_id("evt", now),
        )

    async def _ordered(
        self, order: PutProvider | SetProviderStatus
    ) -> tuple[ProviderChange | None, EventId]:
        await self._bus.publish(order)
        question = FindProviderChange(change_id=order.event_id)
        wait = FIRST_LOOK_S
        with anyio.move_on_after(OUTCOME_S):
            while True:
                found = await self._bus.ask(question, ProviderChangeFound)
                if found.change is not None:
                    return _accepted(found.change), order.event_id
                await anyio.sleep(wait)
                wait = min(LOOK_CAP_S, 2 * wait)
        return None, order.event_id


def revision_of(if_match: str) -> int:
    """Return the revision an edit was made from.

    >>> revision_of('"3"'), revision_of("3")
    (3, 3)

    Raises:
        Refusal: there is none, or it is no revision.
    """
    if not if_match:
        raise Refusal(
            HTTPStatus.PRECONDITION_REQUIRED,
            "REVISION_NEEDED",
            detail="an edit must say which revision it was made from",
            hint='send it in If-Match, as in: If-Match: "3"; a GET gives it as ETag',
        )
    found = _ETAG.fullmatch(if_match.strip())
    if found is None or int(found[1]) == 0:
        raise Refusal(
            400,
            "INVALID_REVISION",
            detail=f"If-Match holds no revision: {if_match[:40]!r}",
            hint='send the ETag of a GET, as in: If-Match: "3"',
        )
    return int(found[1])


def check_fields(body: bytes, record: ProviderRecord) -> None:
    """Refuse fields that nobody knows: a misspelled one would be dropped without a word.

    Raises:
        Refusal: there are some.
    """
    strange = tuple(_strange(msgspec.json.decode(body), record, ""))
    if strange:
        raise Refusal(
            422,
            "INVALID_PROVIDER",
            detail=f"the record has fields that do not exist: {', '.join(strange)}",
            hint="compare it with ProviderRecord in /schema/openapi.json",
            more={"faults": [f"there is no field {name}" for name in strange]},
        )


def _strange(given: object, known: object, path: str) -> Iterator[str]:
    if isinstance(known, Struct) and isinstance(given, dict):
        for name, value in given.items():
            if name not in known.__struct_fields__:
                yield f"{path}{name}"
            else:
                yield from _strange(value, getattr(known, name), f"{path}{name}.")
    elif isinstance(known, dict) and isinstance(given, dict):
        for name, value in given.items():
            yield from _strange(value, known.get(name), f"{path}{name}.")


def _accepted(change: ProviderChange) -> ProviderChange:
    if change.outcome not in _CODES:
        return change
    status, code, hint = _CODES[change.outcome]
    what = f"; {'; '.join(change.faults)}" if change.faults else ""
    raise Refusal(
        status,
        code,
        detail=f"{change.provider_id}: {change.reason}{what}",
        hint=hint,
        more={
            "outcome": change.outcome,
            "revision": change.revision,
            "provider_status": change.status,
            "faults": change.faults,
        },
    )


def _check_id(provider_id: str) -> None:
    if not is_id(provider_id) or len(provider_id) > ID_LIMIT:
        raise Refusal(
            422,
            "INVALID_PROVIDER",
            detail=f"not a provider id: {provider_id[:60]!r}",
            hint=f"letters, digits, - and _; {ID_LIMIT} at most",
            more={"faults": ["provider_id is not a subject token"]},
        )


def _unknown(provider_id: str, revision: int) -> Refusal:
    which = f"revision {revision} of " if revision else ""
    return Refusal(
        404,
        "UNKNOWN_PROVIDER",
        detail=f"there is no {which}provider {provider_id[:60]!r}",
        hint="GET /v1/admin/providers lists them",
    )


def _needed(object_info: Mapping[str, object], graph: Mapping[str, object]) -> dict[str, object]:
    """Return what a host says of a graph's own classes; all of it is larger than a message."""
    inner = graph.get("prompt")
    nodes = inner if isinstance(inner, dict) else graph
    used = {str(node.get("class_type")) for node in nodes.values() if isinstance(node, dict)}
    return {name: about for name, about in object_info.items() if name in used}
