"""Names what a scene shows, from what the model saw in its frames.

A thing is named when its score holds up over the frames; where only its kind is sure, the kind is
named. Below the threshold nothing is named: "unknown" is an answer, a wrong name is a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from media.faces import LEAST as SOMEBODY
from media.tag_labels import KIND_OF, KINDS, THINGS
from media.tag_model import Look

LEAST: Final = 0.2
MOST_TAGS: Final = 4
_LEADS: Final = 0.7
"""The share of its kind that a named thing must have: a bird that may be a dog is an animal."""
PERSON: Final = "person"
_WORN: Final = "clothing"
_WORN_SHARE: Final = 0.7
_SINGLE_FRAME: Final = 0.85
"""One frame alone cannot confirm itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Something a scene shows."""

    name: str
    confidence: float


def labels(looks: Sequence[Look], *, least: float = LEAST) -> tuple[Tag, ...]:
    """Return what the frames of one scene show together, the surest first; nothing if unknown."""
    if not looks:
        return ()
    share = _SINGLE_FRAME if len(looks) == 1 else 1.0
    held = {name: share * _held([look.scores[name] for look in looks]) for name in looks[0].scores}
    named = {name: held[name] for name in THINGS if held[name] >= least and _leads(name, held)}
    for kind in KINDS:
        known = any(KIND_OF.get(name) == kind for name in named)
        if not known and held[kind] >= least:
            named[kind] = held[kind]
    ranked = sorted(named.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        Tag(name=name, confidence=round(min(1.0, value), 3)) for name, value in ranked[:MOST_TAGS]
    )


def person(face: float, looks: Sequence[Look] = ()) -> Tag | None:
    """Return the tag for people, from how sure a face is and what the frames show of clothing.

    Who wears something is somebody, even with the back to the camera; but it may be a shop window.
    """
    worn = _held([look.scores[_WORN] for look in looks]) if looks else 0.0
    confidence = max(face, _WORN_SHARE * worn)
    return Tag(name=PERSON, confidence=round(confidence, 3)) if confidence >= SOMEBODY else None


def _leads(thing: str, held: Mapping[str, float]) -> bool:
    kind = KIND_OF.get(thing)
    return kind is None or held[thing] >= _LEADS * held[kind]


def _held(scores: Sequence[float]) -> float:
    """Return the score over the frames: their mean, but no more than half of them reach twice."""
    return float(min(np.mean(scores), 2.0 * np.median(scores)))
