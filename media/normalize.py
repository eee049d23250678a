"""The mezzanine: the one form in which every later step sees a clip.

H.264 yuv420p at a constant standard rate, upright, square pixels, even sides within Full HD of
either orientation, index first, AAC 48 kHz stereo no longer than the pictures or no sound, nothing
of the source's metadata. The same bytes every time.

Runs inside the child process of ``media.sandbox``.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import av
import msgspec
from av.container import OutputContainer
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from media.decoding import THREADS, Looks, Timeline, decoded, opened, picture_stream, sound_stream
from media.job import POSTER_NAME, VIDEO_NAME
from media.mezzanine import Pace, fitted, standard_rate
from media.probe import Facts, measure
from media.sound import Track
from media.upright import LIMITED, Colours, Upright
from media.verdicts import IntakeLimits, Normalized

_X264: Final = {"preset": "veryfast", "crf": "20"}
_KEY_EVERY_SECONDS: Final = 2
_POSTER_SIDE: Final = 960
_POSTER_QUALITY: Final = 3
_POSTER_AT_SECONDS: Final = 1
_ROUNDING_MS: Final = 100


def normalize(file: BinaryIO, folder: Path, limits: IntakeLimits) -> Normalized:
    """Measure a file, write its mezzanine and poster into a folder, and measure the result.

    Raises:
        RefusedError: the file cannot be used.
    """
    facts = measure(file, limits)
    mezzanine = _Mezzanine(folder, facts)
    mezzanine.write(file, limits)
    with (folder / VIDEO_NAME).open("rb") as made:
        result = measure(made, mezzanine.bounds(limits)).metadata
    return Normalized(
        source=facts.metadata,
        metadata=msgspec.structs.replace(result, content_hash=facts.metadata.content_hash),
        video=VIDEO_NAME,
        poster=POSTER_NAME,
    )


class _Mezzanine:
    """One mezzanine in the making."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        look = facts.look
        self._folder = folder
        self._facts = facts
        self._rate = standard_rate(facts.pace)
        self._total = max(1, round(facts.seconds * self._rate))
        self._frame = fitted(look.width, look.height, aspect=look.aspect, turned=look.turned)
        self._poster_slot = min(round(self._rate * _POSTER_AT_SECONDS), self._total - 1)

    def bounds(self, limits: IntakeLimits) -> IntakeLimits:
        """Return limits that the result meets even where its rounding passes the user's."""
        return msgspec.structs.replace(
            limits,
            max_duration_ms=limits.max_duration_ms + _ROUNDING_MS,
            min_duration_ms=0,
            max_frames=max(limits.max_frames, self._total),
            min_frames=1,
            min_side=2,
        )

    def write(self, file: BinaryIO, limits: IntakeLimits) -> None:
        """Decode the source a second time, and encode as it comes."""
        with opened(file.fileno(), limits) as source, self._new_file() as out:
            pictures = picture_stream(source, limits)
            sound = sound_stream(source) if self._facts.metadata.has_audio else None
            video = self._video_stream(out)
            start, length = self._facts.start, self._total / self._rate
            track = None if sound is None else Track(out, start=start, length=length)
            upright, looks, timeline = Upright(self._frame), Looks(pictures), Timeline(pictures)
            pace = Pace(start=start, rate=self._rate, total=self._total)
            shown: VideoFrame | None = None
            for frame in decoded(source, *((pictures,) if sound is None else (pictures, sound))):
                if isinstance(frame, VideoFrame):
                    self._show(out, video, shown, pace.until(timeline.at(frame)))
                    shown = upright.picture(frame, looks.of(frame))
                elif track is not None:
                    track.add(frame)
            self._show(out, video, shown, pace.rest())
            out.mux(video.encode(None))
            if track is not None:
                track.close()

    def _show(
        self, out: OutputContainer, video: VideoStream, picture: VideoFrame | None, slots: range
    ) -> None:
        if picture is None:
            return
        for slot in slots:
            picture.pts, picture.time_base = slot, 1 / self._rate
            if slot == self._poster_slot:
                write_poster(picture, self._folder / POSTER_NAME)
            out.mux(video.encode(picture))

    def _new_file(self) -> OutputContainer:
        return av.open(
            f"file:{self._folder / VIDEO_NAME}",
            mode="w",
            format="mp4",
            # without a date, a tool name or anything else that differs from run to run
            options={"movflags": "+faststart", "fflags": "+bitexact"},
        )

    def _video_stream(self, out: OutputContainer) -> VideoStream:
        colours = Colours(self._facts.look)
        stream: VideoStream = out.add_stream("libx264", rate=self._rate, options=dict(_X264))
        context = stream.codec_context
        context.width, context.height = self._frame.width, self._frame.height
        context.pix_fmt = "yuv420p"
        context.time_base = 1 / self._rate
        context.gop_size = round(self._rate * _KEY_EVERY_SECONDS)
        # the same number everywhere, or the bytes differ; whole frames each, or pictures get seams
        context.thread_count, context.thread_type = THREADS, "FRAME"
        context.color_range = LIMITED
        context.colorspace = colours.matrix
        context.color_primaries = colours.primaries
        context.color_trc = colours.transfer
        return stream


def write_poster(picture: VideoFrame, path: Path) -> None:
    """Write a picture as a JPEG small enough for a list of clips."""
    shrink = min(Fraction(1), Fraction(_POSTER_SIDE, max(picture.width, picture.height)))
    width, height = (max(2, round(side * shrink)) for side in (picture.width, picture.height))
    graph = Graph()
    graph.link_nodes(
        graph.add(
            "buffer",
            f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
            f":time_base=1/1:colorspace={picture.colorspace}:range={picture.color_range}",
        ),
        # JPEG knows one matrix and full range only
        graph.add("scale", f"w={width}:h={height}:out_range=pc:out_color_matrix=bt601"),
        graph.add("format", "yuvj420p"),
        graph.add("buffersink"),
    ).configure()
    graph.vpush(picture)
    still = graph.vpull()
    encoder = VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1)
    encoder.qmin = encoder.qmax = _POSTER_QUALITY
    still.pts = 0
    packets = [*encoder.encode(still), *encoder.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
