"""Opening a file nobody vouches for, and taking its pictures and sounds out one by one.

The decoder is given an open file by number and may open nothing else: no playlist, no reference
and no address in the file leads anywhere. Whatever a header says is only used to refuse.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Final

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from msgspec import Struct

from media.verdicts import Code, IntakeLimits, Refusal, RefusedError, refuse

THREADS: Final = 2
_MAX_STREAMS: Final = 16
_SNIFFED_BYTES: Final = 5_000_000
_FORMATS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,flv,asf,gif,ogg,mpeg,mxf"
_HEAD_BYTES: Final = 21
_WEBP_FLAGS: Final = 20
_WEBP_MOVES: Final = 2
"""Where a WebP says that it is animated, and how."""
_STILLS: Final = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*")
_VIDEO_HEADS: Final = (
    b"\x1aE\xdf\xa3",
    b"FLV\x01",
    b"OggS",
    b"GIF8",
    b"\x00\x00\x01\xba",
    b"0&\xb2u",
)
_BROKEN: Final = (FFmpegError, ValueError)
"""What the decoder raises over bad bytes; some of its errors come as plain ``ValueError``."""


class Look(Struct, frozen=True, kw_only=True):
    """How a stored picture is to be read: its size, its turn and its colours."""

    width: int
    height: int
    pixel_format: str
    aspect: Fraction
    turn: tuple[str, ...]
    """The filters that set it upright."""
    matrix: int
    full_range: bool
    primaries: int
    transfer: int
    rgb: bool

    @property
    def turned(self) -> bool:
        """Whether it is shown a quarter turn from how it is stored."""
        return any(step.startswith("transpose") for step in self.turn)


@contextmanager
def opened(handle: int, limits: IntakeLimits) -> Iterator[InputContainer]:
    """Open a video by file number.

    Raises:
        RefusedError: it is no video, or one that cannot be opened.
    """
    head = os.pread(handle, _HEAD_BYTES, 0)
    try:
        container = _open(handle, {"max_pixels": str(limits.max_pixels)})
    except MemoryError:
        raise
    except _BROKEN as error:
        raise RefusedError(_unopened(head, limits, error)) from error
    with container:
        if any(stream.codec_context.width == 0 for stream in _known(container.streams.video)):
            _check_claims(handle, limits)
        yield container


def _open(handle: int, more: dict[str, str]) -> InputContainer:
    os.lseek(handle, 0, os.SEEK_SET)
    return av.open(
        "fd:",
        mode="r",
        options={
            "fd": str(handle),
            "protocol_whitelist": "fd",
            "format_whitelist": _FORMATS,
            "max_streams": str(_MAX_STREAMS),
            "probesize": str(_SNIFFED_BYTES),
            "analyzeduration": str(_SNIFFED_BYTES),
            "enable_drefs": "0",
            **more,
        },
        metadata_errors="replace",
    )


def _check_claims(handle: int, limits: IntakeLimits) -> None:
    """Refuse pictures that are too large by the size the header claims, without decoding any.

    Where the decoder refuses a size, it says that there is none, which is another reason.

    Raises:
        RefusedError: the header claims more than is allowed.
    """
    try:
        claims = _open(handle, {"skip_frame": "all"})
    except MemoryError:
        raise
    except _BROKEN:
        return
    with claims:
        for stream in _known(claims.streams.video):
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > limits.max_pixels:
                check_size(width, height, limits)
    os.lseek(handle, 0, os.SEEK_SET)


def _unopened(head: bytes, limits: IntakeLimits, error: Exception) -> Refusal:
    if head.startswith(_STILLS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        if head[12:16] == b"VP8X" and head[_WEBP_FLAGS] & _WEBP_MOVES:
            return refuse(Code.NOT_A_VIDEO, detail="an animated WebP")
        return refuse(Code.TOO_FEW_FRAMES, found=1, limit=limits.min_frames)
    if head[4:8] == b"ftyp":
        # the only reason a whole MP4 does not open is that its index never arrived
        return refuse(Code.TRUNCATED, found="nothing", detail=str(error))
    if head.startswith(_VIDEO_HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return refuse(Code.UNREADABLE, detail=str(error))
    return refuse(Code.NOT_A_VIDEO, detail=str(error))


def picture_stream(container: InputContainer, limits: IntakeLimits) -> VideoStream:
    """Return the stream with the largest pictures, ready to decode; cover art does not count.

    Raises:
        RefusedError: there is none, or its size or its codec cannot be worked with.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams and all(stream.type == "data" for stream in container.streams):
        # what a half index leaves of a video: a stream of which nothing is known
        raise RefusedError(refuse(Code.TRUNCATED, found="nothing"))
    if not streams:
        raise RefusedError(refuse(Code.NO_PICTURE))
    known = _known(streams)
    if not known:
        raise RefusedError(refuse(Code.UNREADABLE, detail="no decoder for the codec"))
    best = max(known, key=lambda stream: stream.codec_context.width * stream.codec_context.height)
    check_size(best.codec_context.width, best.codec_context.height, limits)
    best.thread_type = "AUTO"
    best.codec_context.thread_count = THREADS
    return best


def check_size(width: int, height: int, limits: IntakeLimits) -> None:
    """Refuse pictures of a size that cannot be worked with.

    Raises:
        RefusedError: nothing, too little or too much to see.
    """
    if not width or not height:
        raise RefusedError(refuse(Code.ZERO_SIZE, width=width, height=height))
    if width * height > limits.max_pixels:
        raise RefusedError(
            refuse(Code.TOO_MANY_PIXELS, width=width, height=height, limit=limits.max_pixels)
        )
    if min(width, height) < limits.min_side:
        raise RefusedError(
            refuse(Code.TOO_SMALL, width=width, height=height, limit=limits.min_side)
        )


def sound_stream(container: InputContainer) -> AudioStream | None:
    """Return the first sound that has a decoder, if any."""
    return next((stream for stream in container.streams.audio if _has_decoder(stream)), None)


def decoded(
    container: InputContainer, *streams: VideoStream | AudioStream
) -> Iterator[VideoFrame | AudioFrame]:
    """Yield what can be decoded, in the order of the file; damaged packets are passed over.

    Whoever compares what came with what was declared notices the damage.
    """
    for packet in packets(container, *streams):
        yield from frames_of(packet)


def packets(
    container: InputContainer, *streams: VideoStream | AudioStream
) -> Iterator[Packet[Stream]]:
    """Yield the packets of some streams as far as the file can be read."""
    coming = container.demux(*streams)
    while True:
        try:
            packet = next(coming, None)
        except MemoryError:
            raise
        except _BROKEN:
            return
        if packet is None:
            return
        yield packet


def frames_of(packet: Packet[Stream]) -> list[VideoFrame | AudioFrame]:
    """Return what can be decoded of a packet, nothing of a damaged one."""
    try:
        frames = packet.decode()
    except MemoryError:
        raise  # one of FFmpeg's own errors too, but no damage
    except _BROKEN:
        return []
    return [frame for frame in frames if isinstance(frame, VideoFrame | AudioFrame)]


def _known(streams: Iterable[VideoStream]) -> list[VideoStream]:
    return [stream for stream in streams if _has_decoder(stream)]


def _has_decoder(stream: VideoStream | AudioStream) -> bool:
    # an encrypted or unknown stream has no context, whatever the types say
    return getattr(stream, "codec_context", None) is not None


class Timeline:
    """Gives each picture its time; one without a stamp follows the one before it."""

    def __init__(self, stream: VideoStream) -> None:
        rate = stream.average_rate or stream.guessed_rate
        self._step = 1 / rate if rate else Fraction(1, 25)
        self._last: Fraction | None = None

    def at(self, frame: VideoFrame) -> Fraction:
        """Return when a picture is shown, in seconds of the file's own clock."""
        if frame.pts is not None and frame.time_base:
            self._last = frame.pts * frame.time_base
        else:
            self._last = Fraction(0) if self._last is None else self._last + self._step
        return self._last


_UNTOLD: Final = 2
"""FFmpeg's number for "not specified", of matrix, primaries and transfer alike."""
_BT709: Final = 1
_SMPTE170M: Final = 6
_RGB: Final = 0
_FULL_RANGE: Final = 2
_HD_HEIGHT: Final = 720


class Looks:
    """Tells how each picture of a stream is to be read.

    A look is worked out again only when a picture differs from the one before: asking a picture
    for its side data makes it hold on to itself, and a clip of such pictures fills the memory.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._told: tuple[object, ...] = ()
        self._look: Look | None = None

    def of(self, frame: VideoFrame) -> Look:
        """Return the look of a picture; what it does not tell is guessed as players do."""
        told = (
            frame.width,
            frame.height,
            frame.format.name,
            frame.rotation,
            frame.colorspace,
            frame.color_range,
            frame.color_primaries,
            frame.color_trc,
        )
        if self._look is None or told != self._told:
            self._told, self._look = told, self._read(frame)
        return self._look

    def _read(self, frame: VideoFrame) -> Look:
        name = frame.format.name
        rgb = frame.format.is_rgb or frame.format.has_palette
        matrix = int(frame.colorspace)
        if rgb or matrix in {_RGB, _UNTOLD}:
            matrix = _BT709 if min(frame.width, frame.height) >= _HD_HEIGHT else _SMPTE170M
        return Look(
            width=frame.width,
            height=frame.height,
            pixel_format=name,
            aspect=Fraction(self._stream.sample_aspect_ratio or 1),
            turn=_turn(frame),
            matrix=matrix,
            full_range=int(frame.color_range) == _FULL_RANGE or name.startswith("yuvj"),
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
            rgb=rgb,
        )


_QUARTER_TURNS: Final = {
    (True, True): "transpose=cclock_flip",
    (False, True): "transpose=clock",
    (True, False): "transpose=cclock",
    (False, False): "transpose=clock_flip",
}
"""By whether x' grows with y, and y' with x."""


def _turn(frame: VideoFrame) -> tuple[str, ...]:
    """Read the display matrix: x' = ax + cy, y' = bx + dy, in multiples of a quarter turn."""
    try:
        matrix = frame.side_data[SideData.DISPLAYMATRIX]  # type: ignore[typeddict-item]  # stubs lag
    except KeyError:
        return ()
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return (_QUARTER_TURNS[c > 0, b > 0],)
    mirrored: tuple[str, ...] = ("hflip",) if a < 0 else ()
    return (*mirrored, "vflip") if d < 0 else mirrored
