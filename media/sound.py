"""The sound of the mezzanine: AAC, 48 kHz, stereo, from the first picture to the last."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import BlockingIOError as NothingYetError
from av.error import EOFError as NothingMoreError
from av.filter import Graph

from media.waveform import Peaks

SAMPLE_RATE: Final = 48_000
_BIT_RATE: Final = 128_000
_PACKET_SAMPLES: Final = 1024
_LAYOUTS: Final = {1: "mono", 2: "stereo"}
"""What a sound without a named layout is taken for."""


class Track:
    """Brings sounds onto the clock of the pictures and encodes them.

    Silence fills what is missing, and what is heard before or after the pictures is cut off, so
    the sound neither drifts nor makes the clip longer.
    """

    def __init__(self, out: OutputContainer, *, start: Fraction, length: Fraction) -> None:
        self._out = out
        self._start = start
        self._length = length
        self._graph: Graph | None = None
        self._form: tuple[int, str, str] | None = None
        self._over = False
        self.peaks = Peaks(int(length * SAMPLE_RATE))
        """How loud it is, for whoever draws it."""
        self._stream: AudioStream = out.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        self._stream.bit_rate = _BIT_RATE
        self._stream.time_base = Fraction(1, SAMPLE_RATE)
        self._stream.codec_context.time_base = Fraction(1, SAMPLE_RATE)

    def add(self, heard: AudioFrame) -> None:
        """Take one piece of sound; one in another form than the first is left silent."""
        layout = heard.layout.name
        if layout.endswith("channels"):
            layout = _LAYOUTS.get(heard.layout.nb_channels, "")
        form = heard.sample_rate, heard.format.name, layout
        if self._over or not all(form) or heard.pts is None or not heard.time_base:
            return
        if self._graph is None:
            self._form, self._graph = form, self._built(*form)
        if form != self._form:
            return
        at = (heard.pts * heard.time_base - self._start) * heard.sample_rate
        heard.pts, heard.time_base = round(at), Fraction(1, heard.sample_rate)
        try:
            self._graph.push(heard)
        except NothingMoreError:
            self._over = True  # the pictures are over, so nothing more is heard
            return
        self._drain(self._graph)

    def close(self) -> None:
        """Encode what is left."""
        if self._graph is not None:
            if not self._over:
                self._graph.push(None)
            self._drain(self._graph)
        self._out.mux(self._stream.encode(None))

    def _drain(self, graph: Graph) -> None:
        while True:
            try:
                piece = graph.pull()
            except (NothingYetError, NothingMoreError):
                return
            assert isinstance(piece, AudioFrame)
            self.peaks.add(piece.pts or 0, np.asarray(piece.to_ndarray(), np.float32))
            self._out.mux(self._stream.encode(piece))

    def _built(self, rate: int, form: str, layout: str) -> Graph:
        graph = Graph()
        graph.link_nodes(
            graph.add(
                "abuffer",
                f"sample_rate={rate}:sample_fmt={form}:channel_layout={layout}:time_base=1/{rate}",
            ),
            graph.add("aresample", f"{SAMPLE_RATE}:async=1:first_pts=0"),
            graph.add("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
            graph.add("atrim", f"end_sample={int(self._length * SAMPLE_RATE)}"),
            graph.add("asetnsamples", f"n={_PACKET_SAMPLES}:p=0"),
            graph.add("abuffersink"),
        ).configure()
        return graph
