"""The provider catalog from the command line: list, show, add, edit, switch, import, validate."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from rich.table import Column, Table
from rich.text import Text

from actors.provider_registry.answers import validated
from actors.provider_registry.importing import Proposal, propose
from effectmesh.cli.console import (
    FAILED,
    USAGE,
    console,
    errors,
    fail,
    print_json,
    run,
    run_reading,
    settings,
)
from effectmesh.cli.provider_files import is_graph, object_info, read_json, read_record
from effectmesh.cli.remote import target_if_any, the_target
from effectmesh.client import Client, ProblemError, open_client
from effectmesh.reading import reading
from schemas.asks import ProviderFound, ProviderValidated
from schemas.routing import ProviderRecord

SHOWN: Final = 5
"""Changes that are shown of a provider's history."""
ADDRESS: Final = "/v1/admin/providers"
_HINTS: Final = {
    "UNPROVEN_PROVIDER": (
        "effectmesh provider validate {0} --comfyui URL; or wait until an agent can run it, "
        "as show says; or --force"
    ),
    "STALE_REVISION": "effectmesh provider show {0} --json has the newest; edit that",
    "PROVIDER_EXISTS": "effectmesh provider show {0} --json > FILE; then edit {0} FILE",
    "UNKNOWN_PROVIDER": "effectmesh provider list shows those there are",
}
"""What to do about a refusal, in the commands of this program."""


def show_list(*, as_json: bool) -> None:
    """List every provider; needs no running stack."""

    async def look() -> None:
        async with reading(settings()) as reader:
            found = await reader.providers()
        if as_json:
            print_json(found)
            return
        folding = ("status", "health", "effects", "looks", "gpu", "rev.")
        names = [Column(each, overflow="fold") for each in folding]
        table = Table(Column("provider", no_wrap=True), *names, box=None)
        for each in found:
            effects = ", ".join(each.capabilities)
            looks = ", ".join(each.supported_effect_types)
            gpu = each.cost_model.gpu_type_required
            rest = (effects, looks, gpu, str(each.revision))
            table.add_row(each.provider_id, each.status, _health(each), *rest)
        console.print(table)

    run_reading(look)


def show(provider_id: str, *, revision: int, as_json: bool) -> None:
    """Show one provider and its history."""

    async def look(client: Client) -> None:
        answer = await client.get(f"{_place(provider_id)}?revision={revision}")
        if as_json:
            print_json(answer)
            return
        found = msgspec.convert(answer, ProviderFound)
        assert found.record is not None, "found or refused"
        _print(found, found.record)

    _asking(look, about=provider_id)


def add(path: Path, *, force: bool, as_json: bool) -> None:
    """Add the provider that a file describes."""
    named = read_record(path)

    async def send(client: Client) -> None:
        _told(await client.post(f"{ADDRESS}?{_query(force=force)}", named.body), as_json=as_json)

    _asking(send, about=named.record.provider_id)


def edit(provider_id: str, path: Path, *, made_from: int, force: bool, as_json: bool) -> None:
    """Store a new revision, made from the one that the file or the option names."""
    named = read_record(path)
    revision = made_from or named.made_from
    if not revision:
        fail(
            f"{path} does not say which revision it was made from",
            hint=f"effectmesh provider show {provider_id} --json has it; or give --from",
            status=USAGE,
        )

    async def send(client: Client) -> None:
        where = f"{_place(provider_id)}?{_query(force=force)}"
        answer = await client.put(where, named.body, match=f'"{revision}"')
        _told(answer, as_json=as_json)

    _asking(send, about=provider_id)


def set_status(provider_id: str, status: str, *, reason: str, force: bool, as_json: bool) -> None:
    """Give a provider jobs, or no more."""

    async def send(client: Client) -> None:
        body = {"status": status, "reason": reason, "force": force}
        _told(await client.post(f"{_place(provider_id)}/status", body), as_json=as_json)

    _asking(send, about=provider_id)


def import_graph(
    path: Path,
    *,
    title: str,
    provider_id: str,
    comfyui: str,
    output: Path | None,
    put: bool,
    as_json: bool,
) -> None:
    """Propose the record that a graph would make; store it only when asked to."""
    graph = read_json(path)

    async def ask() -> Proposal:
        info = await object_info(comfyui, graph) if comfyui else None
        return propose(graph, provider_id=provider_id, title=title or path.stem, info=info)

    proposal = run(ask)
    record = proposal.record
    if record is None:
        if as_json:
            print_json({"record": None, "refusals": proposal.refusals, "notes": proposal.notes})
        fail(f"{path} cannot become a provider", faults=proposal.refusals)
    if output is not None:
        text = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
        output.write_bytes(text)
    if put:
        body = msgspec.to_builtins(record)

        async def send(client: Client) -> None:
            _told(await client.post(ADDRESS, body), as_json=as_json)

        _asking(send, about=record.provider_id)
        return
    if as_json:
        print_json({"record": record, "refusals": [], "notes": proposal.notes})
        return
    _print_record(record)
    for note in proposal.notes:
        console.print(Text.assemble(("  note: ", "yellow"), note), soft_wrap=True)
    if output is None:
        console.print("nothing was stored; keep it: --output FILE, or add it as a draft: --add")
    else:
        console.print(f"written to {output}; add it: effectmesh provider add {output}")


def validate(what: str, *, comfyui: str, as_json: bool) -> None:
    """Compare a stored provider, or the record or graph in a file, with a host."""
    path = Path(what)
    if path.is_file():
        raise SystemExit(run(lambda: _validate_file(path, comfyui, as_json=as_json)))

    async def ask(client: Client) -> int:
        found = msgspec.convert(await client.get(_place(what)), ProviderFound)
        assert found.record is not None, "found or refused"
        info = await object_info(comfyui, found.record.graph)
        body = {"provider_id": what, "object_info": info, "host": _host(comfyui)}
        answer = msgspec.convert(await client.post(f"{ADDRESS}/validate", body), ProviderValidated)
        return _verdict(what, comfyui, answer, as_json=as_json)

    raise SystemExit(_asking(ask, about=what))


async def _validate_file(path: Path, comfyui: str, *, as_json: bool) -> int:
    """Look at a record or a graph by itself; tell a running stack when the host can run it."""
    given = read_json(path)
    if is_graph(given):
        info = await object_info(comfyui, given)
        proposal = propose(given, title=path.stem, info=info)
        if proposal.record is None:
            fail(f"{path} cannot become a provider", faults=proposal.refusals)
        record = proposal.record
    else:
        record = read_record(path).record
        info = await object_info(comfyui, record.graph)
    answer = validated(record, info)
    able = not (answer.missing_classes or answer.missing_models or answer.faults)
    where = target_if_any()
    if able and where is not None:
        body = {
            "record": msgspec.to_builtins(record),
            "object_info": info,
            "host": _host(comfyui),
        }
        async with open_client(where.url, where.admin) as client:
            answer = msgspec.convert(
                await client.post(f"{ADDRESS}/validate", body), ProviderValidated
            )
    return _verdict(str(path), comfyui, answer, as_json=as_json)


def _verdict(what: str, comfyui: str, answer: ProviderValidated, *, as_json: bool) -> int:
    wrong = (
        *(f"the host has no class {each}" for each in answer.missing_classes),
        *(f"the host has no file {each}" for each in answer.missing_models),
        *answer.faults,
    )
    if as_json:
        print_json(answer)
        return FAILED if wrong else 0
    for note in answer.notes:
        console.print(Text.assemble(("  note: ", "yellow"), note), soft_wrap=True)
    if wrong:
        for each in wrong:
            errors.print(f"  {each}", markup=False)
        errors.print(f"{_host(comfyui)} cannot run {what}: {len(wrong)} things", markup=False)
        return FAILED
    kept = "; it may be enabled" if answer.remembered else ""
    console.print(f"{_host(comfyui)} can run {what}{kept}", markup=False)
    return 0


def _asking(main: Callable[[Client], Coroutine[Any, Any, Any]], *, about: str) -> Any:
    """Run something with the admin's client; say of a refusal what to do, and list every fault."""
    where = the_target()

    async def go() -> Any:
        async with open_client(where.url, where.admin) as client:
            try:
                return await main(client)
            except ProblemError as refused:
                problem = refused.problem
                hint = _HINTS.get(problem.code, problem.hint).format(about)
                what = problem.detail.split(";")[0] if problem.faults else problem.detail
                fail(f"{what} ({problem.code})", faults=problem.faults, hint=hint)

    return run(go)


def _told(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    name, outcome = answer["provider_id"], answer["outcome"]
    if outcome == "pending":
        console.print(f"{name}: the order is stored, and not carried out yet; see: effectmesh")
        console.print(f"provider show {name}")
        return
    if outcome == "unchanged":
        console.print(f"{name}: nothing changed; {answer['reason']}", markup=False)
        return
    status, before = answer["status"], answer["previous"]
    moved = f"{before} -> {status}" if before and before != status else status
    reason = f"; {answer['reason']}" if answer["reason"] else ""
    console.print(f"{name}: revision {answer['revision']}, {moved}{reason}", markup=False)


def _print(found: ProviderFound, record: ProviderRecord) -> None:
    _print_record(record)
    proven = "yes" if found.proven else "no; effectmesh provider validate"
    console.print(f"  agents     {', '.join(found.agents) or 'none'}", markup=False)
    console.print(f"  proven     {proven}")
    for each in found.revisions[:SHOWN]:
        at = each.created_at.strftime("%Y-%m-%d %H:%M")
        console.print(f"  revision   {each.revision:<4} {at}  {each.by or each.origin}")
    for change in found.changes[:SHOWN]:
        at = change.at.strftime("%Y-%m-%d %H:%M")
        what = change.status if change.kind == "status" else f"revision {change.revision}"
        console.print(
            f"  {at}  {change.outcome:<10} {what}  {change.by}  {change.reason}".rstrip(),
            markup=False,
        )


def _print_record(record: ProviderRecord) -> None:
    mapping = record.node_mapping
    nodes = {
        "clip": mapping.video_input_node,
        "result": mapping.output_node,
        "prompt": mapping.prompt_node,
        "negative": mapping.negative_prompt_node,
        "sampler": mapping.sampler_node,
        "loader": mapping.checkpoint_loader,
    }
    cost = record.cost_model
    lines = {
        "name": record.display_name,
        "status": f"{record.status}, {_health(record)}",
        "effects": ", ".join((*record.capabilities, *record.supported_effect_types)),
        "nodes": ", ".join(f"{name} {node}" for name, node in nodes.items() if node),
        "classes": ", ".join(record.node_dependencies),
        "files": ", ".join(record.required_models) or "none",
        "parameters": ", ".join(record.parameter_rules) or "none",
        "cost": f"{cost.avg_gpu_seconds_per_frame:g} s a frame on {cost.gpu_type_required}",
    }
    console.print(f"{record.provider_id}  revision {record.revision}", markup=False)
    for name, value in lines.items():
        console.print(f"  {name:<10} {value}", markup=False, soft_wrap=True)


def _health(record: ProviderRecord) -> str:
    if record.health is None:
        return "not checked yet"
    return f"{record.health.status} {record.health.health_score:.2f}"


def _place(provider_id: str) -> str:
    return f"{ADDRESS}/{quote(provider_id, safe='')}"


def _query(*, force: bool) -> str:
    return f"force={'true' if force else 'false'}"


def _host(comfyui: str) -> str:
    return urlsplit(comfyui).netloc or comfyui
