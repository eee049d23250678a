"""Small pictures of a clip as WebP: a poster that stands still, and a preview that moves.

WebP knows one matrix and limited range, so colours are converted on the way. The same bytes every
time: one thread, a set quality, no metadata.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

POSTER_SIDE: Final = 960
PREVIEW_SIDE: Final = 320
PREVIEW_RATE: Final = 8
_POSTER: Final = {"quality": "80", "compression_level": "4"}
_PREVIEW: Final = {"quality": "60", "compression_level": "4"}


def shrunk(picture: VideoFrame, side: int) -> VideoFrame:
    """Return a picture with its longer side at most so long, in the colours of WebP."""
    shrink = min(Fraction(1), Fraction(side, max(picture.width, picture.height)))
    width, height = (_even(side * shrink) for side in (picture.width, picture.height))
    graph = Graph()
    graph.link_nodes(
        graph.add(
            "buffer",
            f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
            f":time_base=1/1:colorspace={picture.colorspace}:range={picture.color_range}",
        ),
        graph.add("scale", f"w={width}:h={height}:out_range=tv:out_color_matrix=bt601"),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ).configure()
    graph.vpush(picture)
    return graph.vpull()


def write_poster(picture: VideoFrame, path: Path) -> None:
    """Write a picture small enough for a list of clips."""
    still = shrunk(picture, POSTER_SIDE)
    encoder = VideoCodecContext.create("libwebp", "w")
    encoder.width, encoder.height, encoder.pix_fmt = still.width, still.height, "yuv420p"
    encoder.time_base = Fraction(1)
    encoder.options = dict(_POSTER)
    still.pts, still.time_base = 0, Fraction(1)
    packets = [*encoder.encode(still), *encoder.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))


def write_preview(pictures: list[VideoFrame], path: Path) -> None:
    """Write pictures that were shrunk already as one that moves, for ever."""
    first = pictures[0]
    with av.open(f"file:{path}", "w", format="webp", options={"loop": "0"}) as out:
        video = out.add_stream("libwebp_anim", rate=PREVIEW_RATE, options=dict(_PREVIEW))
        video.width, video.height, video.pix_fmt = first.width, first.height, "yuv420p"
        video.codec_context.thread_count = 1
        for index, picture in enumerate(pictures):
            picture.pts, picture.time_base = index, Fraction(1, PREVIEW_RATE)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))


def _even(side: Fraction) -> int:
    return max(2, round(side / 2) * 2)
