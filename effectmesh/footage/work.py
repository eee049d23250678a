"""What the child does with its files."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame

from actors.content_analysis import core
from effectmesh.footage.jobs import (
    Answer,
    Failed,
    Job,
    Opinion,
    Peek,
    Peeked,
    Pictures,
    Stills,
    Vmaf,
    Watch,
    Watched,
)
from media import analysis
from media.decoding import (
    Look,
    Looks,
    Timeline,
    decoded,
    opened,
    picture_stream,
    sound_stream,
)
from media.frames import UnreadableFootageError
from media.mezzanine import Frame, fitted, standard_rate
from media.probe import Facts, foresee
from media.quality_vmaf import NoVmafError
from media.quality_vmaf import vmaf as measured_vmaf
from media.tag_model import find_tag_model
from media.upright import Upright
from media.verdicts import RefusedError

_QUALITY: Final = 82
_HDR: Final = {16: "PQ", 18: "HLG"}
_TURNS: Final = {
    (): "none",
    ("transpose=clock",): "90 clockwise",
    ("transpose=cclock",): "90 counterclockwise",
    ("hflip", "vflip"): "180",
    ("hflip",): "mirrored",
    ("vflip",): "upside down",
}
_SIGNED: Final = "encoder"
"""Nearly every program writes its name under this into what it makes; normalising does not."""
_SOUND: Final = ("aac", 48_000, 2)


def answer(job: Job) -> Answer:
    """Do the job; what cannot be done is an answer too."""
    try:
        match job:
            case Peek():
                return _peeked(job)
            case Watch():
                return _watched(job)
            case Stills():
                return _pictures(job)
            case Vmaf():
                return Opinion(value=measured_vmaf(Path(job.source), Path(job.result)))
    except RefusedError as error:
        return Failed(why=error.refusal.reason)
    except (UnreadableFootageError, NoVmafError) as error:
        return Failed(why=str(error))
    except MemoryError:
        return Failed(why="it needs more memory than is allowed")
    except (OSError, FFmpegError) as error:
        return Failed(why=f"it cannot be decoded: {error.strerror}")


def _peeked(job: Peek) -> Peeked:
    with os.fdopen(os.dup(job.file), "rb") as file:
        facts = foresee(file, job.limits)
    with opened(job.file, job.limits) as container:
        sound = sound_stream(container)
        context = sound.codec_context if sound is not None else None
        look = facts.look
        return Peeked(
            container=container.format.name,
            codec=facts.metadata.codec,
            pixel_format=look.pixel_format,
            stored_size=f"{look.width}x{look.height}",
            rotation=_TURNS.get(look.turn, "turned and mirrored"),
            pixel_aspect=f"{look.aspect.numerator}:{look.aspect.denominator}",
            hdr=_HDR.get(look.transfer, ""),
            sound_codec=context.name if context is not None else "",
            sound_rate_hz=context.sample_rate if context is not None else 0,
            sound_channels=context.channels if context is not None else 0,
            mezzanine=_is_mezzanine(container, facts),
        )


def _is_mezzanine(container: InputContainer, facts: Facts) -> bool:
    """Tell whether every mark of a mezzanine is there; then there is nothing to normalise."""
    look, rate = facts.look, standard_rate(facts.pace)
    sounds = [
        (each.codec_context.name, each.codec_context.sample_rate, each.codec_context.channels)
        for each in container.streams.audio
    ]
    tags = [container.metadata, *(each.metadata for each in container.streams)]
    return (
        "mp4" in container.format.name.split(",")
        and len(container.streams) == len(container.streams.video) + len(sounds)
        and len(container.streams.video) == 1
        and all(each == _SOUND for each in sounds[:1])
        and len(sounds) <= 1
        and not any(_SIGNED in each for each in tags)
        and (facts.metadata.codec, look.pixel_format) == ("h264", "yuv420p")
        and not look.turn
        and not look.full_range
        and look.aspect == 1
        and look.transfer not in _HDR
        and abs(facts.pace - rate) < rate / 1000
        and _size(look) == (look.width, look.height)
    )


def _size(look: Look) -> tuple[int, int]:
    frame = fitted(look.width, look.height, aspect=look.aspect, turned=look.turned)
    return frame.width, frame.height


def _watched(job: Watch) -> Watched:
    seen = analysis.watch(job.file, model=find_tag_model())
    return Watched(analysis=core.describe(seen), complete=seen.complete)


def _pictures(job: Stills) -> Pictures:
    """Return for each time the picture that is shown then, upright and in standard range."""
    album = _Album(job)
    with opened(job.file, job.limits) as container:
        stream = picture_stream(container, job.limits)
        looks, timeline = Looks(stream), Timeline(stream)
        for frame in decoded(container, stream):
            if isinstance(frame, VideoFrame) and not album.see(
                frame, looks.of(frame), timeline.at(frame)
            ):
                break
    return Pictures(stills=album.close())


class _Album:
    """Takes pictures in as they come, and keeps a JPEG of those that are asked for."""

    def __init__(self, job: Stills) -> None:
        self._job = job
        self._waiting = sorted(set(job.at_ms))
        self._found: dict[int, bytes] = {}
        self._start: Fraction | None = None
        self._shown: tuple[VideoFrame, Look, Fraction] | None = None
        self._stays = Fraction(0)
        self._upright: Upright | None = None

    def see(self, picture: VideoFrame, look: Look, at: Fraction) -> bool:
        """Take a picture in; tell whether there is more to wait for."""
        self._start = at if self._start is None else self._start
        since = (at - self._start) * 1000
        if self._shown is not None:
            self._keep(until=since)
            self._stays = max(Fraction(0), since - self._shown[2])
        self._shown = picture, look, since
        return bool(self._waiting)

    def close(self) -> tuple[bytes, ...]:
        """Return what was found; the last picture stays as long as the one before it did."""
        if self._shown is not None:
            self._keep(until=self._shown[2] + self._stays)
        return tuple(self._found.get(at, b"") for at in self._job.at_ms)

    def _keep(self, *, until: Fraction) -> None:
        while self._waiting and self._waiting[0] < until:
            assert self._shown is not None
            self._found[self._waiting.pop(0)] = self._jpeg(*self._shown[:2])

    def _jpeg(self, picture: VideoFrame, look: Look) -> bytes:
        self._upright = self._upright or Upright(_thumb(look, self._job.side))
        pixels = self._upright.picture(picture, look).to_ndarray(format="bgr24")
        made, coded = cv2.imencode(
            ".jpg", np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        )
        return coded.tobytes() if made else b""


def _thumb(look: Look, side: int) -> Frame:
    wide, high = _size(look)
    shrink = min(Fraction(1), Fraction(side, max(wide, high)))
    width, height = (max(2, 2 * round(each * shrink / 2)) for each in (wide, high))
    return Frame(width=width, height=height, scale_width=width, scale_height=height)
