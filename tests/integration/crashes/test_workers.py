"""Worker processes are killed at every place where it hurts; the same without a mechanism fails.

``make soak`` runs the long version, ten times: 20 deaths, at all of the places, in 4,000 steps.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Sequence
from itertools import cycle, islice
from typing import Final

import anyio
import pytest

from actors.runtime.bus import connected
from effectmesh.embedded.nats import EmbeddedNats
from subjects.topology import DLQ, EVT, SAGA
from tests.integration.crashes.counting import (
    CLEAN,
    HEARD,
    Mechanism,
    Verdict,
    facts,
    judge,
)
from tests.integration.crashes.fleet import Fleet
from tests.integration.crashes.mortal import PLACES, Death
from tests.integration.runtime.world import apply, letters, settled

SOAK: Final = os.environ.get("SOAK") == "1"
SAGAS: Final = 80 if SOAK else 8
STEPS: Final = 50
"""Fewer than a record remembers: a message that comes later than that many others is new to it."""
WITHIN_S: Final = 300.0
PASSES: Final = 4
"""A worker dies at one of its first passes, so that there is always work enough."""
WORST: Final = ("after the write", "between the words", "after the words", PLACES[5])
"""Where a saga without the mechanisms cannot but fail; the short version dies only here."""


async def crashed(
    server: EmbeddedNats, *, deaths: Sequence[Death], off: Collection[Mechanism] = ()
) -> Verdict:
    """Let two workers work through everything, while one after the other dies."""
    said = facts(SAGAS, STEPS)
    async with connected(server.url, name="crashes") as bus:
        await apply(bus, HEARD, streams=[EVT, SAGA, DLQ])
        fleet = Fleet(bus, server.url, off)

        async def work() -> None:
            # As much again as for each death is left for the end, when nobody dies and all compete.
            portion = len(said) // (len(deaths) + 1)
            for count, death in enumerate(deaths):
                await fleet.doom(death)
                await bus.say(said[count * portion : (count + 1) * portion])
                await fleet.died(count + 1)
            await bus.say(said[len(deaths) * portion :])
            await settled(bus, HEARD)

        with anyio.fail_after(WITHIN_S):
            await fleet.run(work)
        assert len(fleet.dead.items) == len(deaths)
        assert await letters(bus) == []
        return await judge(bus, sagas=SAGAS, steps=STEPS)


def doom(places: Sequence[str], count: int, seed: int = 0) -> list[Death]:
    """Return so many deaths, at all of the places in turn."""
    dice = random.Random(seed)
    return [Death(place, dice.randint(1, PASSES)) for place in islice(cycle(places), count)]


@pytest.mark.parametrize("seed", range(10 if SOAK else 1))
async def test_a_step_happens_once_wherever_a_worker_dies(mortal: EmbeddedNats, seed: int) -> None:
    """Nothing is lost, nothing is doubled, and every saga has counted right."""
    deaths = doom(PLACES if SOAK else WORST, 20 if SOAK else 4, seed)

    verdict = await crashed(mortal, deaths=deaths)

    assert verdict == CLEAN


async def test_the_pattern_everybody_writes_first_fails(mortal: EmbeddedNats) -> None:
    """Read, write, send: the check above can be failed."""
    verdict = await crashed(mortal, deaths=doom(WORST, 4), off=[*Mechanism])

    assert verdict.lost
    assert verdict.doubled
    assert verdict.wrong


@pytest.mark.parametrize("off", list(Mechanism))
async def test_each_mechanism_is_needed(mortal: EmbeddedNats, off: Mechanism) -> None:
    """What could be left out would be in the way."""
    assert await crashed(mortal, deaths=doom(WORST, 4), off=[off]) != CLEAN
