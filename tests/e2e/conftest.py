"""One platform for the module, with a renderer of the test's own that fails where it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from gpu_agent.renderer.behaviour import Behaviour
from gpu_agent.renderer.server import running_renderer
from tests.e2e.footage import shorten
from tests.e2e.platform import Platform

ALWAYS = 1_000_000
BROKEN = {"ImageAddNoise": ALWAYS, "Morphology": ALWAYS}
"""Node classes that never work: ``fx-film-warm-v1`` and ``fx-painterly-v1`` need them."""


@pytest.fixture(scope="session")
def short_clip(city_clip: Path, state_root: Path) -> Path:
    """Return about a second of real footage."""
    return shorten(city_clip, state_root / "short.mp4")


@pytest.fixture(scope="session")
def broken_host(state_root: Path) -> Iterator[str]:
    """Return the address of a host on which two providers always fail."""
    with start_blocking_portal() as portal:
        renderer = running_renderer(state_root / "host", Behaviour(failures=BROKEN))
        with portal.wrap_async_context_manager(renderer) as url:
            yield url


@pytest.fixture(scope="session")
def platform(state_root: Path, broken_host: str) -> Iterator[Platform]:
    """Return a platform that is up, and stop it at the end."""
    home = state_root / "platform"
    home.mkdir(mode=0o711)
    settings = {
        "EFFECTMESH_COMFYUI_URLS": broken_host,
        "EFFECTMESH_MAX_DURATION_S": "3",
        "EFFECTMESH_MAX_UPLOAD_MB": "2",
    }
    platform = Platform(home=home, settings=settings)
    platform.up()
    yield platform
    status = platform.down()
    assert status == 0, "a stop on request is no failure"
