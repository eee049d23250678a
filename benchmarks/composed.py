"""Clips put together from shots, so that every join is known: cuts, dissolves, fades, wipes.

Between the joins stands what looks like one and is none: a flash, a step of the light, a caption,
a whip of the camera, something that passes close by, grain, a stutter. The same seed and the same
sources give the same clip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import cv2
import numpy as np
from msgspec import Struct

from benchmarks.scenery import SIZE, Dice, Frame, Frames, Source, clipped

JoinKind = Literal["cut", "dissolve", "fade", "wipe"]
GRADUAL: Final = frozenset({"dissolve", "fade", "wipe"})
_SHOT: Final = (42, 90)
"""Fewest and most frames of a shot outside its joins."""
_CALM: Final = 12
"""Frames around a trick and a join in which nothing else happens."""


class Join(Struct, frozen=True, kw_only=True):
    """Where one shot becomes the next: ``first`` is no longer only the old, ``end`` only the new.

    Both are the same frame in a cut.
    """

    kind: JoinKind
    first: int
    end: int


class Trick(Struct, frozen=True, kw_only=True):
    """Frames of one shot that a detector may take for a join."""

    kind: str
    first: int
    end: int


class Composed(Struct, frozen=True, kw_only=True):
    """A clip with its truth."""

    frames: list[Frame]
    joins: list[Join]
    tricks: list[Trick]


def compose(
    sources: Sequence[Source],
    *,
    seed: int,
    shots: int = 8,
    gradual: float = 0.4,
    tricks: Sequence[str] | None = None,
) -> Composed:
    """Put a clip together: ``gradual`` is the share of joins that are no cuts."""
    dice = np.random.default_rng(seed)
    names = tuple(TRICKS) if tricks is None else tuple(tricks)
    order = _order(len(sources), shots, dice)
    frames: list[Frame] = []
    joins: list[Join] = []
    played: list[Trick] = []
    kind: JoinKind = "cut"
    overlap = 0
    for place, which in enumerate(order):
        coming: JoinKind = "cut"
        if dice.random() < gradual:
            coming = ("dissolve", "dissolve", "fade", "wipe")[int(dice.integers(4))]
        ahead = 0 if coming == "cut" else int(dice.integers(8, 31))
        body = int(dice.integers(*_SHOT))
        shot = sources[which](dice, overlap + body + (ahead if place < shots - 1 else 0))
        if names and dice.random() < 0.75:
            name = names[int(dice.integers(len(names)))]
            start = overlap + _CALM + int(dice.integers(0, 6))
            length = TRICKS[name](shot, start, dice)
            at = len(frames) - overlap if place else 0
            played.append(Trick(kind=name, first=at + start, end=at + start + length))
        if place:
            first = len(frames) - overlap
            if kind != "cut":
                frames[first:] = _JOINS[kind](frames[first:], shot[:overlap], dice)
            joins.append(Join(kind=kind, first=first, end=first + overlap))
        frames += shot[overlap:]
        kind, overlap = coming, ahead
    return Composed(frames=frames, joins=joins, tricks=played)


def _order(sources: int, shots: int, dice: Dice) -> list[int]:
    """Return which source is shown when; none follows itself."""
    order: list[int] = []
    while len(order) < shots:
        picked = int(dice.integers(sources))
        if not order or picked != order[-1] or sources == 1:
            order.append(picked)
    return order


def _dissolve(old: Frames, new: Frames, dice: Dice) -> list[Frame]:
    eased = dice.random() < 0.5
    mixed = []
    for at, (one, other) in enumerate(zip(old, new, strict=True)):
        share = (at + 1) / (len(old) + 1)
        share = share * share * (3 - 2 * share) if eased else share
        mixed.append(cv2.addWeighted(one, 1 - share, other, share, 0))
    return mixed


def _fade(old: Frames, new: Frames, dice: Dice) -> list[Frame]:
    """Go through black, in one of five through white; black may stay a while."""
    colour = 255.0 if dice.random() < 0.2 else float(dice.integers(0, 10))
    held = int(dice.integers(0, max(1, len(old) // 3)))
    half = (len(old) - held) / 2
    mixed = []
    for at, (one, other) in enumerate(zip(old, new, strict=True)):
        out = max(0.0, 1 - (at + 1) / half)
        back = max(0.0, 1 - (len(old) - at) / half)
        picture = one if out > 0 else other
        share = max(out, back)
        mixed.append(clipped(picture * share + colour * (1 - share)))
    return mixed


def _wipe(old: Frames, new: Frames, dice: Dice) -> list[Frame]:
    width, height = SIZE
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    ways = (
        across,
        1 - across,
        down,
        1 - down,
        (across + down) / 2,
        np.hypot(across - 0.5, down - 0.5),
    )
    way = ways[int(dice.integers(len(ways)))]
    way = (way - way.min()) / (way.max() - way.min())
    soft = float(dice.uniform(0.005, 0.1))
    mixed = []
    for at, (one, other) in enumerate(zip(old, new, strict=True)):
        share = (at + 1) / (len(old) + 1)
        mask = np.clip((share * (1 + soft) - way) / soft, 0, 1)[..., None]
        mixed.append(clipped(one * (1 - mask) + other * mask))
    return mixed


_JOINS: Final[Mapping[JoinKind, Callable[[Frames, Frames, Dice], list[Frame]]]] = {
    "dissolve": _dissolve,
    "fade": _fade,
    "wipe": _wipe,
}


def _flash(shot: list[Frame], start: int, dice: Dice) -> int:
    """Add light for up to four frames, to the whole picture or from one side."""
    length = int(dice.integers(1, 5))
    strength = float(dice.uniform(90, 230))
    lamp = np.ones((SIZE[1], SIZE[0], 1))
    if dice.random() < 0.4:
        lamp = np.broadcast_to(np.linspace(1.4, 0.1, SIZE[0])[:, None], (SIZE[1], SIZE[0], 1))
    for step in range(length):
        light = strength * lamp * (1 - 0.5 * step / length)
        shot[start + step] = clipped(shot[start + step] + light)
    return length


def _light_step(shot: list[Frame], start: int, dice: Dice) -> int:
    """Change exposure for the rest of the shot, at once or within some frames."""
    gain = float(dice.uniform(0.4, 0.7) if dice.random() < 0.5 else dice.uniform(1.35, 1.9))
    tint = dice.uniform(0.9, 1.1, 3)
    length = 1 if dice.random() < 0.6 else int(dice.integers(3, 12))
    for at in range(start, len(shot)):
        share = min(1.0, (at - start + 1) / length)
        shot[at] = clipped(shot[at] * (1 + (gain * tint - 1) * share))
    return length


def _caption(shot: list[Frame], start: int, dice: Dice) -> int:
    """Show words over the picture, mostly on a bar."""
    width, height = SIZE
    length = int(dice.integers(10, 20))
    top = int(dice.integers(height // 8, height * 3 // 4))
    tall = int(dice.integers(height // 8, height // 3))
    barred = dice.random() < 0.6
    colour = [int(each) for each in dice.integers(0, 255, 3)]
    words = "".join(dice.choice(list("abcdefghkmnoprstuvwxyz   "), int(dice.integers(8, 22))))
    for at in range(start, min(start + length, len(shot))):
        shown = shot[at].copy()
        if barred:
            cv2.rectangle(shown, (0, top), (width, top + tall), colour, -1)
        place, scale = (width // 16, top + tall * 2 // 3), tall / 40
        cv2.putText(shown, words, place, cv2.FONT_HERSHEY_DUPLEX, scale, (250, 250, 250), 2)
        shot[at] = shown
    return length


def _whip(shot: list[Frame], start: int, dice: Dice) -> int:
    """Swing the camera far and back, or on to another part, with the blur that gives."""
    width, _ = SIZE
    length = int(dice.integers(6, 14))
    far = float(dice.uniform(0.5, 1.6)) * width * (1 if dice.random() < 0.5 else -1)
    goes_on = dice.random() < 0.5
    places = [far * (1 - np.cos(np.pi * step / length)) / 2 for step in range(length + 1)]
    if not goes_on:
        places = [far * np.sin(np.pi * step / length) for step in range(length + 1)]
    for step in range(len(shot) - start):
        now, before = places[min(step + 1, length)], places[min(step, length)]
        if now == before == 0:
            continue
        moved = _rolled(shot[start + step], now)
        reach = int(abs(now - before) * 0.5)
        shot[start + step] = cv2.blur(moved, (reach, 1)) if reach > 1 else moved
    return length


def _rolled(picture: Frame, shift: float) -> Frame:
    """Look sideways over a picture that goes on as its own mirror image."""
    width = picture.shape[1]
    doubled = np.concatenate((picture, picture[:, ::-1]), axis=1)
    start = int(shift) % (2 * width)
    return np.concatenate((doubled, doubled), axis=1)[:, start : start + width]


def _passer(shot: list[Frame], start: int, dice: Dice) -> int:
    """Let something large and plain cross close to the camera."""
    width, height = SIZE
    length = int(dice.integers(5, 16))
    wide = int(width * dice.uniform(0.3, 0.9))
    colour = dice.uniform(10, 200, 3)
    grain = dice.normal(0, 12, (height, wide, 3))
    body = clipped(cv2.GaussianBlur(grain, (0, 0), 3) * 6 + colour)
    leftwards = dice.random() < 0.5
    for step in range(length):
        left = int(-wide + (step + 1) / (length + 1) * (width + wide))
        left = width - wide - left if leftwards else left
        shown = shot[start + step].copy()
        shown[:, max(0, left) : max(0, left + wide)] = body[
            :, max(0, -left) : max(0, min(wide, width - left))
        ]
        shot[start + step] = shown
    return length


def _grain(shot: list[Frame], start: int, dice: Dice) -> int:
    """Break the picture up for a moment, as bad reception does."""
    length = int(dice.integers(2, 10))
    for at in range(start, start + length):
        shot[at] = clipped(shot[at] + dice.normal(0, 45, shot[at].shape))
    return length


def _stutter(shot: list[Frame], start: int, dice: Dice) -> int:
    """Stand still, then jump to where the picture should be."""
    length = int(dice.integers(4, 9))
    for at in range(start + 1, start + length):
        shot[at] = shot[start].copy()
    return length + 1


TRICKS: Final[Mapping[str, Callable[[list[Frame], int, Dice], int]]] = {
    "flash": _flash,
    "light_step": _light_step,
    "caption": _caption,
    "whip": _whip,
    "passer": _passer,
    "grain": _grain,
    "stutter": _stutter,
}
