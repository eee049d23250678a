"""HTTP of the provider catalog, for the platform's operators."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter, SkipValidation

from gateway import bodies
from gateway.errors import Refusal
from gateway.guards import SignedIn, WebRequest, operators_only
from gateway.problems import PROBLEMS
from gateway.providers import ProviderDesk, check_fields, revision_of
from gateway.routes_jobs import TheBus
from gateway.settings import OBJECT_INFO_BYTES, RECORD_BODY_BYTES
from schemas.asks import (
    ListProviders,
    ProviderChange,
    ProviderFound,
    ProviderPage,
    ProviderProposal,
    ProviderValidated,
)
from schemas.base import EventId
from schemas.routing import ProviderRecord

Providers = NamedDependency[SkipValidation[ProviderDesk]]
Revision = Annotated[int, QueryParameter(ge=0, le=1_000_000_000)]
Force = Annotated[bool, QueryParameter(name="force")]

PATH: Final = "/admin/providers"


@get(PATH, guards=[operators_only], responses=PROBLEMS)
async def list_records(bus: TheBus) -> ProviderPage:
    """List every provider's newest revision without its graph, with status and health."""
    return await bus.ask(ListProviders(), ProviderPage)


@get(PATH + "/{provider_id:str}", guards=[operators_only], responses=PROBLEMS)
async def show_record(
    provider_id: FromPath[str], providers: Providers, revision: Revision = 0
) -> Response[ProviderFound]:
    """Show one provider, its history, and the agents that can run it; the ETag is its revision."""
    found = await providers.find(provider_id, revision=revision)
    newest = found.revisions[0].revision if found.revisions else 0
    return Response(found, headers={"ETag": f'"{newest}"'})


@post(
    PATH,
    guards=[operators_only],
    status_code=201,
    responses=PROBLEMS,
    request_max_body_size=RECORD_BODY_BYTES,
)
async def add_record(
    request: WebRequest,
    data: JSONBody[ProviderRecord],
    caller: SignedIn,
    providers: Providers,
    *,
    force: Force = False,
) -> Response[bodies.ChangeView]:
    """Add a provider; 200 when there is one with the same content already."""
    check_fields(await request.body(), data)
    change, order = await providers.put(caller, data, made_from=0, force=force)
    return _changed(data.provider_id, change, order, made=201)


@put(
    PATH + "/{provider_id:str}",
    guards=[operators_only],
    status_code=200,
    responses=PROBLEMS,
    request_max_body_size=RECORD_BODY_BYTES,
)
async def edit_record(
    request: WebRequest,
    provider_id: FromPath[str],
    data: JSONBody[ProviderRecord],
    caller: SignedIn,
    providers: Providers,
    *,
    if_match: Annotated[str, HeaderParameter(name="If-Match")] = "",
    force: Force = False,
) -> Response[bodies.ChangeView]:
    """Store a new revision. Its status stays what it is."""
    check_fields(await request.body(), data)
    if data.provider_id != provider_id:
        raise Refusal(
            422,
            "INVALID_PROVIDER",
            detail=f"the record is of {data.provider_id[:60]!r}, not of {provider_id[:60]!r}",
            hint="a provider keeps its id; add a new one for another",
            more={"faults": ["provider_id differs from the address"]},
        )
    made_from = revision_of(if_match)
    change, order = await providers.put(caller, data, made_from=made_from, force=force)
    return _changed(provider_id, change, order, made=200)


@post(
    PATH + "/{provider_id:str}/status", guards=[operators_only], status_code=200, responses=PROBLEMS
)
async def set_status(
    provider_id: FromPath[str],
    data: JSONBody[bodies.StatusBody],
    caller: SignedIn,
    providers: Providers,
) -> Response[bodies.ChangeView]:
    """Give a provider jobs, on shadow or not, let it drain, or switch it off."""
    change, order = await providers.set_status(caller, provider_id, data)
    return _changed(provider_id, change, order, made=200)


@post(
    PATH + "/import",
    guards=[operators_only],
    status_code=200,
    responses=PROBLEMS,
    request_max_body_size=OBJECT_INFO_BYTES,
)
async def import_graph(data: JSONBody[bodies.ImportBody], providers: Providers) -> ProviderProposal:
    """Propose the record that a graph in API format would make; nothing is stored."""
    return await providers.propose(data)


@post(
    PATH + "/validate",
    guards=[operators_only],
    status_code=200,
    responses=PROBLEMS,
    request_max_body_size=OBJECT_INFO_BYTES,
)
async def validate_record(
    data: JSONBody[bodies.ValidateBody], providers: Providers
) -> ProviderValidated:
    """List everything that stands between a record and a host; a host that can run it is noted."""
    return await providers.validate(data)


def _changed(
    provider_id: str, change: ProviderChange | None, order: EventId, *, made: int
) -> Response[bodies.ChangeView]:
    links = {"self": f"/v1{PATH}/{provider_id}"}
    if change is None:
        shown = bodies.ChangeView(
            provider_id=provider_id, outcome="pending", change_id=order, links=links
        )
        return Response(shown, status_code=202, headers={"Location": links["self"]})
    shown = bodies.ChangeView(
        provider_id=change.provider_id,
        outcome=change.outcome,
        change_id=order,
        revision=change.revision,
        status=change.status,
        previous=change.previous,
        reason=change.reason,
        links=links,
    )
    new = change.outcome == "done"
    return Response(
        shown,
        status_code=made if new else 200,
        headers={"Location": links["self"], "ETag": f'"{change.revision}"'},
    )


HANDLERS = (
    list_records,
    show_record,
    add_record,
    edit_record,
    set_status,
    import_graph,
    validate_record,
)
