"""Every look as a user orders it: a real clip through ``effectmesh submit``, and pixels compared.

One stack for all, with the renderer that comes with the platform; the orders are sent side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from actors.provider_registry.shipped import shipped
from tests.e2e.footage import shorten
from tests.e2e.looks import LOOKS, Frames, Look, frames_of
from tests.e2e.platform import Platform

FRAMES = 26
SIZE = (160, 90)
AT_ONCE = 4
WITHIN_S = 60.0
RENDERED = ("AWAITING_APPROVAL",)

Pair = tuple[Frames, Frames]


@pytest.fixture(scope="module")
def stack(state_root: Path) -> Iterator[Platform]:
    """Return a platform with nothing changed but its limits on clips."""
    home = state_root / "looks"
    home.mkdir(mode=0o711)
    platform = Platform(home=home, settings={})
    platform.up()
    yield platform
    assert platform.down() == 0


@pytest.fixture(scope="module")
def pairs(stack: Platform, city_clip: Path, state_root: Path) -> dict[str, Pair]:
    """Order every look of one clip; return what went in and what came out, by look."""
    clip = shorten(city_clip, state_root / "look.mp4", frames=FRAMES, size=SIZE)
    with ThreadPoolExecutor(AT_ONCE) as orders:
        done = list(orders.map(lambda look: _pair(stack, clip, look), LOOKS))
    return {look.look: pair for look, pair in zip(LOOKS, done, strict=True)}


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.look)
def test_a_look_does_to_a_clip_what_it_says(pairs: dict[str, Pair], look: Look) -> None:
    """Not just something: what a user would see in it."""
    before, after = pairs[look.look]

    assert len(before) == len(after) == FRAMES
    assert look.measure(before, after) >= look.least
    assert look.measure(before, before) < look.least, "the clip looks like that by itself"


def test_every_effect_type_that_is_offered_was_ordered() -> None:
    """A new one belongs into the list."""
    active = [record for record in shipped() if record.status == "active"]
    offered = {effect for record in active for effect in record.capabilities}

    assert {look.effect for look in LOOKS} == offered
    assert len({look.look for look in LOOKS}) >= 8


def _pair(stack: Platform, clip: Path, look: Look) -> Pair:
    """Order one look by the command line and fetch its winner."""
    wish = ("--wish", look.wish) if look.wish else ()
    ordered = stack.data("submit", str(clip), "-e", look.effect, "--look", look.look, *wish)
    job = stack.reach(ordered["job_id"], *RENDERED, within_s=WITHIN_S)
    winner = job["selection"]["winning_task_id"]
    at = f"/v1/jobs/{job['job_id']}"
    with stack.http() as http:
        before = _saved(http.get(f"{at}/input/video"), stack.home / f"{look.look}-in.mp4")
        after = _saved(
            http.get(f"{at}/candidates/{winner}/video"), stack.home / f"{look.look}-out.mp4"
        )
    return frames_of(before), frames_of(after)


def _saved(answer: httpx.Response, place: Path) -> Path:
    assert answer.status_code == httpx.codes.OK, answer.text
    place.write_bytes(answer.content)
    return place
