"""Nodes that read, take apart, cut, put together and write clips."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Final

import av
from msgspec import structs

from gpu_agent.renderer.errors import RendererError, UnsupportedError
from gpu_agent.renderer.nodes import encoding
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, held, one, writing
from gpu_agent.renderer.nodes.film import Film, length_s, sound
from gpu_agent.renderer.nodes.lengths import Count, Cut
from gpu_agent.renderer.nodes.values import Audio, Batch, Clip, trimmed

CRFS: Final = {"h264": 20.0, "av1": 30.0}
_FORMS: Final = {"mp4": "mp4", "mkv": "matroska", "webm": "webm"}
_SUFFIXES: Final = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "mkv"}
_CODECS: Final = {"mp4": ("h264", "av1"), "mkv": ("h264", "av1"), "webm": ("av1",)}
# how the decoders of a codec are called, and the codec of the sound beside it
_COPYABLE: Final = {"h264": ("h264", "aac"), "av1": ("libdav1d", "opus")}
_RATE_PARTS: Final = 1000
_TIME_PARTS: Final = 1_000_000


def load_video(inputs: Inputs, run: Run) -> Result:
    """LoadVideo: only names the file; a broken one fails when it is taken apart."""
    name = inputs.text("file")
    path = run.folders.source(name)
    if path is None:
        raise RendererError(f"no such video: {name}")
    return one(Clip(path=path))


def components(inputs: Inputs, run: Run) -> Result:
    """GetVideoComponents: images, sound, frames per second, bit depth, colour space."""
    clip = _taken_apart(inputs.clip("video"), run)
    return Result(values=(clip.images, clip.audio, float(clip.fps), 8, "sRGB"))


def create(inputs: Inputs, _run: Run) -> Result:
    """CreateVideo: nothing is encoded before it is saved."""
    fps = Fraction(round(inputs.number("fps") * _RATE_PARTS), _RATE_PARTS)
    images, bits = inputs.batch("images"), inputs.integer("bit_depth", encoding.BITS)
    return one(Clip(images=images, fps=fps, audio=inputs.audio("audio"), bits=bits))


def cut_seconds(inputs: Inputs, run: Run) -> Result:
    """Video Slice: a part by seconds; a negative start counts from the end."""
    clip = inputs.clip("video")
    start, duration = _seconds(inputs.number("start_time")), _seconds(inputs.number("duration"))
    whole = _length(clip)
    if start < 0:
        start = max(Fraction(0), whole + start)
    if inputs.flag("strict_duration") and whole - start < duration:
        raise RendererError(
            f"failed to slice video: it lasts {float(whole):g} s,"
            f" start {float(start):g} s, wanted {float(duration):g} s"
        )
    if clip.path is not None:
        left = max(Fraction(0), clip.duration - start) if clip.duration else Fraction(0)
        kept = min(duration, left) if duration and left else duration or left
        return one(structs.replace(clip, start=clip.start + start, duration=kept))
    images = _images(clip)
    first = round(start * clip.fps)
    frames = max(1, round(duration * clip.fps)) if duration else len(images)
    return one(_cut(clip, first, frames, run))


def cut_frames(inputs: Inputs, run: Run) -> Result:
    """VideoTemporalCrop: a part by frames, with its sound."""
    clip = _taken_apart(inputs.clip("video"), run)
    return one(_cut(clip, inputs.integer("start_frame"), inputs.integer("length"), run))


def cut_anywhere(inputs: Inputs, run: Run) -> Result:
    """VideoRandomTemporalCrop: a part of that many frames, from a place that the seed tells."""
    clip = _taken_apart(inputs.clip("video"), run)
    frames = inputs.integer("length")
    last = max(0, len(_images(clip)) - frames)
    start = random.Random(inputs.integer("seed")).randint(0, last)  # noqa: S311  # no secret
    return one(_cut(clip, start, frames, run))


def sample_frames(inputs: Inputs, run: Run) -> Result:
    """VideoFrameSample: some frames in order, without sound."""
    clip = _taken_apart(inputs.clip("video"), run)
    images = _images(clip)
    total = len(images)
    wanted = min(inputs.integer("num_frames"), total)
    match inputs.text("strategy"):
        case "head":
            chosen = list(range(wanted))
        case "tail":
            chosen = list(range(total - wanted, total))
        case "random":
            dice = random.Random(inputs.integer("seed"))  # noqa: S311  # no secret
            chosen = sorted(dice.sample(range(total), wanted))
        case _:
            chosen = [round(i * (total - 1) / max(1, wanted - 1)) for i in range(wanted)]
    sampled = collect(
        run, lambda index: images.stored(chosen[index]), length=Count(wanted), reads=(images,)
    )
    return one(Clip(images=sampled, fps=clip.fps))


def save(inputs: Inputs, run: Run) -> Result:
    """SaveVideo: a file that has the wanted form already is copied, not encoded again."""
    clip = inputs.clip("video")
    suffix = inputs.text("format", "auto")
    codec = inputs.text("format.codec", inputs.text("codec", "auto"))
    if suffix == "auto":
        suffix = _own_suffix(clip)
    if codec == "auto":
        codec = _own_codec(clip, suffix)
    if suffix not in _CODECS:
        raise UnsupportedError(f"{suffix!r} is not a valid VideoContainer")
    if codec not in _CODECS[suffix]:
        raise UnsupportedError(f"cannot write {suffix} with {codec}")
    again = inputs.text("format.codec.encoding", "auto") != "auto"
    crf = CRFS[codec]
    space: encoding.Space | None = None
    if again:
        crf = inputs.number("format.codec.encoding.crf", crf)
        space = encoding.SPACES.get(inputs.text("format.codec.encoding.color_space", "auto"))
    whole = not again and not clip.start and not clip.duration
    form, maker = _FORMS[suffix], encoding.h264 if codec == "h264" else encoding.av1
    with writing(run, inputs.text("filename_prefix"), suffix) as (part, saved):
        if clip.path is not None and whole and encoding.is_copyable(clip.path, *_COPYABLE[codec]):
            encoding.copy_streams(clip.path, part, form=form, check=run.check)
        else:
            target = maker(form, crf)
            if clip.bits > encoding.BITS or (space is not None and space.is_wide):
                target = structs.replace(target, pixels=encoding.DEEP_PIXELS)
            target = structs.replace(target, space=space)
            encoding.encode(_taken_apart(clip, run), part, run, target)
    return Result(values=(clip,), saved=(saved,), animated=True)


def _own_suffix(clip: Clip) -> str:
    """Return the container that a clip came in, if it can be written."""
    if clip.path is None:
        return "mp4"
    if clip.path.suffix.lower() == ".webm":
        return "webm"
    with av.open(str(clip.path)) as container:
        return _SUFFIXES.get(container.format.name, "mp4")


def _own_codec(clip: Clip, suffix: str) -> str:
    """Return the codec that a clip came in, if the container may hold it."""
    codecs = _CODECS.get(suffix, ("h264",))
    if clip.path is None:
        return codecs[0]
    return next((c for c in codecs if encoding.is_copyable(clip.path, *_COPYABLE[c])), codecs[0])


def _taken_apart(clip: Clip, run: Run) -> Clip:
    """Return images and sound of a clip; the images are held if they are few."""
    if clip.path is None:
        return clip
    film = Film(clip, run)
    run.allow(film.frame_nbytes)
    images = held(run, film)
    if images is not None:
        film.close()
    return Clip(images=images or film, fps=film.rate, audio=sound(clip))


def _images(clip: Clip) -> Batch:
    if clip.images is None:
        raise RendererError("a video without images")
    return clip.images


def _cut(clip: Clip, start: int, frames: int, run: Run) -> Clip:
    images = _images(clip)
    if not images.length.has(start):
        start = max(0, len(images) - 1)
    part = collect(
        run,
        lambda index: images.stored(start + index),
        length=Cut(images.length, start, frames),
        reads=(images,),
    )
    audio: Audio | None = None
    if clip.audio is not None:
        audio = trimmed(clip.audio, start / clip.fps, frames / clip.fps)
    return Clip(images=part, fps=clip.fps, audio=audio)


def _length(clip: Clip) -> Fraction:
    if clip.path is None:
        return len(_images(clip)) / clip.fps
    whole = max(Fraction(0), length_s(clip.path) - clip.start)
    return min(whole, clip.duration) if clip.duration else whole


def _seconds(number: float) -> Fraction:
    return Fraction(round(number * _TIME_PARTS), _TIME_PARTS)
