"""What the embedded renderer takes of CPU and memory, beside what a real server took.

That one was 0.33.0 on two shared cores: its CPU seconds of one run of each graph over 60 frames of
640x360 with sound, nothing cached. Ours runs the same graphs over as many frames, each in a process
of its own; the stopwatch leaves out the start of either.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, Final

import av
import numpy as np

from benchmarks.results import Outcome, Row, Seen, row
from benchmarks.running import SLOW_ROUNDS, WorkloadError, program, spread
from effectmesh.clips import NoClipError, find_clip

RECORDED_CPU_S: Final = {
    "passthrough": 2.23,
    "invert": 2.87,
    "blur": 3.25,
    "sharpen": 4.1,
    "soft_light": 9.79,
    "color_transfer": 34.47,
}
FRAMES: Final = 60
SIZE: Final = (640, 360)
LONG_FRAMES: Final = 1500
"""A minute."""
LONG_SIZE: Final = (1920, 1080)
LONG_GRAPH: Final = "soft_light"
LONG_WITHIN_S: Final = 400.0
_RATE: Final = 25
_SOUND_RATE: Final = 48_000
_PIECE: Final = 1024


async def run() -> Outcome:
    """Measure each graph in turn, several times, then a long clip once."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        write_clip(short, frames=FRAMES, size=SIZE)
        told = [
            {graph: await measured(graph, short) for graph in RECORDED_CPU_S}
            for _ in range(SLOW_ROUNDS)
        ]
        write_clip(long, frames=LONG_FRAMES, size=LONG_SIZE)
        minute = await measured(LONG_GRAPH, long)
    return Outcome(rows=_rows(told, minute), seen=_seen(told, minute))


async def measured(graph: str, clip: Path) -> dict[str, Any]:
    """Run a graph over a clip in a process of its own and return what it took."""
    async with program("renderer", graph=graph, clip=str(clip)) as running:
        return await running.says(within_s=LONG_WITHIN_S)


def _rows(told: list[dict[str, dict[str, Any]]], minute: dict[str, Any]) -> list[Row]:
    def runs(graph: str) -> list[float]:
        return [each[graph]["cpu_s"] / RECORDED_CPU_S[graph] for each in told]

    def peer(graph: str) -> list[float]:
        return [RECORDED_CPU_S[graph]]

    return [
        row("renderer.passthrough", runs("passthrough"), peer=peer("passthrough")),
        row("renderer.invert", runs("invert"), peer=peer("invert")),
        row("renderer.blur", runs("blur"), peer=peer("blur")),
        row("renderer.sharpen", runs("sharpen"), peer=peer("sharpen")),
        row("renderer.soft_light", runs("soft_light"), peer=peer("soft_light")),
        row("renderer.color_transfer", runs("color_transfer"), peer=peer("color_transfer")),
        row("renderer.memory", [minute["peak_kib"] / 1024]),
    ]


def _seen(told: list[dict[str, dict[str, Any]]], minute: dict[str, Any]) -> list[Seen]:
    seen = [
        Seen(
            what=f"{graph}, {FRAMES} frames of 360p",
            wall=spread([each[graph]["wall_s"] for each in told], "s", digits=2),
            cpu=spread([each[graph]["cpu_s"] for each in told], "s", digits=2),
            remark=f"peak {median(each[graph]['peak_kib'] for each in told) / 1024:.0f} MiB",
        )
        for graph in RECORDED_CPU_S
    ]
    seen.append(
        Seen(
            what=f"{LONG_GRAPH}, a minute of 1080p",
            wall=f"{minute['wall_s']:.0f} s",
            cpu=f"{minute['cpu_s']:.0f} s",
            remark=f"peak {minute['peak_kib'] / 1024:.0f} MiB",
        )
    )
    return seen


def write_clip(path: Path, *, frames: int, size: tuple[int, int]) -> None:
    """Write the demo's footage over and over in another size, with a tone.

    Raises:
        WorkloadError: the demo's clip is not here.
    """
    try:
        footage = find_clip()
    except NoClipError as missing:
        raise WorkloadError("renderer", str(missing)) from missing
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        sound = container.add_stream("aac", rate=_SOUND_RATE, layout="stereo")
        written = 0
        while written < frames:
            with av.open(str(footage)) as reader:
                for frame in reader.decode(video=0):
                    scaled = frame.reformat(*size, format="yuv420p")
                    scaled.pts, scaled.time_base = written, Fraction(1, _RATE)
                    container.mux(video.encode(scaled))
                    written += 1
                    if written == frames:
                        break
        container.mux(video.encode(None))
        at = np.arange(frames * _SOUND_RATE // _RATE)
        tone = np.stack([np.sin(at / 20), np.sin(at / 31)]).astype(np.float32) / 4
        for start in range(0, tone.shape[1], _PIECE):
            piece = np.ascontiguousarray(tone[:, start : start + _PIECE])
            heard = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            heard.sample_rate, heard.pts = _SOUND_RATE, start
            container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
