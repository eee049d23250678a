"""Ids that a redelivery makes again."""

from __future__ import annotations

import re
from datetime import timedelta

from actors.runtime.follow import begin, derived_id, follow, new_id
from schemas.events import AdminApproved, AdminRejected, UserNotified
from subjects.build import saga
from tests.builders import JOB, NOON, TENANT, video_ingested


def test_an_answer_takes_over_job_tenant_and_cause() -> None:
    """One job can then be followed through every module."""
    header = follow(video_ingested("evt_cause"), UserNotified, at=NOON)

    assert header["correlation_id"] == JOB
    assert header["tenant_id"] == TENANT
    assert header["cause_id"] == "evt_cause"
    assert header["timestamp"] == NOON


def test_a_redelivery_makes_the_same_id_at_another_time() -> None:
    """The stream drops the second answer by its id, so time must not be part of it."""
    heard = video_ingested()

    first = follow(heard, UserNotified, at=NOON)
    again = follow(heard, UserNotified, at=NOON + timedelta(minutes=1))

    assert first["event_id"] == again["event_id"]


def test_another_cause_kind_or_part_makes_another_id() -> None:
    """Or the second of several answers would be dropped as a duplicate of the first."""
    one, other = video_ingested("evt_1"), video_ingested("evt_2")

    ids = [
        follow(one, UserNotified, at=NOON)["event_id"],
        follow(other, UserNotified, at=NOON)["event_id"],
        follow(one, AdminApproved, at=NOON)["event_id"],
        follow(one, AdminRejected, at=NOON)["event_id"],
        follow(one, UserNotified, at=NOON, part="email")["event_id"],
        follow(one, UserNotified, at=NOON, part="push")["event_id"],
    ]

    assert len(set(ids)) == len(ids)


def test_where_one_part_ends_and_the_next_begins_matters() -> None:
    """``task_1`` + ``2`` is not ``task_`` + ``12``."""
    assert derived_id("evt", "task_1", "2") != derived_id("evt", "task_", "12")
    assert derived_id("evt", "a", "") != derived_id("evt", "a")


def test_an_id_is_stable_over_releases() -> None:
    """While a deploy rolls, old and new workers answer the same messages."""
    assert derived_id("evt", "evt_1", "UserNotified", "") == "evt_sppagdi2jstrggd2g4iki3bu"


def test_an_id_is_a_subject_token() -> None:
    """Job ids stand in subjects."""
    for each in (derived_id("job", "a"), new_id("job", NOON)):
        assert re.fullmatch(r"job_[0-9a-v]{24}", each)
        assert saga(each).endswith(each)


def test_new_ids_sort_by_time_and_never_repeat() -> None:
    """A page of the job list is a range of ids."""
    ids = [new_id("job", NOON + timedelta(milliseconds=n)) for n in range(50)]

    assert ids == sorted(ids)
    assert len({new_id("job", NOON) for _ in range(1000)}) == 1000


def test_the_first_message_of_a_job_has_no_cause() -> None:
    """And a given id is kept, so that an order sent twice is one."""
    header = begin(job_id=JOB, tenant_id=TENANT, at=NOON, event_id="evt_mine")

    assert header["cause_id"] == ""
    assert header["event_id"] == "evt_mine"
    assert begin(job_id=JOB, tenant_id=TENANT, at=NOON)["event_id"].startswith("evt_")
