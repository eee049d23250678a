"""The mezzanine: the one form in which every later step sees a clip.

H.264 yuv420p at a constant standard rate, upright, square pixels, even sides within Full HD of
either orientation, index first, AAC 48 kHz stereo no longer than the pictures or no sound, nothing
of the source's metadata. The same bytes every time.

Runs inside the child process of ``media.sandbox``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO, Final

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from media.decoding import THREADS, decoded, opened, picture_stream, sound_stream
from media.derived import Derived
from media.job import POSTER_NAME, PREVIEW_NAME, VIDEO_NAME, WAVEFORM_NAME, ScreenModel
from media.mezzanine import Pace, fitted, standard_rate
from media.probe import Facts, Watch, foresee, measure, shown_rate
from media.sound import Track
from media.upright import LIMITED, Colours, Upright
from media.verdicts import Code, IntakeLimits, Normalized, RefusedError, refuse
from schemas.video import VideoMetadata

# with its macroblock tree the bundled x264 wrote other bytes for the same upload, once in ten times
_X264: Final = {"preset": "veryfast", "crf": "19", "x264-params": "mbtree=0"}
_KEY_EVERY_SECONDS: Final = 2


def normalize(
    file: BinaryIO, folder: Path, limits: IntakeLimits, screen: ScreenModel | None = None
) -> Normalized:
    """Measure a file, and write its mezzanine and what goes with it, into an empty folder.

    Both at once: the mezzanine is planned by what the file seems to be. What it is shows in the
    end, and where the two differ it is made a second time.

    Raises:
        RefusedError: the file cannot be used; nothing is left in the folder.
    """
    try:
        mezzanine = _Mezzanine(folder, _expected(file, limits))
        facts = mezzanine.write(file, limits)
        if not mezzanine.fits(facts):
            _clear(folder)
            mezzanine = _Mezzanine(folder, facts)
            mezzanine.write(file, limits)
        return Normalized(
            source=facts.metadata,
            metadata=mezzanine.counted(facts),
            video=VIDEO_NAME,
            poster=POSTER_NAME,
            preview=PREVIEW_NAME,
            waveform=WAVEFORM_NAME if facts.metadata.has_audio else "",
            fingerprint=mezzanine.derived.finish(),
            nudity=None if screen is None else _scores(mezzanine.derived, screen),
        )
    except RefusedError:
        _clear(folder)
        raise


def _expected(file: BinaryIO, limits: IntakeLimits) -> Facts:
    try:
        return foresee(file, limits)
    except RefusedError:
        # what cannot be foreseen may still be measured, and the right reason is found that way
        return measure(file, limits)


def _clear(folder: Path) -> None:
    for name in (VIDEO_NAME, POSTER_NAME, PREVIEW_NAME, WAVEFORM_NAME):
        (folder / name).unlink(missing_ok=True)


def _scores(derived: Derived, model: ScreenModel) -> tuple[float, ...] | None:
    """Return the scores of the samples; none when this installation cannot score."""
    from media.inference import ModelChangedError
    from media.nudity import nudity_scores

    try:
        return nudity_scores(derived.samples, Path(model.path), model.sha256)
    except (ImportError, OSError, ModelChangedError) as error:
        sys.stderr.write(f"not screened: {error}\n")
        return None


class _Mezzanine:
    """One mezzanine in the making."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        look = facts.look
        self._folder = folder
        self._facts = facts
        self._rate = standard_rate(facts.pace)
        self._total = max(1, round(facts.seconds * self._rate))
        self._frame = fitted(look.width, look.height, aspect=look.aspect, turned=look.turned)
        self.derived = Derived(folder, total=self._total, rate=self._rate)

    def fits(self, facts: Facts) -> bool:
        """Tell whether a plan by these facts is the plan by which this was made."""
        planned = self._facts
        return (
            (facts.look, facts.start) == (planned.look, planned.start)
            and facts.metadata.has_audio == planned.metadata.has_audio
            and standard_rate(facts.pace) == self._rate
            and round(facts.seconds * self._rate) == self._total
        )

    def write(self, file: BinaryIO, limits: IntakeLimits) -> Facts:
        """Decode the source and encode as it comes; return what was measured on the way.

        Raises:
            RefusedError: the file cannot be used.
        """
        with opened(file.fileno(), limits) as source, self._new_file() as out:
            pictures = picture_stream(source, limits)
            sound = sound_stream(source)
            video = self._video_stream(out)
            track = self._track(out)
            watch, upright = Watch(pictures, limits), Upright(self._frame)
            pace = Pace(start=self._facts.start, rate=self._rate, total=self._total)
            shown: VideoFrame | None = None
            for frame in decoded(source, *((pictures,) if sound is None else (pictures, sound))):
                if isinstance(frame, VideoFrame):
                    at, look = watch.see(frame)
                    self._show(out, video, shown, pace.until(at))
                    shown = upright.picture(frame, look)
                    continue
                watch.hear()
                if track is not None:
                    track.add(frame)
            facts = watch.facts(source, file)
            self._show(out, video, shown, pace.rest())
            out.mux(video.encode(None))
            if track is not None:
                track.close()
                track.peaks.write(
                    self._folder / WAVEFORM_NAME,
                    duration_ms=round(self._total / self._rate * 1000),
                )
        return facts

    def counted(self, facts: Facts) -> VideoMetadata:
        """Return what was written, by reading it again; the pictures are counted, not decoded.

        Raises:
            RefusedError: the encoder left pictures out.
        """
        path = self._folder / VIDEO_NAME
        with av.open(f"file:{path}", format="mp4") as made:
            [video] = made.streams.video
            context = video.codec_context
            kinds = [packet.stream.type for packet in made.demux() if packet.size]
            count = kinds.count("video")
            if count != self._total:
                raise RefusedError(refuse(Code.UNREADABLE, detail=f"{count} of {self._total}"))
            return VideoMetadata(
                duration_ms=round(count / self._rate * 1000),
                resolution=f"{context.width}x{context.height}",
                fps=shown_rate(self._rate),
                codec=context.name,
                file_size_bytes=path.stat().st_size,
                frame_count=count,
                has_audio="audio" in kinds,
                content_hash=facts.metadata.content_hash,
            )

    def _track(self, out: OutputContainer) -> Track | None:
        if not self._facts.metadata.has_audio:
            return None
        return Track(out, start=self._facts.start, length=self._total / self._rate)

    def _show(
        self, out: OutputContainer, video: VideoStream, picture: VideoFrame | None, slots: range
    ) -> None:
        if picture is None:
            return
        for slot in slots:
            picture.pts, picture.time_base = slot, 1 / self._rate
            self.derived.see(slot, picture)
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
