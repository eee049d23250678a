"""The ``video`` commands and their options. Imports nothing heavy, as ``app`` does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

video = typer.Typer(
    help="Look at a clip and normalise it, without a running stack.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Clip = Annotated[Path, typer.Argument(metavar="FILE", help="The clip.")]


@video.command("probe")
def probe_video(file: Clip, *, json: Json = False) -> None:
    """Measure a clip and say whether it would be taken; exit status 1 when not."""
    from effectmesh.cli import videos

    videos.probe(file, as_json=json)


@video.command("analyze")
def analyze_video(file: Clip, *, json: Json = False) -> None:
    """Say what is in a clip: scenes, style, motion, and which effects it is eligible for."""
    from effectmesh.cli import videos

    videos.analyze(file, as_json=json)


@video.command("normalize")
def normalize_video(
    file: Clip,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the mezzanine goes; FILE.normalized.mp4."),
    ] = None,
    poster: Annotated[Path | None, typer.Option(help="Where a picture goes, as WebP.")] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Where a moving preview goes, as WebP.")
    ] = None,
    waveform: Annotated[
        Path | None, typer.Option(help="Where the sound's waveform goes, as JSON.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    json: Json = False,
) -> None:
    """Write the one form in which every later step sees a clip, and print what changed."""
    from effectmesh.cli import videos

    videos.normalize(
        file,
        output=output,
        extras={"poster": poster, "preview": preview, "waveform": waveform},
        force=force,
        as_json=json,
    )
