"""Nodes that read, take apart, put together and write clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from gpu_agent.renderer.errors import NoVideoError, RendererError, UnsupportedError
from gpu_agent.renderer.nodes import encoding
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, Saved, one
from gpu_agent.renderer.nodes.values import Audio, Batch, Bytes, Clip

DECODER_THREADS: Final = 2
_SUFFIXES: Final = {"auto": "mp4", "mp4": "mp4", "mkv": "mkv"}
_RATE_PARTS: Final = 1000


def load_video(inputs: Inputs, run: Run) -> Result:
    """LoadVideo: only names the file; a broken one fails when it is taken apart."""
    name = inputs.text("file")
    path = run.folders.source(name)
    if path is None:
        raise RendererError(f"no such video: {name}")
    return one(Clip(path=path))


def components(inputs: Inputs, run: Run) -> Result:
    """GetVideoComponents: images, sound, frames per second, bit depth, colour space."""
    clip = inputs.clip("video")
    if clip.path is not None:
        clip = _decoded(clip.path, run)
    return Result(values=(clip.images, clip.audio, float(clip.fps), 8, "sRGB"))


def create(inputs: Inputs, _run: Run) -> Result:
    """CreateVideo: nothing is encoded before it is saved."""
    fps = Fraction(round(inputs.number("fps") * _RATE_PARTS), _RATE_PARTS)
    return one(Clip(images=inputs.batch("images"), fps=fps, audio=inputs.audio("audio")))


def save(inputs: Inputs, run: Run) -> Result:
    """SaveVideo: H.264 and AAC; a file that is H.264 already is copied, not encoded again."""
    clip = inputs.clip("video")
    container = inputs.text("format", "auto")
    codec = inputs.text("format.codec", inputs.text("codec", "auto"))
    if container not in _SUFFIXES or codec not in ("auto", "h264"):
        raise UnsupportedError(f"cannot write {container} with {codec}")
    suffix = _SUFFIXES[container]
    kind = "output"
    folder, subfolder, stem, number = run.folders.next_name(kind, inputs.text("filename_prefix"))
    name = f"{stem}_{number:05}_.{suffix}"
    part = folder / f".{name}.part"
    mode = inputs.text("format.codec.encoding", "auto")
    crf = inputs.number("format.codec.encoding.crf", encoding.CRF) if mode != "auto" else None
    try:
        _write(clip, part, run, suffix=suffix, crf=crf)
        part.replace(folder / name)
    finally:
        part.unlink(missing_ok=True)
    return Result(values=(clip,), saved=(Saved(filename=name, subfolder=subfolder),), animated=True)


def _write(clip: Clip, target: Path, run: Run, *, suffix: str, crf: float | None) -> None:
    if clip.path is not None:
        if crf is None and encoding.is_copyable(clip.path):
            encoding.copy_streams(clip.path, target, suffix=suffix, check=run.check)
            return
        clip = _decoded(clip.path, run)
    encoding.encode(clip, target, run, suffix=suffix, crf=encoding.CRF if crf is None else crf)


def _decoded(path: Path, run: Run) -> Clip:
    """Decode a whole file to 8-bit RGB and float sound."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise NoVideoError(f"no video stream in {path.name}")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.thread_count = DECODER_THREADS
        fps = stream.average_rate or stream.guessed_rate or Fraction(25)
        size = (stream.width, stream.height)
        expected = stream.frames or int((container.duration or 0) / av.time_base * fps)
        run.refuse_if_too_long(frames=expected, width=size[0], height=size[1])
        frames, matrix = _frames(container, run, expected)
    if not frames:
        raise NoVideoError(f"no frame can be decoded in {path.name}")
    images = Batch(frames, matrix=matrix)
    return Clip(images=images, fps=fps, audio=_sound(path, run))


def _frames(
    container: av.container.InputContainer, run: Run, expected: int
) -> tuple[list[Bytes], int]:
    # one converter for all frames: each frame's own would build its tables again
    converter = VideoReformatter()
    frames: list[Bytes] = []
    matrix = 0
    taken = 0
    for frame in container.decode(video=0):
        run.check()
        pixels = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        if frame.rotation:
            pixels = np.rot90(pixels, frame.rotation // 90)
        frames.append(np.ascontiguousarray(pixels, dtype=np.uint8))
        taken += frames[-1].nbytes
        run.reserve(taken)
        matrix = int(frame.colorspace)
        run.tick(len(frames), max(expected, len(frames)))
    return frames, matrix


def _sound(path: Path, run: Run) -> Audio | None:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        rate, layout = stream.rate, stream.layout
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        taken = 0
        parts: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
        for frame in container.decode(audio=0):
            run.check()
            parts += [piece.to_ndarray().astype(np.float32) for piece in resampler.resample(frame)]
            taken += parts[-1].nbytes if parts else 0
            run.reserve(taken)
    if not parts:
        return None
    return Audio(samples=np.concatenate(parts, axis=1), rate=rate)
