"""The ``prompt`` commands and their options. Imports nothing heavy, as ``app`` does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

prompt = typer.Typer(
    help="The prompt templates, and what each has won.", no_args_is_help=True, rich_markup_mode=None
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Folder = Annotated[
    Path | None, typer.Option(help="Templates of your own.", exists=True, file_okay=False)
]


@prompt.command("list")
def list_templates(*, folder: Folder = None, json: Json = False) -> None:
    """List every template: what it is for, and which part of the jobs it may get."""
    from effectmesh.cli import prompts

    prompts.show_list(folder, as_json=json)


@prompt.command("show")
def show_template(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="Its id, such as generic.")],
    *,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Show a template whole."""
    from effectmesh.cli import prompts

    prompts.show(template, folder, as_json=json)


@prompt.command("check")
def check_templates(*, folder: Folder = None) -> None:
    """Try every template; exit status 1 and the reason when one cannot be used."""
    from effectmesh.cli import prompts

    prompts.check(folder)


@prompt.command("render")
def render_prompts(
    effect: Annotated[str, typer.Argument(metavar="EFFECT", help="Such as style_transfer.")],
    *,
    look: Annotated[str, typer.Option(help="A look within the effect.")] = "",
    wish: Annotated[str, typer.Option(help="What a user wants, in their own words.")] = "",
    analysis: Annotated[
        Path | None,
        typer.Option(help="What is in the clip, as JSON.", exists=True, dir_okay=False),
    ] = None,
    job: Annotated[str, typer.Option(help="The job whose seeds to use.")] = "job_preview",
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Show what would be asked of providers. Needs no servers and asks no language model."""
    from effectmesh.cli import prompts

    prompts.render(effect, look, wish, analysis_file=analysis, job=job, folder=folder, as_json=json)


@prompt.command("ab")
def compare_templates(
    effect: Annotated[str, typer.Argument(metavar="[EFFECT]", help="Only this effect's.")] = "",
    *,
    json: Json = False,
) -> None:
    """Compare templates by the quality they won, and show the part of the jobs each gets next."""
    from effectmesh.cli import prompts

    prompts.compare(effect, as_json=json)
