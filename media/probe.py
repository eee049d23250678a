"""The measured facts of a file: every picture is decoded, no header is believed.

Runs inside the child process of ``media.sandbox``; see ``media.decoding`` for the guards.
"""

from __future__ import annotations

import hashlib
import os
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import BinaryIO, Final

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from msgspec import Struct

from media.decoding import (
    Look,
    Looks,
    Timeline,
    check_size,
    decoded,
    opened,
    picture_stream,
    sound_stream,
)
from media.mezzanine import STANDARD_RATES
from media.verdicts import Code, IntakeLimits, RefusedError, refuse, size_refusal
from schemas.video import VideoMetadata

ENOUGH: Final = 0.9
"""The share of the declared clip that must decode."""
_EVEN: Final = Fraction(1, 50)
"""A typical interval this close to the mean one means a constant rate."""
_NEAR: Final = Fraction(1, 400)
_MICROSECONDS: Final = 1_000_000
_USUAL_RATE: Final = Fraction(25)


class Facts(Struct, frozen=True, kw_only=True):
    """What normalising needs to know beyond the metadata."""

    metadata: VideoMetadata
    look: Look
    """How the first picture is to be read."""
    start: Fraction
    """When the first picture is shown, in seconds of the file's own clock."""
    seconds: Fraction
    pace: Fraction
    """Pictures a second while it moves; above the average when the rate varies."""


class Tally:
    """Counts pictures and their times, and refuses as soon as a limit is passed."""

    def __init__(self, limits: IntakeLimits) -> None:
        self._limits = limits
        self.times: list[Fraction] = []
        self.good = 0

    def add(self, frame: VideoFrame, at: Fraction) -> None:
        """Take one picture into account.

        Raises:
            RefusedError: the clip is too long, or the picture has no usable size.
        """
        limits = self._limits
        check_size(frame.width, frame.height, limits)
        if len(self.times) >= limits.max_frames:
            raise RefusedError(refuse(Code.TOO_MANY_FRAMES, limit=limits.max_frames))
        self.times.append(at)
        self.good += not frame.is_corrupt
        if (at - self.times[0]) * 1000 > limits.max_duration_ms:
            raise RefusedError(refuse(Code.TOO_LONG, limit=limits.max_duration_ms))

    def intervals(self) -> list[Fraction]:
        """Return the times between neighbours that move forward."""
        ordered = sorted(self.times)
        return [after - before for before, after in pairwise(ordered) if after > before]


def measure(file: BinaryIO, limits: IntakeLimits) -> Facts:
    """Decode a file once and say what it is.

    Raises:
        RefusedError: the file cannot be used.
    """
    handle = file.fileno()
    size = os.fstat(handle).st_size
    if refusal := size_refusal(size, limits):
        raise RefusedError(refusal)
    with opened(handle, limits) as container:
        pictures = picture_stream(container, limits)
        codec = pictures.codec_context.name
        look, tally, heard = _watch(container, pictures, sound_stream(container), limits)
        _check_whole(container, pictures, tally)
    start, seconds, average, pace = _rhythm(tally, limits)
    turned = (look.height, look.width) if look.turned else (look.width, look.height)
    return Facts(
        metadata=VideoMetadata(
            duration_ms=round(seconds * 1000),
            resolution="{}x{}".format(*turned),
            fps=_shown(average),
            codec=codec,
            file_size_bytes=size,
            frame_count=len(tally.times),
            has_audio=heard,
            content_hash=_digest(file),
        ),
        look=look,
        start=start,
        seconds=seconds,
        pace=pace,
    )


def _watch(
    container: InputContainer,
    pictures: VideoStream,
    sound: AudioStream | None,
    limits: IntakeLimits,
) -> tuple[Look, Tally, bool]:
    tally, timeline, heard = Tally(limits), Timeline(pictures), False
    look: Look | None = None
    streams = (pictures,) if sound is None else (pictures, sound)
    for frame in decoded(container, *streams):
        if isinstance(frame, VideoFrame):
            tally.add(frame, timeline.at(frame))
            look = look or Looks(pictures).of(frame)
        else:
            heard = True
    if look is None:
        if pictures.frames:
            raise RefusedError(refuse(Code.TRUNCATED, found="nothing"))
        raise RefusedError(refuse(Code.UNREADABLE, detail="no picture could be decoded"))
    return look, tally, heard


def _check_whole(container: InputContainer, pictures: VideoStream, tally: Tally) -> None:
    """Refuse a clip of which much is missing, by the kindest of the measures its header gives.

    A header may say anything; a clip is only refused when nothing it declares was found.
    """
    shares = []
    if pictures.frames:
        shares.append(tally.good / pictures.frames)
    declared = _declared_seconds(container, pictures)
    if declared:
        last = median(tally.intervals() or [1 / (pictures.average_rate or _USUAL_RATE)])
        span = max(tally.times) - min(tally.times) + last
        shares.append(float(span / declared) * tally.good / len(tally.times))
    if shares and max(shares) < ENOUGH:
        raise RefusedError(refuse(Code.TRUNCATED, found=f"{max(shares):.0%}"))


def _declared_seconds(container: InputContainer, pictures: VideoStream) -> Fraction:
    if pictures.duration and pictures.time_base:
        return pictures.duration * pictures.time_base
    return Fraction(container.duration or 0, _MICROSECONDS)


def _rhythm(tally: Tally, limits: IntakeLimits) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Return start and length in seconds, the average rate and the pace."""
    intervals, count = tally.intervals(), len(tally.times)
    if count < limits.min_frames or not intervals:
        raise RefusedError(refuse(Code.TOO_FEW_FRAMES, found=count, limit=limits.min_frames))
    start = min(tally.times)
    mean, typical = sum(intervals, Fraction(0)) / len(intervals), median(intervals)
    even = abs(typical - mean) <= _EVEN * mean
    # how long the last picture stays is a claim of the file; the usual interval is a measure
    seconds = max(tally.times) - start + (mean if even else typical)
    if seconds * 1000 > limits.max_duration_ms:
        raise RefusedError(refuse(Code.TOO_LONG, limit=limits.max_duration_ms))
    if seconds * 1000 < limits.min_duration_ms:
        raise RefusedError(
            refuse(Code.TOO_SHORT, found=round(seconds * 1000), limit=limits.min_duration_ms)
        )
    return start, seconds, 1 / mean, 1 / mean if even else max(1 / mean, 1 / typical)


def _shown(average: Fraction) -> float:
    """Return a rate as people know it: a container's rounded stamps must not make 25 a 24.997."""
    nearest = min(STANDARD_RATES, key=lambda rate: abs(rate - average))
    if abs(nearest - average) <= _NEAR * nearest:
        return round(float(nearest), 3)
    return round(float(average), 3)


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed wants a readinto
