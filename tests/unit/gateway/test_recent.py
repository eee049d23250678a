"""Orders of a moment ago: first one wins, memory is bounded."""

from __future__ import annotations

import subprocess
import sys

from gateway.recent import RecentOrders
from schemas.base import JobId
from tests.builders import JOB, NOON, job_order


def test_the_first_order_of_a_job_is_kept() -> None:
    """Two requests with one key at once: the second sees what the first ordered."""
    recent = RecentOrders()
    recent.remember(job_order(wish="warm"), NOON)
    kept = recent.remember(job_order(wish="cold"), NOON)

    assert kept.order.wish == "warm"
    recent.forget(JOB)
    assert recent.find(JOB) is None


def test_the_oldest_order_goes_first() -> None:
    """However long the orchestrator is away."""
    recent = RecentOrders(limit=2)
    for name in ("job_1", "job_2", "job_3"):
        recent.remember(job_order(job_id=JobId(name)), NOON)

    assert [recent.find(JobId(name)) is None for name in ("job_1", "job_2", "job_3")] == [
        True,
        False,
        False,
    ]


def test_the_ports_are_imported_without_the_web_framework() -> None:
    """The command line starts at once, and the framework takes half a second."""
    code = (
        "import sys, gateway.ports, gateway.identity, gateway.settings;"
        " assert 'litestar' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
