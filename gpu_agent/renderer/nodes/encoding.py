"""Writing clips frame by frame: the same bytes for the same frames on the same host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from msgspec import Struct, field

from gpu_agent.renderer.errors import NoVideoError, OddSizeError, UnsupportedError
from gpu_agent.renderer.nodes.context import Run
from gpu_agent.renderer.nodes.scheduling import same_scheduling
from gpu_agent.renderer.nodes.values import (
    UNSPECIFIED,
    Audio,
    Batch,
    Clip,
    Frame,
    Pixels,
    floats,
    truncated,
)

_ENCODER_THREADS: Final = 2
_AUDIO_BIT_RATE: Final = 160_000
_STEREO: Final = 2
_OPUS_RATE: Final = 48_000
_CHANNELS: Final[Mapping[str, tuple[int, ...]]] = {
    "yuva420p": (4,),
    "rgba": (4,),
    "bgra": (3, 4),
}
# neither the time nor the library's version is written into the file
_BITEXACT: Final[int] = av.container.Flags["bitexact"].value  # type: ignore[assignment]  # declared as a flag, is a number
_SAMPLES_PER_PIECE: Final = 1024
BITS: Final = 8
DEEP_PIXELS: Final = "yuv420p10le"
_WIDE: Final = 9
_DEEP_LEVELS: Final = 65_535


class Space(Struct, frozen=True):
    """Primaries, transfer curve and matrix, by FFmpeg's numbers."""

    primaries: int
    curve: int
    matrix: int

    @property
    def is_wide(self) -> bool:
        """Say whether eight bits are too few for it."""
        return self.matrix == _WIDE


SPACES: Final[Mapping[str, Space]] = {
    "sRGB": Space(primaries=1, curve=13, matrix=1),
    "HDR": Space(primaries=9, curve=18, matrix=9),
    "HDR PQ": Space(primaries=9, curve=16, matrix=9),
}


class Target(Struct, frozen=True, kw_only=True):
    """In which form a clip is written."""

    container: str
    codec: str
    pixels: str
    options: Mapping[str, str] = field(default_factory=dict)
    sound: str = ""
    """The codec of the sound; none where empty."""
    space: Space | None = None
    """How the colours are to be read; unsaid, they stay as the clip had them."""


def h264(container: str, crf: float) -> Target:
    """Return H.264 4:2:0 with AAC.

    ``veryfast`` is about three times as fast as x264's default at the same quality and a few
    percent more bytes. With its macroblock tree the bundled x264 was seen to give other bytes for
    the same frames, in up to half of the runs; without it never, in hundreds.
    """
    options = {"crf": f"{crf:g}", "preset": "veryfast", "x264-params": "mbtree=0"}
    return Target(
        container=container, codec="libx264", pixels="yuv420p", options=options, sound="aac"
    )


def av1(container: str, crf: float) -> Target:
    """Return AV1 with Opus; a fast preset, in one thread for equal bytes."""
    options = {"crf": f"{crf:g}", "preset": "8", "svtav1-params": "lp=1"}
    return Target(
        container=container, codec="libsvtav1", pixels="yuv420p", options=options, sound="libopus"
    )


def vp9(crf: float, *, transparent: bool) -> Target:
    """Return VP9 in WebM without sound, with an alpha channel where asked."""
    options = {"crf": f"{crf:g}", "b": "0", "deadline": "realtime", "cpu-used": "6"}
    pixels = "yuva420p" if transparent else "yuv420p"
    return Target(container="webm", codec="libvpx-vp9", pixels=pixels, options=options)


def encode(clip: Clip, path: Path, run: Run, target: Target) -> None:
    """Encode images and sound.

    Raises:
        OddSizeError: the width or the height is odd.
        UnsupportedError: images with an alpha channel that the form has no place for.
    """
    images = clip.images
    if images is None:
        raise NoVideoError("no images to encode")
    if images.shape[2] not in _CHANNELS.get(target.pixels, (3,)):
        raise UnsupportedError(f"Unexpected numpy array shape `{images.shape}`")
    if "420" in target.pixels and (images.width % 2 or images.height % 2):
        raise OddSizeError(width=images.width, height=images.height)
    with av.open(str(path), "w", format=target.container) as container:
        container.flags |= _BITEXACT
        video = _video_stream(container, images, clip.fps, target)
        sound = _Sound(container, clip.audio, target.sound)
        count = 0
        for image, frame in _converted(images, target):
            run.check()
            frame.pts = count
            frame.time_base = 1 / clip.fps
            container.mux(video.encode(frame))
            count += 1
            sound.write_until(Fraction(count) / clip.fps)
            run.tick(count, max(count, images.length.hint), image)
        container.mux(video.encode(None))
        sound.finish(Fraction(count) / clip.fps)


def _video_stream(
    container: OutputContainer, images: Batch, fps: Fraction, target: Target
) -> VideoStream:
    stream: VideoStream = container.add_stream(target.codec, rate=fps, options=dict(target.options))  # type: ignore[assignment]  # video codecs only
    stream.width, stream.height = images.width, images.height
    stream.pix_fmt = target.pixels
    stream.thread_count = _ENCODER_THREADS
    stream.thread_type = "FRAME"
    context = stream.codec_context
    if target.space is not None:
        context.colorspace = target.space.matrix
        context.color_primaries = target.space.primaries
        context.color_trc = target.space.curve
    elif images.matrix not in (0, UNSPECIFIED):
        context.colorspace = images.matrix
    with same_scheduling():
        context.open()
    return stream


def _converted(images: Batch, target: Target) -> Iterator[tuple[Frame, av.VideoFrame]]:
    """Yield each image, and as an encoder takes it: in the colour matrix of the clip or target."""
    converter = VideoReformatter()
    matrix = target.space.matrix if target.space else images.matrix or UNSPECIFIED
    deep = target.pixels.endswith("10le")
    for image in images.frames():
        frame = _deep_picture(image) if deep else picture(image)
        if target.pixels != frame.format.name:
            frame = converter.reformat(
                frame, format=target.pixels, dst_colorspace=matrix, threads=1
            )
        yield image, frame


def _deep_picture(image: Frame) -> av.VideoFrame:
    levels = floats(image) * np.float32(_DEEP_LEVELS)
    np.clip(levels, 0, _DEEP_LEVELS, out=levels)
    return av.VideoFrame.from_ndarray(levels.astype(np.uint16), format="rgb48le")


def picture(image: Frame) -> av.VideoFrame:
    """Return an image with 8 bits a channel, as encoders take it."""
    levels = np.ascontiguousarray(truncated(image))
    return av.VideoFrame.from_ndarray(levels, format="rgba" if levels.shape[2] == 4 else "rgb24")


class _Sound:
    """Writes sound piece by piece beside the images, cut at their end."""

    def __init__(self, container: OutputContainer, audio: Audio | None, codec: str) -> None:
        self._container = container
        self._stream: AudioStream | None = None
        self._written = 0
        if audio is None or not codec:
            return
        self._pieces = audio.pieces()
        self._rate = audio.rate
        self._channels = min(audio.channels, _STEREO)
        self._waiting: Pixels = np.empty((self._channels, 0), np.float32)
        self._layout = "stereo" if self._channels == _STEREO else "mono"
        rate = audio.rate if codec == "aac" else _OPUS_RATE
        stream: AudioStream = container.add_stream(codec, rate=rate, layout=self._layout)  # type: ignore[assignment]  # sound codecs only
        stream.bit_rate = _AUDIO_BIT_RATE
        self._stream = stream
        self._resampler = av.AudioResampler(
            format=stream.codec_context.format.name, layout=self._layout, rate=rate
        )

    def write_until(self, at: Fraction) -> None:
        """Write what is heard before ``at`` seconds, in whole pieces."""
        if self._stream is None:
            return
        end = int(at * self._rate)
        while self._written + _SAMPLES_PER_PIECE <= end and self._fill(_SAMPLES_PER_PIECE):
            self._write(_SAMPLES_PER_PIECE)

    def finish(self, at: Fraction) -> None:
        """Write the rest, up to the end of the images."""
        if self._stream is None:
            return
        self.write_until(at)
        # a begun sample belongs to the last image
        left = int(-(-at * self._rate // 1)) - self._written
        self._fill(left)
        left = min(left, self._waiting.shape[1])
        if left > 0:
            self._write(left)
        for frame in self._resampler.resample(None):
            self._container.mux(self._stream.encode(frame))
        self._container.mux(self._stream.encode(None))

    def _fill(self, wanted: int) -> bool:
        """Read on until so many samples wait; say whether they do."""
        while self._waiting.shape[1] < wanted:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._waiting = np.concatenate([self._waiting, piece[: self._channels]], axis=1)
        return True

    def _write(self, number: int) -> None:
        assert self._stream is not None
        piece = np.ascontiguousarray(self._waiting[:, :number])
        self._waiting = self._waiting[:, number:]
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts = self._written
        frame.time_base = Fraction(1, self._rate)
        for ready in self._resampler.resample(frame):
            self._container.mux(self._stream.encode(ready))
        self._written += number


def is_copyable(path: Path, codec: str, sound: str) -> bool:
    """Say whether a file holds such video, with such sound or without."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video, container.streams.audio
        return bool(video) and video[0].name == codec and all(s.name == sound for s in audio)


def copy_streams(source: Path, target: Path, *, form: str, check: Callable[[], None]) -> None:
    """Copy the first video and sound stream without encoding; other metadata stays behind."""
    with av.open(str(source)) as reader, av.open(str(target), "w", format=form) as writer:
        writer.flags |= _BITEXACT
        chosen = [*reader.streams.video[:1], *reader.streams.audio[:1]]
        streams = {s.index: writer.add_stream_from_template(s) for s in chosen}
        for packet in reader.demux(chosen):
            check()
            # the last, empty packet only marks the end
            if packet.dts is None:
                continue
            packet.stream = streams[packet.stream.index]
            writer.mux(packet)
