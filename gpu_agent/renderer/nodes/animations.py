"""Nodes that write moving pictures without sound, and one that passes images through a codec."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
import numpy as np

from gpu_agent.renderer.errors import UnsupportedError
from gpu_agent.renderer.nodes import encoding
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, one, writing
from gpu_agent.renderer.nodes.values import Bytes, Clip, Frame

_RATE_PARTS: Final = 1000
_WEBP_METHODS: Final = {"default": "4", "fastest": "0", "slowest": "6"}
_WORST_CRF: Final = 51


def save_webm(inputs: Inputs, run: Run) -> Result:
    """SaveWEBM: VP9 or AV1; only VP9 can be transparent."""
    crf, images = inputs.number("crf"), inputs.batch("images")
    if inputs.text("codec") == "vp9":
        target = encoding.vp9(crf, transparent=images.shape[2] == 4)
    else:
        target = encoding.av1("webm", crf)
    return _save(inputs, run, target, "webm")


def save_webp(inputs: Inputs, run: Run) -> Result:
    """SaveAnimatedWEBP."""
    options = {
        "lossless": str(int(inputs.flag("lossless"))),
        "quality": str(inputs.integer("quality")),
        "compression_level": _WEBP_METHODS[inputs.text("method", "default")],
    }
    target = encoding.Target(container="webp", codec="libwebp_anim", pixels="bgra", options=options)
    return _save(inputs, run, target, "webp")


def save_png(inputs: Inputs, run: Run) -> Result:
    """SaveAnimatedPNG."""
    pixels = "rgba" if inputs.batch("images").shape[2] == 4 else "rgb24"
    options = {"compression_level": str(inputs.integer("compress_level"))}
    target = encoding.Target(container="apng", codec="apng", pixels=pixels, options=options)
    return _save(inputs, run, target, "png")


def _save(inputs: Inputs, run: Run, target: encoding.Target, suffix: str) -> Result:
    images = inputs.batch("images")
    fps = Fraction(round(inputs.number("fps") * _RATE_PARTS), _RATE_PARTS)
    clip = Clip(images=images, fps=fps)
    with writing(run, inputs.text("filename_prefix"), suffix) as (part, saved):
        encoding.encode(clip, part, run, target)
    return Result(values=(images,), saved=(saved,), animated=images.length.has(1))


def compress(inputs: Inputs, run: Run) -> Result:
    """LTXVPreprocess: every image through H.264 and back, for the flaws this makes."""
    batch, crf = inputs.batch("image"), inputs.integer("img_compression")
    if crf == 0:
        return one(batch)
    height, width = batch.height // 2 * 2, batch.width // 2 * 2
    if not height or not width or batch.shape[2] != 3:
        raise UnsupportedError(f"cannot compress images of shape {batch.shape}")

    def work(index: int) -> Frame:
        return _round_trip(encoding.picture(batch.stored(index)[:height, :width]), crf)

    return one(collect(run, work, length=batch.length, reads=(batch,)))


def _round_trip(picture: av.VideoFrame, crf: int) -> Bytes:
    """Return a picture after H.264, all by itself."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuv420p"
    encoder.framerate = Fraction(1)
    encoder.time_base = Fraction(1)
    encoder.options = {"crf": str(min(crf, _WORST_CRF)), "preset": "veryfast"}
    encoder.thread_count = 1
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    frame = picture.reformat(format="yuv420p", threads=1)
    frame.pts, frame.time_base = 0, Fraction(1)
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    [decoded] = [f for packet in (*packets, None) for f in decoder.decode(packet)]
    return decoded.to_ndarray(format="rgb24", threads=1).astype(np.uint8, copy=False)
