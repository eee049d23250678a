"""One job through all thirteen steps while every process is confined to its own users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.base import Module
from subjects.build import OWNER
from tests.e2e.footage import shorten
from tests.e2e.platform import Platform, wait_for
from tests.integration.permissions.conftest import Broker


@pytest.fixture
def confined(broker: Broker, home: Path, database: str) -> Iterator[Platform]:
    """Return a platform whose modules, agent and gateway connect as themselves."""
    platform = Platform(
        home=home,
        settings={
            "EFFECTMESH_NATS_URL": broker.url("effectmesh"),
            "EFFECTMESH_NATS_USERS_FILE": str(broker.users_file),
            "EFFECTMESH_POSTGRES_URL": database,
            "EFFECTMESH_RENDERERS": "1",
            "EFFECTMESH_MAX_DURATION_S": "3",
        },
    )
    platform.up()
    yield platform
    assert platform.down() == 0, (platform.home / "up.log").read_text(encoding="utf-8")


def test_a_job_is_done_and_nothing_is_refused(
    broker: Broker, confined: Platform, city_clip: Path, tmp_path: Path
) -> None:
    """A right that is missing shows as a job that hangs, weeks later, on somebody's server."""
    clip = shorten(city_clip, tmp_path / "short.mp4")
    job = confined.order(confined.upload(clip))
    confined.reach(job, "AWAITING_APPROVAL")
    confined.cli("approve", job)
    confined.reach(job, "COMPLETE")
    wait_for(lambda: confined.told("gallery"), what="the message that it is published")

    assert broker.violations() == []
    events = confined.events(job)
    said = {owner for kind, owner in OWNER.items() if kind.__name__ in events}
    assert said >= {*Module} - {Module.GATEWAY, Module.PROVIDER_REGISTRY}
    assert confined.wallet() < 1000 * 1_000_000
