"""The ``provider`` commands and their options. Imports nothing heavy, as ``app`` does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

provider = typer.Typer(help="The provider catalog.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="Its id, such as fx-dream-v1.")]
RecordFile = Annotated[Path, typer.Argument(metavar="FILE", help="A provider's record, as JSON.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]
Force = Annotated[bool, typer.Option("--force", help="Though no host is known that can run it.")]


@provider.command("list")
def list_providers(*, json: Json = False) -> None:
    """List every provider."""
    from effectmesh.cli import providers

    providers.show_list(as_json=json)


@provider.command("show")
def show_provider(
    provider_id: Provider,
    *,
    revision: Annotated[int, typer.Option(min=0, help="As it was then; 0 is now.")] = 0,
    json: Json = False,
) -> None:
    """Show a provider, its history, and the agents that can run it."""
    from effectmesh.cli import providers

    providers.show(provider_id, revision=revision, as_json=json)


@provider.command("add")
def add_provider(file: RecordFile, *, force: Force = False, json: Json = False) -> None:
    """Add the provider that a file describes; harmless to repeat."""
    from effectmesh.cli import providers

    providers.add(file, force=force, as_json=json)


@provider.command("edit")
def edit_provider(
    provider_id: Provider,
    file: RecordFile,
    *,
    made_from: Annotated[
        int, typer.Option("--from", min=0, help="The revision that was edited; 0 is the file's.")
    ] = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Store a new revision; refused when somebody else stored one first."""
    from effectmesh.cli import providers

    providers.edit(provider_id, file, made_from=made_from, force=force, as_json=json)


@provider.command("enable")
def enable_provider(
    provider_id: Provider, *, reason: Reason = "", force: Force = False, json: Json = False
) -> None:
    """Give a provider jobs."""
    from effectmesh.cli import providers

    providers.set_status(provider_id, "active", reason=reason, force=force, as_json=json)


@provider.command("shadow")
def shadow_provider(
    provider_id: Provider, *, reason: Reason = "", force: Force = False, json: Json = False
) -> None:
    """Give a provider real jobs whose results nobody sees."""
    from effectmesh.cli import providers

    providers.set_status(provider_id, "shadow", reason=reason, force=force, as_json=json)


@provider.command("drain")
def drain_provider(provider_id: Provider, *, reason: Reason = "", json: Json = False) -> None:
    """Give a provider no new jobs; what waits for it is still done."""
    from effectmesh.cli import providers

    providers.set_status(provider_id, "draining", reason=reason, force=False, as_json=json)


@provider.command("disable")
def disable_provider(provider_id: Provider, *, reason: Reason = "", json: Json = False) -> None:
    """Switch a provider off: agents take no more of its work."""
    from effectmesh.cli import providers

    providers.set_status(provider_id, "disabled", reason=reason, force=False, as_json=json)


@provider.command("draft")
def draft_provider(provider_id: Provider, *, reason: Reason = "", json: Json = False) -> None:
    """Let agents find out whether they can run a provider, without giving it jobs."""
    from effectmesh.cli import providers

    providers.set_status(provider_id, "draft", reason=reason, force=False, as_json=json)


@provider.command("import")
def import_graph(
    graph: Annotated[
        Path, typer.Argument(metavar="GRAPH", help="A graph that ComfyUI exported for its API.")
    ],
    *,
    title: Annotated[str, typer.Option(help="What the look is called.")] = "",
    provider_id: Annotated[str, typer.Option("--id", help="What the provider is called.")] = "",
    comfyui: Annotated[
        str, typer.Option(help="A host to read bounds and choices from, http://host:8188.")
    ] = "",
    output: Annotated[Path | None, typer.Option(help="Where the record goes.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Add it, as a draft.")] = False,
    json: Json = False,
) -> None:
    """Propose the provider that a graph would make, or say every reason why it cannot be one."""
    from effectmesh.cli import providers

    providers.import_graph(
        graph,
        title=title,
        provider_id=provider_id,
        comfyui=comfyui,
        output=output,
        put=add,
        as_json=json,
    )


@provider.command("validate")
def validate_provider(
    what: Annotated[str, typer.Argument(metavar="PROVIDER|FILE", help="Stored, or in a file.")],
    *,
    comfyui: Annotated[str, typer.Option(help="The ComfyUI host, http://host:8188.")],
    json: Json = False,
) -> None:
    """List all that a host lacks for a provider; exit status 1 when it cannot run it."""
    from effectmesh.cli import providers

    providers.validate(what, comfyui=comfyui, as_json=json)
