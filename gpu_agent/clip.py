"""Pixels at the agent: what goes in, and whether what came out is a video. Blocking; no network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.error import FFmpegError
from msgspec import Struct

from gpu_agent.errors import Fault, RenderFailedError

FRAME_LIMIT: Final = 100_000
"""No clip of the platform has so many; a file that goes on and on is not decoded for ever."""


class Measured(Struct, frozen=True, kw_only=True):
    """A clip's size and length."""

    width: int
    height: int
    frames: int
    fps: float


def measure(path: Path) -> Measured:
    """Return the size and length of a normalised clip, counting packets without decoding.

    Raises:
        RenderFailedError: ``INPUT_UNREADABLE``.
    """
    try:
        with av.open(str(path)) as container:
            return _measured(container, decode=False)
    except (FFmpegError, ValueError) as broken:
        raise RenderFailedError(
            Fault.INPUT_UNREADABLE, f"the clip cannot be read: {type(broken).__name__}"
        ) from broken


def verify(path: Path) -> Measured:
    """Decode every frame of a result and return its size and length.

    Raises:
        RenderFailedError: ``BROKEN_OUTPUT``.
    """
    try:
        with av.open(str(path)) as container:
            found = _measured(container, decode=True)
    except (FFmpegError, ValueError) as broken:
        raise RenderFailedError(
            Fault.BROKEN_OUTPUT, f"the output cannot be decoded: {type(broken).__name__}"
        ) from broken
    if found.frames == 0:
        raise RenderFailedError(Fault.BROKEN_OUTPUT, "the output has no frames")
    return found


def strip(source: Path, target: Path) -> None:
    """Copy a result without its metadata: hosts write the whole graph, prompts too, into it.

    Raises:
        RenderFailedError: ``BROKEN_OUTPUT``.
    """
    try:
        with (
            av.open(str(source)) as reading,
            av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as writing,
        ):
            kept = [each for each in reading.streams if each.type in {"video", "audio"}]
            copies = {each.index: writing.add_stream_from_template(each) for each in kept}
            for copy in copies.values():
                copy.metadata.clear()
            for packet in reading.demux(kept):
                if packet.dts is not None:
                    packet.stream = copies[packet.stream.index]
                    writing.mux(packet)
    except (FFmpegError, ValueError) as broken:
        raise RenderFailedError(
            Fault.BROKEN_OUTPUT, f"the output cannot be copied: {type(broken).__name__}"
        ) from broken


def _measured(container: InputContainer, *, decode: bool) -> Measured:
    if not container.streams.video:
        raise ValueError("no video stream")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    frames = 0
    for packet in container.demux(stream):
        # the last packet is empty: it flushes the decoder
        frames += len(packet.decode()) if decode else int(packet.size > 0)
        if frames > FRAME_LIMIT:
            raise ValueError("too many frames")
    rate = stream.average_rate
    return Measured(
        width=stream.width, height=stream.height, frames=frames, fps=float(rate) if rate else 0.0
    )
