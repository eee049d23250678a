"""What is in a clip: shots, light, colours, camera, subjects, things, and effects it already has.

Numbers are measured (``media.camera``, ``media.tone``, ``media.surface``), effects follow from them
by rules (``media.effects_seen``), the style from a comparison (``media.style``). Things are named
by a model that is given in; without one only faces are looked for, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np

from media import scenes, style
from media.camera import STILL, Movement, movement
from media.effects_seen import effects, signals
from media.faces import FACE_FRAMES, LEAST, FaceFinder, people
from media.frames import Footage, Pixels, load
from media.palette import Light, colour_names, light
from media.style import Named, StyleBook
from media.tag_model import Look
from media.tags import Tag, labels, person
from media.text import TEXT_FRAMES, has_text, text_share
from media.texture import detail_size, texture

ANALYZER_VERSION: Final = "measured-2"
"""Goes up with every change of what is measured."""

MAX_SCENES: Final = 200
MAX_STILLS: Final = 6
"""Shots of which a picture is kept for whoever describes them in words."""
STILL_SIDE: Final = 512
_STILL_QUALITY: Final = 80
_SHOWN_FRAMES: Final = 8
"""Frames of a shot whose colours are looked at."""
_LOOKED_AT: Final = 3
"""Frames of a shot that the model looks at."""
_MOST_LOOKS: Final = 24
_UNNAMED: Final = Named(name=style.NATURAL, confidence=0.0)


class Eyes(Protocol):
    """A model that knows things by sight; ``media.tag_model.TagModel`` is one."""

    def look(self, frames: Sequence[Pixels]) -> Sequence[Look]:
        """Say what each BGR frame shows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One shot, measured."""

    start_ms: int
    end_ms: int
    light: Light
    colours: tuple[str, ...]
    speed: float
    """Picture widths a second."""
    face: bool
    movement: Movement = STILL
    text: bool = False
    things: tuple[Tag, ...] = ()
    """What the model named, the surest first."""
    still: bytes = field(default=b"", repr=False)
    """A JPEG from the middle; only of the longest shots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A whole clip, measured. The shots cover it without a gap or an overlap."""

    shots: tuple[Shot, ...]
    duration_ms: int
    frames: int
    light: Light
    speed: float
    detail: float
    effects: tuple[str, ...]
    """Looks and tricks the clip already has, such as ``letterbox``."""
    effect_confidence: Mapping[str, float] = field(default_factory=dict)
    style: Named = _UNNAMED
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels; 0 when not known."""
    complete: bool = True
    """False when decoding broke off."""
    modelled: bool = False
    """A model was there to name things."""


def watch(
    file: Path | int,
    *,
    model: Eyes | None = None,
    book: StyleBook | None = None,
) -> Sighting:
    """Decode a clip, given by its path or as an open file by number, and measure it.

    Raises:
        UnreadableFootageError: it cannot be decoded.
    """
    # OpenCV's threads spin while they wait: on a busy machine that took forty times as long
    cv2.setNumThreads(1)
    return describe(load(file, colour=True), model=model, book=book)


def describe(
    footage: Footage,
    *,
    model: Eyes | None = None,
    book: StyleBook | None = None,
) -> Sighting:
    """Measure a decoded clip; ``book`` is the shipped one unless another is given."""
    spans = _bounded(scenes.spans(footage))
    shots = _shots(footage, spans, model=model)
    overall = light(footage.small[:: max(1, len(footage) // 48)])
    surface = texture(footage, detail_size(footage.width, footage.height))
    seen = effects(
        signals(
            footage,
            light=overall,
            texture=surface,
            cuts=frozenset(first for first, _ in spans),
            text=text_share(_spread(list(footage.colour), TEXT_FRAMES)),
        )
    )
    lengths = [shot.end_ms - shot.start_ms for shot in shots]
    return Sighting(
        shots=shots,
        duration_ms=shots[-1].end_ms,
        frames=len(footage),
        light=overall,
        speed=float(np.average([shot.speed for shot in shots], weights=lengths)),
        detail=surface.detail,
        effects=tuple(each.name for each in seen),
        effect_confidence={each.name: each.confidence for each in seen},
        style=style.name_style(footage, book or style.shipped()),
        size=(footage.width, footage.height),
        complete=not footage.damaged,
        modelled=model is not None,
    )


def _bounded(spans: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Let the last shot take what is beyond the limit."""
    if len(spans) <= MAX_SCENES:
        return spans
    return (*spans[: MAX_SCENES - 1], (spans[MAX_SCENES - 1][0], spans[-1][1]))


def _shots(
    footage: Footage,
    spans: tuple[tuple[int, int], ...],
    *,
    model: Eyes | None,
) -> tuple[Shot, ...]:
    starts = [round(float(footage.times_ms[first])) for first, _ in spans]
    duration = max(round(footage.duration_ms), starts[-1] + 1)
    ends = [*starts[1:], duration]
    faces = _faces(footage)
    longest = sorted(range(len(spans)), key=lambda at: spans[at][0] - spans[at][1])
    pictured, looked_at = set(longest[:MAX_STILLS]), set(longest[:_MOST_LOOKS])
    share = max(1, min(_LOOKED_AT, _MOST_LOOKS // len(spans)))
    found: list[Shot] = []
    for at, (span, start, end) in enumerate(zip(spans, starts, ends, strict=True)):
        sampled = [
            number for number, index in enumerate(footage.full_at) if span[0] <= index < span[1]
        ]
        inside = [footage.colour[number] for number in sampled if number < len(footage.colour)]
        picked = _spread(inside, share) if at in looked_at else []
        looks = model.look(picked) if model is not None and picked else ()
        face = people([sure for index, sure in faces.items() if span[0] <= index < span[1]])
        somebody = person(face, looks)
        moved = movement(footage, *span)
        shown = footage.small[
            np.unique(np.linspace(span[0], span[1] - 1, _SHOWN_FRAMES).astype(int))
        ]
        found.append(
            Shot(
                start_ms=start,
                end_ms=end,
                light=light(shown),
                colours=colour_names(shown),
                speed=moved.speed,
                face=face >= LEAST,
                movement=moved,
                text=has_text(_spread([footage.full[number] for number in sampled], share)),
                things=(*((somebody,) if somebody else ()), *(labels(looks) if looks else ())),
                still=_still(inside) if at in pictured else b"",
            )
        )
    return tuple(found)


def _spread(frames: list[Pixels], most: int) -> list[Pixels]:
    if not frames:
        return []
    return [frames[at] for at in np.unique(np.linspace(0, len(frames) - 1, most).astype(int))]


def _still(frames: list[Pixels]) -> bytes:
    """Return the middle frame as a JPEG, nothing when the shot is too short to have one."""
    if not frames:
        return b""
    picture = frames[len(frames) // 2]
    scale = min(1.0, STILL_SIDE / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _STILL_QUALITY])
    return coded.tobytes() if done else b""


def _faces(footage: Footage) -> dict[int, float]:
    """Return the sampled frames that were looked at, each with how surely it shows a face."""
    if not footage.full:
        return {}
    finder = FaceFinder()
    picked = np.unique(np.linspace(0, len(footage.full) - 1, FACE_FRAMES).astype(int))
    coloured = len(footage.colour) == len(footage.full)
    return {
        footage.full_at[at]: finder.confidence(
            footage.full[at], footage.colour[at] if coloured else None
        )
        for at in picked
    }
