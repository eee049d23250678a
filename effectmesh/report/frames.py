"""Which moments a report shows, and what is to be seen at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
from anyio import CapacityLimiter
from msgspec import Struct

from effectmesh.comparing import Comparison, Scored
from effectmesh.footage.asking import stills
from effectmesh.footage.names import labels

MAX_MOMENTS: Final = 4
FRAME_SIDE: Final = 400
MAX_PICTURE_BYTES: Final = 6_000_000
"""Of all pictures of a report; the mildest moments go first when there are more."""
_AT_ONCE: Final = 2


class Picked(Struct, frozen=True, kw_only=True):
    """A moment that is shown, and because of which result."""

    start_ms: int
    end_ms: int
    file: str
    composite: float
    stands_out: bool
    """False when the result is no worse here than elsewhere; something is shown all the same."""

    @property
    def middle_ms(self) -> int:
        """The time whose pictures are shown."""
        return (self.start_ms + self.end_ms) // 2


class Shown(Struct, frozen=True, kw_only=True):
    """A moment, with its pictures as JPEG; empty where there is none."""

    moment: Picked
    before: bytes
    after: dict[str, bytes]
    """By result."""


def picked(outputs: Sequence[Scored]) -> tuple[Picked, ...]:
    """Return the worst moments of all results, at most ``MAX_MOMENTS``, the worst first.

    The worst of each result comes before the second worst of any, and no moment comes twice.
    """
    candidates: list[tuple[int, float, Picked]] = []
    for each in outputs:
        worst = each.worst or tuple(sorted(each.curve, key=lambda at: at.composite)[:1])
        for turn, at in enumerate(worst):
            moment = Picked(
                start_ms=at.start_ms,
                end_ms=at.end_ms,
                file=each.file,
                composite=at.composite,
                stands_out=bool(each.worst),
            )
            # what stands out nowhere is only shown when there is room
            candidates.append((turn if each.worst else len(outputs), at.composite, moment))
    found: dict[int, Picked] = {}
    for _, _, moment in sorted(candidates, key=lambda each: each[:2]):
        found.setdefault(moment.start_ms, moment)
    first = list(found.values())[:MAX_MOMENTS]
    return tuple(sorted(first, key=lambda moment: (moment.composite, moment.start_ms)))


async def pictured(source: Path, results: Sequence[Path], found: Comparison) -> tuple[Shown, ...]:
    """Return the moments of a comparison with their pictures.

    Raises:
        SandboxBrokenError: no child could be started on this machine.
    """
    moments = picked(found.outputs)
    known = {each.file for each in found.outputs if each.known}
    files = dict(zip(labels(results), results, strict=True))
    taken: dict[str, Sequence[bytes]] = {}
    slots = CapacityLimiter(_AT_ONCE)

    async def take(name: str, file: Path) -> None:
        async with slots:
            taken[name] = await stills(file, [at.middle_ms for at in moments], side=FRAME_SIDE)

    async with anyio.create_task_group() as group:
        group.start_soon(take, "", source)
        for name in known:
            group.start_soon(take, name, files[name])
    shown = [
        Shown(
            moment=moment,
            before=taken[""][at],
            after={each.file: taken[each.file][at] for each in found.outputs if each.known},
        )
        for at, moment in enumerate(moments)
    ]
    return bounded(shown)


def bounded(shown: Sequence[Shown], most: int = MAX_PICTURE_BYTES) -> tuple[Shown, ...]:
    """Return as many moments, the worst first, as have pictures of ``most`` bytes together."""
    kept, size = [], 0
    for each in shown:
        size += len(each.before) + sum(map(len, each.after.values()))
        if size > most:
            break
        kept.append(each)
    return tuple(kept)
