"""Writing clips: H.264 4:2:0 with AAC, the same bytes for the same frames on the same host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from gpu_agent.renderer.errors import NoVideoError, OddSizeError, UnsupportedError
from gpu_agent.renderer.nodes.context import Run
from gpu_agent.renderer.nodes.values import UNSPECIFIED, Audio, Batch, Clip, truncated

CRF: Final = 20.0
# about three times as fast as x264's default at the same quality and a few percent more bytes
_PRESET: Final = "veryfast"
_ENCODER_THREADS: Final = 2
# with its macroblock tree the bundled x264 was seen to give other bytes for the same frames, in up
# to half of the runs; without it never, in hundreds
_DETERMINISTIC: Final = "mbtree=0"
_CONTAINERS: Final = {"mp4": "mp4", "mkv": "matroska"}
_AUDIO_BIT_RATE: Final = 160_000
_STEREO: Final = 2
# neither the time nor the library's version is written into the file
_BITEXACT: Final[int] = av.container.Flags["bitexact"].value  # type: ignore[assignment]  # declared as a flag, is a number
_SAMPLES_PER_PIECE: Final = 1024


def encode(clip: Clip, target: Path, run: Run, *, suffix: str, crf: float) -> None:
    """Encode images and sound.

    Raises:
        OddSizeError: the width or the height is odd.
        UnsupportedError: images with an alpha channel.
    """
    images = clip.images
    if images is None or not images.frames:
        raise NoVideoError("no images to encode")
    if images.frames[0].shape[2] != 3:
        raise UnsupportedError(f"unexpected array shape: {images.frames[0].shape}")
    if images.width % 2 or images.height % 2:
        raise OddSizeError(width=images.width, height=images.height)
    with av.open(str(target), "w", format=_CONTAINERS[suffix]) as container:
        container.flags |= _BITEXACT
        video = _video_stream(container, images, clip.fps, crf)
        sound = _Sound(container, clip.audio, Fraction(len(images)) / clip.fps)
        for index, frame in enumerate(_frames(images)):
            run.check()
            frame.pts = index
            frame.time_base = 1 / clip.fps
            container.mux(video.encode(frame))
            sound.write_until(Fraction(index + 1) / clip.fps)
            run.tick(index + 1, len(images))
        container.mux(video.encode(None))
        sound.finish()


def _video_stream(
    container: OutputContainer, images: Batch, fps: Fraction, crf: float
) -> VideoStream:
    options = {"crf": str(crf), "preset": _PRESET, "x264-params": _DETERMINISTIC}
    stream = container.add_stream("libx264", rate=fps, options=options)
    stream.width, stream.height = images.width, images.height
    stream.pix_fmt = "yuv420p"
    stream.thread_count = _ENCODER_THREADS
    stream.thread_type = "FRAME"
    if images.matrix not in (0, UNSPECIFIED):
        stream.codec_context.colorspace = images.matrix
    return stream


def _frames(images: Batch) -> Iterator[av.VideoFrame]:
    """Yield YUV frames in the colour matrix that the clip came in."""
    converter = VideoReformatter()
    matrix = images.matrix or UNSPECIFIED
    for image in images.frames:
        pixels = np.ascontiguousarray(truncated(image))
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        yield converter.reformat(frame, format="yuv420p", dst_colorspace=matrix, threads=1)


class _Sound:
    """Writes sound piece by piece beside the images, cut at their end."""

    def __init__(self, container: OutputContainer, audio: Audio | None, length: Fraction) -> None:
        self._container = container
        self._stream: AudioStream | None = None
        self._written = 0
        if audio is None:
            return
        self._rate = audio.rate
        channels = min(audio.samples.shape[0], _STEREO)
        self._layout = "stereo" if channels == _STEREO else "mono"
        end = int(-(-length * audio.rate // 1))
        self._samples = audio.samples[:channels, :end]
        self._stream = container.add_stream("aac", rate=audio.rate, layout=self._layout)
        self._stream.bit_rate = _AUDIO_BIT_RATE

    def write_until(self, at: Fraction) -> None:
        """Write what is heard before ``at`` seconds."""
        if self._stream is None:
            return
        end = min(int(at * self._rate), self._samples.shape[1])
        while self._written + _SAMPLES_PER_PIECE <= end:
            self._write(self._written + _SAMPLES_PER_PIECE)

    def finish(self) -> None:
        """Write the rest."""
        if self._stream is None:
            return
        self.write_until(Fraction(self._samples.shape[1], self._rate))
        if self._written < self._samples.shape[1]:
            self._write(self._samples.shape[1])
        self._container.mux(self._stream.encode(None))

    def _write(self, end: int) -> None:
        assert self._stream is not None
        piece = np.ascontiguousarray(self._samples[:, self._written : end])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts = self._written
        frame.time_base = Fraction(1, self._rate)
        self._container.mux(self._stream.encode(frame))
        self._written = end


def is_copyable(path: Path) -> bool:
    """Say whether a file is H.264 with AAC or without sound."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video, container.streams.audio
        return bool(video) and video[0].name == "h264" and all(s.name == "aac" for s in audio)


def copy_streams(source: Path, target: Path, *, suffix: str, check: Callable[[], None]) -> None:
    """Copy the first video and sound stream without encoding; other metadata stays behind."""
    with (
        av.open(str(source)) as reader,
        av.open(str(target), "w", format=_CONTAINERS[suffix]) as writer,
    ):
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
