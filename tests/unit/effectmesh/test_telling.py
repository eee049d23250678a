"""Every event can be told, and money and sizes read as people write them."""

from __future__ import annotations

import doctest

import msgspec
import pytest

from effectmesh import telling
from schemas.base import Event
from schemas.events import HostQuarantined, UserNotified
from schemas.hosts import Quarantine
from tests import builders

ASIDE = HostQuarantined(
    payload=Quarantine(
        host="gpu-1", since=builders.NOON, until=builders.NOON, reason="3 tasks lost: HOST_LOST"
    )
)


def test_the_examples_in_the_docstrings_hold() -> None:
    """They are what a reader believes first."""
    assert doctest.testmod(telling).failed == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (builders.video_ingested(), "720x404 h264, 7.6 s"),
        (builders.content_analyzed(), "1 cuts, low_key, high_movement"),
        (builders.prompts_generated(), "2 variants"),
        (builders.batch_dispatched(), "fx-warm-grade-v1"),
        (builders.attempt_finished(), "attempt 1 on renderer delivered"),
        (builders.attempt_finished(succeeded=False), "failed: HOST_ERROR"),
        (builders.task_succeeded(), "cost 1.5 tokens"),
        (builders.task_failed(), "HOST_ERROR after 3 attempts"),
        (builders.quality_evaluated(), "rank 1 of 1"),
        (builders.admin_rejected(), "too dark"),
        (ASIDE, "gpu-1 stands aside until 2026-03-01T12:00:00Z: 3 tasks lost"),
    ],
)
def test_an_event_is_told_in_words(said: Event, expected: str) -> None:
    """``trace`` reads like a story, not like a dump."""
    body = msgspec.to_builtins(said)

    assert expected in telling.tell(type(said).__name__, body)


def test_an_event_nobody_taught_it_is_told_as_nothing() -> None:
    """A newer event in an older command line is listed, not a crash."""
    assert telling.tell("SomethingNew", {"payload": {}}) == ""


def test_the_two_notifications_are_steps_ten_and_thirteen() -> None:
    """They are one class with two places in the flow."""
    steps = {
        telling.step_of(UserNotified.__name__, {"payload": {"kind": kind}})
        for kind in ("result_ready", "published")
    }

    assert steps == {10, 13}
