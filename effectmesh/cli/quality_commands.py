"""The ``quality`` commands and their options. Imports nothing heavy, as ``app`` does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

quality = typer.Typer(
    help="Say how good results are, without a running stack.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Input = Annotated[Path, typer.Argument(metavar="INPUT", help="The clip it was made from.")]
Effect = Annotated[
    str, typer.Option("--effect", "-e", help="What was asked for; nothing means: change nothing.")
]
Provider = Annotated[
    str, typer.Option(help="Whose look was asked for, such as fx-noir-v1; names its effect too.")
]
AsIs = Annotated[
    bool, typer.Option("--as-is", help="The input is what the provider got; do not normalise it.")
]
Vmaf = Annotated[bool, typer.Option("--vmaf", help="Tell VMAF too; needs effectmesh[vmaf].")]


@quality.command("score")
def score_result(
    source: Input,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The result.")],
    *,
    effect: Effect = "",
    provider: Provider = "",
    as_is: AsIs = False,
    vmaf: Vmaf = False,
    json: Json = False,
) -> None:
    """Score one result against its input; exit status 1 when nothing can be said."""
    from effectmesh.cli import qualities

    asked = qualities.Asked(effect=effect, provider=provider, as_is=as_is, vmaf=vmaf)
    qualities.score(source, output, asked, as_json=json)


@quality.command("compare")
def compare_results(
    source: Input,
    outputs: Annotated[list[Path], typer.Argument(metavar="OUTPUT...", help="The results.")],
    *,
    effect: Effect = "",
    provider: Provider = "",
    as_is: AsIs = False,
    vmaf: Vmaf = False,
    html: Annotated[
        Path | None, typer.Option(help="Where a report goes: one page with curves and frames.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the report.")] = False,
    json: Json = False,
) -> None:
    """Rank results of one input; exit status 1 when nothing can be said of one of them."""
    from effectmesh.cli import qualities

    asked = qualities.Asked(effect=effect, provider=provider, as_is=as_is, vmaf=vmaf)
    qualities.compare(source, outputs, asked, html=html, force=force, as_json=json)
