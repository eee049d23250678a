"""One clip from the command line: probe, analyze, normalize. Needs no running stack."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn

import msgspec
from msgspec import Struct

from effectmesh.cli.console import FAILED, console, errors, fail, print_json, settings
from effectmesh.cli.files import beside, placed, readable, writable
from effectmesh.cli.telling_analysis import tell
from effectmesh.cli.working import bar, normalized, run_locally
from effectmesh.footage.asking import NoAnswerError, peek, watch
from effectmesh.footage.jobs import Peeked, Watched
from effectmesh.footage.names import shown
from effectmesh.limits import limits_of
from media.errors import SandboxBrokenError
from media.sandbox import Sandbox
from media.verdicts import Inspected, IntakeLimits, Normalized, Refusal
from schemas.video import VideoMetadata

_ANY_LENGTH_MS: Final = 24 * 3_600_000
_MEGABYTE: Final = 1_000_000


class Probed(Struct, frozen=True, kw_only=True):
    """What ``video probe --json`` prints."""

    file: str
    accepted: bool
    code: str = ""
    """Why not; stable."""
    reason: str = ""
    hint: str = ""
    measured: VideoMetadata | None = None
    """By decoding; nothing of a clip that would not be taken."""
    stored: Peeked | None = None
    """How it is stored, as far as its first picture tells."""


class Changed(Struct, frozen=True, kw_only=True):
    """What ``video normalize --json`` prints."""

    source: VideoMetadata
    normalized: VideoMetadata
    stored: Peeked | None
    files: Mapping[str, str]
    changes: tuple[str, ...]


def probe(file: Path, *, as_json: bool) -> None:
    """Measure a clip and say whether it would be taken."""
    clip, limits = readable(file), limits_of(settings())

    async def look() -> Probed:
        with errors.status("measuring ..."):
            verdict = await Sandbox(limits=limits).inspect(clip)
            return _probed(file, verdict, await _stored(clip, limits))

    found = run_locally(look)
    if as_json:
        print_json(found)
    elif found.measured is not None:
        _tell_measured(found.measured, found.stored)
        console.print("intake would take it")
    else:
        _tell_refused(found)
    if not found.accepted:
        raise SystemExit(FAILED)


def analyze(file: Path, *, as_json: bool) -> None:
    """Say what is in a clip."""
    clip, limits = readable(file), limits_of(settings())

    async def look() -> Watched | Refusal:
        with TemporaryDirectory(prefix="analyze-") as folder, bar() as screen:
            made = await normalized(clip, Path(folder), limits, screen=screen)
            if isinstance(made, Refusal):
                return made
            screen.add_task("watching", total=None, share="")
            return await watch(Path(folder) / made.video)

    try:
        seen = run_locally(look)
    except NoAnswerError as error:
        fail(f"{shown(file)} cannot be analysed: {error}", hint="try another recording of it")
    if isinstance(seen, Refusal):
        refused(file, seen)
    if as_json:
        print_json(seen.analysis)
        return
    tell(seen.analysis, complete=seen.complete)


def normalize(
    file: Path,
    *,
    output: Path | None,
    extras: Mapping[str, Path | None],
    force: bool,
    as_json: bool,
) -> None:
    """Write a clip's mezzanine and what goes with it."""
    clip, limits = readable(file), limits_of(settings())
    target = output or file.with_name(f"{file.stem}.normalized.mp4")
    targets = {"mezzanine": target, **{what: path for what, path in extras.items() if path}}
    writable(targets, force=force, inputs=(clip,))

    async def make() -> Changed | Refusal:
        with beside(target) as folder, bar() as screen:
            stored = await _stored(clip, limits)
            made = await normalized(clip, folder, limits, screen=screen)
            if isinstance(made, Refusal):
                return made
            written = _place(made, folder, targets, force=force)
            return Changed(
                source=made.source,
                normalized=made.metadata,
                stored=stored,
                files={what: shown(path) for what, path in written.items()},
                changes=changes(made, stored),
            )

    done = run_locally(make)
    if isinstance(done, Refusal):
        refused(file, done)
    if "waveform" in targets and "waveform" not in done.files:
        errors.print("no waveform is written: the clip is silent")
    if as_json:
        print_json(done)
        return
    for each in done.changes:
        console.print(each, markup=False)
    for what, path in done.files.items():
        console.print(f"{what}: {path}", markup=False, soft_wrap=True)


def refused(file: Path, refusal: Refusal) -> NoReturn:
    """End with why a clip is not taken."""
    fail(f"{shown(file)}: {refusal.reason} ({refusal.code})", hint=refusal.hint)


def changes(made: Normalized, stored: Peeked | None) -> tuple[str, ...]:
    """Return what normalising changed, a line for each."""
    before, after = made.source, made.metadata
    told = [
        _change("size", before.resolution, after.resolution),
        _change("rate", f"{before.fps:g} fps", f"{after.fps:g} fps"),
        _change("length", _length(before), _length(after)),
        _change("codec", before.codec, after.codec),
        _change("bytes", f"{before.file_size_bytes:,}", f"{after.file_size_bytes:,}"),
    ]
    if stored is not None:
        told += [
            _change("rotation", stored.rotation, "none"),
            _change("pixels", stored.pixel_aspect, "1:1"),
            _change("range", stored.hdr or "standard", "standard"),
        ]
    sound = _sound(stored) if before.has_audio else "none"
    told.append(_change("sound", sound, "aac 48000 Hz stereo" if after.has_audio else "none"))
    return tuple(told)


def _change(what: str, before: str, after: str) -> str:
    return f"{what:<9} {before}" + (f" -> {after}" if before != after else "")


def _place(
    made: Normalized, folder: Path, targets: Mapping[str, Path], *, force: bool
) -> dict[str, Path]:
    names = {"mezzanine": made.video, "poster": made.poster, "preview": made.preview}
    names["waveform"] = made.waveform
    written: dict[str, Path] = {}
    for what, target in targets.items():
        if not names[what]:
            continue
        if target.parent == folder.parent:
            placed(folder / names[what], target, force=force)
        else:
            # another disk, perhaps; what is moved in the end must be on the right one
            with beside(target) as near:
                shutil.copyfile(folder / names[what], near / names[what])
                placed(near / names[what], target, force=force)
        written[what] = target
    return written


async def _stored(file: Path, limits: IntakeLimits) -> Peeked | None:
    """Return how a file is stored, even of one that is too long to be taken."""
    generous = msgspec.structs.replace(
        limits, max_duration_ms=_ANY_LENGTH_MS, min_duration_ms=0, min_frames=1
    )
    try:
        return await peek(file, generous)
    except (NoAnswerError, SandboxBrokenError):
        return None


def _probed(file: Path, verdict: Inspected | Refusal, stored: Peeked | None) -> Probed:
    if isinstance(verdict, Refusal):
        return Probed(
            file=shown(file.name),
            accepted=False,
            code=verdict.code,
            reason=verdict.reason,
            hint=verdict.hint,
            stored=stored,
        )
    return Probed(file=shown(file.name), accepted=True, measured=verdict.metadata, stored=stored)


def _tell_measured(measured: VideoMetadata, stored: Peeked | None) -> None:
    _line("length", _length(measured))
    _line("pictures", f"{measured.frame_count}, {measured.fps:g} a second")
    _line("size", measured.resolution)
    _line("codec", measured.codec)
    _line("sound", _sound(stored) if measured.has_audio else "none")
    if stored is not None:
        _tell_stored(stored)
    _line("bytes", f"{measured.file_size_bytes:,}")
    _line("sha-256", measured.content_hash)


def _tell_stored(stored: Peeked) -> None:
    _line("container", stored.container)
    _line("stored as", f"{stored.stored_size} {stored.pixel_format}, pixels {stored.pixel_aspect}")
    _line("rotation", stored.rotation)
    _line("hdr", stored.hdr or "no")
    if stored.mezzanine:
        _line("form", "it is a mezzanine already")


def _tell_refused(found: Probed) -> None:
    if found.stored is not None:
        _line("codec", found.stored.codec)
        _line("sound", _sound(found.stored))
        _tell_stored(found.stored)
    errors.print(f"intake would not take it: {found.reason} ({found.code})", markup=False)
    errors.print(f"  fix: {found.hint}", markup=False)


def _line(what: str, value: str) -> None:
    console.print(f"{what:<10} {value}", markup=False, highlight=False, soft_wrap=True)


def _length(clip: VideoMetadata) -> str:
    return f"{clip.duration_ms / 1000:.3f} s"


def _sound(stored: Peeked | None) -> str:
    if stored is None:
        return "yes"
    if not stored.sound_codec:
        return "none"
    channels = {1: "mono", 2: "stereo"}.get(stored.sound_channels, f"{stored.sound_channels} ch")
    return f"{stored.sound_codec} {stored.sound_rate_hz} Hz {channels}"
