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
    frames_of,
    opened,
    packets,
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


class Watch:
    """Takes in what is decoded of a file, and says in the end what the file is."""

    def __init__(self, pictures: VideoStream, limits: IntakeLimits) -> None:
        self._pictures = pictures
        self._limits = limits
        self._tally = Tally(limits)
        self._timeline = Timeline(pictures)
        self._looks = Looks(pictures)
        self._first: Look | None = None
        self._heard = False

    def see(self, frame: VideoFrame) -> tuple[Fraction, Look]:
        """Take a picture in; return when it is shown and how it is to be read.

        Raises:
            RefusedError: the clip is too long, or the picture has no usable size.
        """
        at = self._timeline.at(frame)
        self._tally.add(frame, at)
        look = self._looks.of(frame)
        self._first = self._first or look
        return at, look

    def hear(self) -> None:
        """Take in that there is a sound."""
        self._heard = True

    def facts(self, container: InputContainer, file: BinaryIO) -> Facts:
        """Return what the file is, once all of it was decoded.

        Raises:
            RefusedError: it cannot be used, or too much of it is missing.
        """
        if self._first is None:
            if self._pictures.frames:
                raise RefusedError(refuse(Code.TRUNCATED, found="nothing"))
            raise RefusedError(refuse(Code.UNREADABLE, detail="no picture could be decoded"))
        _check_whole(container, self._pictures, self._tally)
        times = self._tally.times
        start, seconds, average, pace = _rhythm(times, self._limits)
        return Facts(
            metadata=VideoMetadata(
                duration_ms=round(seconds * 1000),
                resolution="{}x{}".format(*_upright(self._first)),
                fps=shown_rate(average),
                codec=self._pictures.codec_context.name,
                file_size_bytes=os.fstat(file.fileno()).st_size,
                frame_count=len(times),
                has_audio=self._heard,
                content_hash=_digest(file),
            ),
            look=self._first,
            start=start,
            seconds=seconds,
            pace=pace,
        )


def measure(file: BinaryIO, limits: IntakeLimits) -> Facts:
    """Decode a file once and say what it is.

    Raises:
        RefusedError: the file cannot be used.
    """
    if refusal := size_refusal(os.fstat(file.fileno()).st_size, limits):
        raise RefusedError(refusal)
    with opened(file.fileno(), limits) as container:
        pictures = picture_stream(container, limits)
        sound = sound_stream(container)
        watch = Watch(pictures, limits)
        for frame in decoded(container, *((pictures,) if sound is None else (pictures, sound))):
            if isinstance(frame, VideoFrame):
                watch.see(frame)
            else:
                watch.hear()
        return watch.facts(container, file)


def foresee(file: BinaryIO, limits: IntakeLimits) -> Facts:
    """Say what a file seems to be, from the stamps of its packets and its first picture.

    Costs next to nothing, and is only good for planning: whoever plans by it must compare it with
    what was measured in the end.

    Raises:
        RefusedError: the file cannot be used, or not be foreseen.
    """
    if refusal := size_refusal(os.fstat(file.fileno()).st_size, limits):
        raise RefusedError(refusal)
    with opened(file.fileno(), limits) as container:
        pictures = picture_stream(container, limits)
        sound = sound_stream(container)
        times, look = _foreseen(container, pictures, limits)
        start, seconds, average, pace = _rhythm(times, limits)
        return Facts(
            metadata=VideoMetadata(
                duration_ms=round(seconds * 1000),
                resolution="{}x{}".format(*_upright(look)),
                fps=shown_rate(average),
                codec=pictures.codec_context.name,
                file_size_bytes=0,
                has_audio=sound is not None,
            ),
            look=look,
            start=start,
            seconds=seconds,
            pace=pace,
        )


def _foreseen(
    container: InputContainer, pictures: VideoStream, limits: IntakeLimits
) -> tuple[list[Fraction], Look]:
    times: list[Fraction] = []
    look: Look | None = None
    looks = Looks(pictures)
    for packet in packets(container, pictures):
        if look is None:
            seen = [frame for frame in frames_of(packet) if isinstance(frame, VideoFrame)]
            look = looks.of(seen[0]) if seen else None
        if packet.pts is not None and packet.time_base and packet.size:
            times.append(packet.pts * packet.time_base)
        if len(times) > limits.max_frames:
            break
    if look is None:
        raise RefusedError(refuse(Code.UNREADABLE, detail="no picture could be foreseen"))
    return times, look


def _upright(look: Look) -> tuple[int, int]:
    return (look.height, look.width) if look.turned else (look.width, look.height)


def _check_whole(container: InputContainer, pictures: VideoStream, tally: Tally) -> None:
    """Refuse a clip of which much is missing, by the kindest of the measures its header gives.

    A header may say anything; a clip is only refused when nothing it declares was found.
    """
    shares = []
    if pictures.frames:
        shares.append(tally.good / pictures.frames)
    declared = _declared_seconds(container, pictures)
    if declared:
        last = median(_intervals(tally.times) or [1 / (pictures.average_rate or _USUAL_RATE)])
        span = max(tally.times) - min(tally.times) + last
        shares.append(float(span / declared) * tally.good / len(tally.times))
    if shares and max(shares) < ENOUGH:
        raise RefusedError(refuse(Code.TRUNCATED, found=f"{max(shares):.0%}"))


def _declared_seconds(container: InputContainer, pictures: VideoStream) -> Fraction:
    if pictures.duration and pictures.time_base:
        return pictures.duration * pictures.time_base
    return Fraction(container.duration or 0, _MICROSECONDS)


def _rhythm(
    times: list[Fraction], limits: IntakeLimits
) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Return start and length in seconds, the average rate and the pace."""
    intervals, count = _intervals(times), len(times)
    if count < limits.min_frames or not intervals:
        raise RefusedError(refuse(Code.TOO_FEW_FRAMES, found=count, limit=limits.min_frames))
    start = min(times)
    mean, typical = sum(intervals, Fraction(0)) / len(intervals), median(intervals)
    even = abs(typical - mean) <= _EVEN * mean
    # how long the last picture stays is a claim of the file; the usual interval is a measure
    seconds = max(times) - start + (mean if even else typical)
    if seconds * 1000 > limits.max_duration_ms:
        raise RefusedError(refuse(Code.TOO_LONG, limit=limits.max_duration_ms))
    if seconds * 1000 < limits.min_duration_ms:
        raise RefusedError(
            refuse(Code.TOO_SHORT, found=round(seconds * 1000), limit=limits.min_duration_ms)
        )
    return start, seconds, 1 / mean, 1 / mean if even else max(1 / mean, 1 / typical)


def _intervals(times: list[Fraction]) -> list[Fraction]:
    """Return the times between neighbours that move forward."""
    ordered = sorted(times)
    return [after - before for before, after in pairwise(ordered) if after > before]


def shown_rate(average: Fraction) -> float:
    """Return a rate as people know it: a container's rounded stamps must not make 25 a 24.997."""
    nearest = min(STANDARD_RATES, key=lambda rate: abs(rate - average))
    if abs(nearest - average) <= _NEAR * nearest:
        return round(float(nearest), 3)
    return round(float(average), 3)


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed wants a readinto
