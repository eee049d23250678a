"""Reading a clip frame by frame, from any place, without ever holding more than a few frames."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from gpu_agent.renderer.errors import NoVideoError
from gpu_agent.renderer.nodes.context import Run
from gpu_agent.renderer.nodes.values import Audio, Batch, Bytes, Clip, Pixels, trimmed

DECODER_THREADS: Final = 2
CURSORS_LIMIT: Final = 3
"""So many places of a clip can be read at once; one more makes the idlest begin anew elsewhere."""
_DEFAULT_RATE: Final = Fraction(25)
# an empty file of these has no index, so a jump in them lands anywhere
_INDEXED: Final = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})


class Film(Batch):
    """The pictures of a file. Its length is known once somebody has reached the end."""

    def __init__(self, clip: Clip, run: Run) -> None:
        assert clip.path is not None
        self.length = self
        self._clip = clip
        self._path = clip.path
        self._run = run
        self._owner = run.current
        self._known: int | None = None
        self._cursors: list[_Cursor] = []
        run.at_end(self.close)
        with av.open(str(self._path)) as container:
            stream = _video(container, self._path)
            self.rate = stream.average_rate or stream.guessed_rate or _DEFAULT_RATE
            self._hint = _expected(container, stream, clip, self.rate)
        if not self.has(0):
            raise NoVideoError(f"no frame can be decoded in {self._path.name}")
        first = self.stored(0)
        self.shape, self.frame_nbytes = first.shape, first.nbytes
        self.matrix = self._cursors[0].matrix

    @property
    def hint(self) -> int:
        """Return what the file says of itself, or the number once it is known."""
        return max(1, self._hint) if self._known is None else self._known

    def has(self, index: int) -> bool:
        """Read on as far as that frame."""
        if self._known is not None:
            return index < self._known
        return self._run.make(self._owner, self._reached, index) is not None

    def total(self) -> int:
        """Decode the whole clip once, if nobody has reached its end yet."""
        if self._known is None:
            cursor = _Cursor(self._clip, self._path)
            with closing(cursor):
                while cursor.advance(picture=False):
                    self._run.check()
            self._known = cursor.at + 1
        return self._known

    def stored(self, index: int) -> Bytes:
        """Return a frame, read from where somebody else is or from the start."""
        frame = self._run.make(self._owner, self._reached, index)
        if frame is None:
            raise IndexError(f"frame {index} of {self._known}")
        return frame

    def close(self) -> None:
        """Let go of the file; the batch cannot be read any more."""
        for cursor in self._cursors:
            cursor.close()
        self._cursors.clear()

    def _reached(self, index: int) -> Bytes | None:
        cursor = self._nearest(index)
        while cursor.at < index:
            self._run.check()
            if not cursor.advance(picture=cursor.at + 1 == index):
                self._known = cursor.at + 1
                return None
        return cursor.picture()

    def _nearest(self, index: int) -> _Cursor:
        """Return a cursor that stands at a frame or before it; the first is the last used."""
        behind = [cursor for cursor in self._cursors if cursor.at <= index and not cursor.ended]
        if behind:
            found = max(behind, key=lambda cursor: cursor.at)
            self._cursors.remove(found)
        else:
            found = _Cursor(self._clip, self._path)
            while len(self._cursors) >= CURSORS_LIMIT:
                self._cursors.pop().close()
        self._cursors.insert(0, found)
        return found


class _Cursor:
    """One decoder, at one frame."""

    def __init__(self, clip: Clip, path: Path) -> None:
        self.at = -1
        self.ended = False
        self.matrix = 0
        self._picture: Bytes | None = None
        self._frame: VideoFrame | None = None
        # one converter for all frames: each frame's own would build its tables again
        self._converter = VideoReformatter()
        self._container = av.open(str(path))
        self._frames = _frames(self._container, path, clip)

    def advance(self, *, picture: bool) -> bool:
        """Go to the next frame, or say that there is none; ``picture`` is whether it is wanted."""
        frame = next(self._frames, None)
        self._picture = None
        if frame is None:
            self.ended = True
            return False
        self.at += 1
        self.matrix = int(frame.colorspace)
        self._frame = frame
        if picture:
            self.picture()
        return True

    def picture(self) -> Bytes:
        """Return the frame in 8-bit RGB, upright."""
        if self._picture is None:
            assert self._frame is not None
            frame = self._frame
            pixels = self._converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            if frame.rotation:
                pixels = np.rot90(pixels, frame.rotation // 90)
            self._picture = np.ascontiguousarray(pixels, dtype=np.uint8)
            self._frame = None
        return self._picture

    def close(self) -> None:
        """Let go of the decoder."""
        self._frames.close()
        self._container.close()


def _frames(container: InputContainer, path: Path, clip: Clip) -> Generator[VideoFrame, None, None]:
    """Yield the frames of a clip's part, in the order in which they are shown."""
    stream = _video(container, path)
    stream.thread_type = "AUTO"
    stream.thread_count = DECODER_THREADS
    base = stream.time_base
    if base is None or (clip.start <= 0 and clip.duration <= 0):
        yield from container.decode(stream)
        return
    zero = stream.start_time or 0
    start = zero + int(clip.start / base)
    end = zero + int((clip.start + clip.duration) / base) if clip.duration else None
    if clip.start > 0 and container.format.name in _INDEXED:
        container.seek(start, stream=stream)
    for frame in container.decode(stream):
        if frame.pts is not None and frame.pts < start:
            continue
        if frame.pts is not None and end is not None and frame.pts >= end:
            return
        yield frame


class FilmSound(Audio):
    """The sound of a file, decoded piece by piece whenever it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with av.open(str(self._path)) as container:
            stream = container.streams.audio[0]
            self.rate = stream.rate
            self.channels = stream.layout.nb_channels

    def pieces(self) -> Iterator[Pixels]:
        """Decode from the start."""
        with av.open(str(self._path)) as container:
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=self.rate)
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray().astype(np.float32, copy=False)


def sound(clip: Clip) -> Audio | None:
    """Return the sound of a file's part, if there is any to hear."""
    assert clip.path is not None
    with av.open(str(clip.path)) as container:
        if not container.streams.audio or next(container.decode(audio=0), None) is None:
            return None
    whole = FilmSound(clip.path)
    if clip.start or clip.duration:
        return trimmed(whole, clip.start, clip.duration)
    return whole


def length_s(path: Path) -> Fraction:
    """Return how long a file says it is, in seconds."""
    with av.open(str(path)) as container:
        stream = _video(container, path)
        if stream.duration and stream.time_base:
            return stream.duration * stream.time_base
        return Fraction(container.duration or 0, av.time_base)


def _video(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise NoVideoError(f"no video stream in {path.name}")
    return container.streams.video[0]


def _expected(container: InputContainer, stream: VideoStream, clip: Clip, rate: Fraction) -> int:
    length = Fraction(container.duration or 0, av.time_base)
    frames = stream.frames or int(length * rate)
    if clip.start or clip.duration:
        frames -= int(clip.start * rate)
        frames = min(frames, int(clip.duration * rate)) if clip.duration else frames
    return frames
