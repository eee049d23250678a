"""Real frames, decoded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.media_analysis.clips import Frame, read_frames


@pytest.fixture(scope="session")
def city(city_clip: Path) -> list[Frame]:
    """Return one second of a slow camera move over towers at night."""
    return read_frames(city_clip, size=(320, 180), first=125, count=25)
