"""Pictures as the mezzanine wants them: upright, square pixels, its size, its colours."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from av.filter import Graph
from av.video.frame import PictureType, VideoFrame

from media.decoding import Look
from media.mezzanine import Frame, fitted

LIMITED: Final = 1
BT709: Final = 1
UNTOLD: Final = 2
_FULL: Final = 2
_KEPT_MATRICES: Final = {1: "bt709", 5: "bt470bg", 6: "smpte170m"}
_HDR_TRANSFERS: Final = frozenset({16, 18})
"""PQ and HLG."""
_SCALER: Final = "flags=bicubic+accurate_rnd+full_chroma_int:out_range=tv"
_TO_SDR: Final = ":out_color_matrix=bt709:out_primaries=bt709:out_transfer=bt709:intent=perceptual"
_TICK: Final = Fraction(1, 1000)


class Colours:
    """FFmpeg's numbers for the colours of the mezzanine."""

    def __init__(self, look: Look) -> None:
        self.converted = look.transfer in _HDR_TRANSFERS or look.matrix not in _KEPT_MATRICES
        self.matrix = BT709 if self.converted else look.matrix
        self.primaries = BT709 if self.converted else look.primaries
        self.transfer = BT709 if self.converted else look.transfer


class Upright:
    """Turns, scales and crops pictures; one filter graph for as long as they look the same.

    Matrices that every player knows are kept, because converting them would cost fidelity for
    nothing. High dynamic range and everything else becomes BT.709.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._look: Look | None = None
        self._graph = Graph()

    def picture(self, picture: VideoFrame, look: Look) -> VideoFrame:
        """Return the picture as it goes into the mezzanine."""
        if look != self._look:
            self._graph, self._look = self._built(look), look
        # a graph refuses to guess; say what the look decided
        if not look.rgb:
            picture.colorspace = look.matrix
            picture.color_range = _FULL if look.full_range else LIMITED
        picture.pts, picture.time_base = 0, _TICK
        # the encoder would take the source's kinds of pictures over, and its key pictures with them
        picture.pict_type = PictureType.NONE
        self._graph.vpush(picture)
        return self._graph.vpull()

    def _built(self, look: Look) -> Graph:
        graph = Graph()
        source = (
            f"video_size={look.width}x{look.height}:pix_fmt={look.pixel_format}"
            f":time_base={_TICK}:pixel_aspect=1/1"
        )
        if not look.rgb:
            source += f":colorspace={look.matrix}:range={_FULL if look.full_range else LIMITED}"
        nodes = [graph.add("buffer", source)]
        for step in (*look.turn, *self._sized(look), "format=yuv420p", "setsar=1"):
            name, _, arguments = step.partition("=")
            nodes.append(graph.add(name, arguments or None))
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        return graph

    def _sized(self, look: Look) -> tuple[str, ...]:
        target = self._frame
        fit = fitted(look.width, look.height, aspect=look.aspect, turned=look.turned)
        scale = f"{_SCALER}{self._colours(look)}"
        if (fit.width, fit.height) == (target.width, target.height):
            return (
                f"scale=w={fit.scale_width}:h={fit.scale_height}:{scale}",
                f"crop={fit.width}:{fit.height}:0:0",
            )
        # the size changed in the middle of the clip: fit it in, do not distort it
        box = f"w={target.width}:h={target.height}"
        return (
            f"scale=w={fit.width}:h={fit.height}",
            f"scale={box}:force_original_aspect_ratio=decrease:{scale}",
            f"pad={box}:x=(ow-iw)/2:y=(oh-ih)/2",
        )

    def _colours(self, look: Look) -> str:
        colours = Colours(look)
        if look.rgb:
            return f":out_color_matrix={_KEPT_MATRICES[look.matrix]}"
        return _TO_SDR if colours.converted else ""
