"""Whether analysis sees the effects, looks and styles that were put on real clips, and its cost.

Effects go through the coder at the quality of intake. False alarms are counted over every untouched
clip and every effect that a person does not see in it. Styles are told by what other films teach.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from msgspec import Struct

from benchmarks import styles
from benchmarks.analysis_clips import SOURCES, Source, found
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import SLOW_ROUNDS, WorkloadError, spread
from media import scenes
from media.effects_seen import RULES, effects, signals
from media.frames import load
from media.palette import light
from media.style import NATURAL, Named
from media.text import TEXT_FRAMES, text_share
from media.texture import detail_size, texture
from tests.effects_made import EFFECTS, STRENGTHS, Frame
from tests.unit.media_analysis.clips import FPS, read_frames, write_clip

_INTAKE_CRF: Final = 20
_SECONDS: Final = 10
_CARTOON: Final = 125
LEAST_RECALL: Final = 0.75
_CHILD: Final = (
    "import sys; from pathlib import Path; from media import analysis; "
    "from media.tag_model import find_tag_model; "
    "analysis.watch(Path(sys.argv[1]), model=find_tag_model())"
)


class Trial(Struct, frozen=True, kw_only=True):
    """What was seen in one clip with one effect, or with none."""

    source: str
    held: bool
    effect: str
    strength: int
    seen: frozenset[str]
    has: frozenset[str]


def run() -> Outcome:
    """Put everything on everything, look, and count."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        trials = [each for made in pool.map(_of_source, SOURCES) for each in made]
    held = [each for each in trials if each.held]
    names = [name for name in EFFECTS if name in RULES]
    recalls = {name: _recall(held, name) for name in names}
    known = styles.samples()
    against = styles.tried(known, against=True)
    alone = styles.tried(known, against=False)
    cpu_s = [_cost() for _ in range(SLOW_ROUNDS)]
    rows = [
        row("analysis.effects", [sum(value >= LEAST_RECALL for value in recalls.values())]),
        row("analysis.false_alarms", [100.0 * _alarms(trials)]),
        row("analysis.look", [_right(against)]),
        row("analysis.style", [_right(alone)]),
        row("analysis.cpu", cpu_s),
    ]
    seen = [
        *(
            Seen(what=name, wall=f"{value:.2f}", remark=f"all clips {_recall(trials, name):.2f}")
            for name, value in recalls.items()
        ),
        Seen(what="false alarms, held clips", wall=f"{100 * _alarms(held):.1f} %"),
        *(
            Seen(what=f"seen in {each.source}", wall=" ".join(sorted(each.seen - each.has)))
            for each in trials
            if not each.effect and each.seen - each.has
        ),
        Seen(what="10 s 720p", wall="", cpu=spread(cpu_s, "s", digits=2)),
    ]
    return Outcome(rows=rows, seen=seen)


def _of_source(source: Source) -> list[Trial]:
    cv2.setNumThreads(1)
    frames = [_even(frame) for frame in source.frames()]
    with tempfile.TemporaryDirectory(prefix="analysis-") as folder:
        file = Path(folder) / "a.mp4"

        def trial(effect: str, strength: int, done: Sequence[Frame]) -> Trial:
            return Trial(
                source=source.name,
                held=source.held,
                effect=effect,
                strength=strength,
                seen=_seen(write_clip(file, done, crf=_INTAKE_CRF)),
                has=source.has,
            )

        return [
            trial("", 0, frames),
            *(
                trial(name, strength, make(frames, strength))
                for name, make in EFFECTS.items()
                if name in RULES
                for strength in range(STRENGTHS)
            ),
        ]


def _seen(file: Path) -> frozenset[str]:
    clip = load(file, colour=True)
    measured = signals(
        clip,
        light=light(clip.small),
        texture=texture(clip, detail_size(clip.width, clip.height)),
        cuts=frozenset(first for first, _ in scenes.spans(clip)),
        text=text_share(clip.colour[:TEXT_FRAMES]),
    )
    return frozenset(each.name for each in effects(measured))


def _even(frame: Frame) -> Frame:
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def _recall(trials: Sequence[Trial], effect: str) -> float:
    return float(np.mean([effect in each.seen for each in trials if each.effect == effect]))


def _alarms(trials: Sequence[Trial]) -> float:
    """Return the share of clips and effects that are not there where one was seen."""
    plain = [each for each in trials if not each.effect]
    wrong = sum(len(each.seen - each.has) for each in plain)
    return wrong / sum(len(RULES) - len(each.has) for each in plain)


def _right(tried: Sequence[tuple[styles.Sample, Named]]) -> float:
    looks = [(each, named) for each, named in tried if each.look != NATURAL]
    return float(np.mean([named.name == each.look for each, named in looks]))


def _ten_seconds(path: Path) -> Path:
    """Write ten seconds of 720p, the cartoon again and again."""
    frames = read_frames(found("bigbuckbunny.mp4"), size=(1280, 720), first=0, count=_CARTOON)
    return write_clip(path, [frames[at % _CARTOON] for at in range(_SECONDS * FPS)])


def _cost() -> float:
    """Return the CPU seconds of one analysis in a process of its own, its start included."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        clip = _ten_seconds(Path(folder) / "clip.mp4")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", _CHILD, str(clip)], check=False, timeout=120.0)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise WorkloadError("analysis", f"the child ended with {done.returncode}")
    return used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
