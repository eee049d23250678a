"""The table of what follows from a failure, and what it must never say."""

from __future__ import annotations

import pytest
from msgspec import structs

from economics.failures import (
    CLASS_OF,
    RULES,
    Blame,
    Payer,
    Retry,
    again,
    classified,
    concluded,
    counts_against_provider,
    teaches,
)
from schemas.failures import FailureClass
from tests.builders import NOON
from tests.unit.economics.worlds import task

EVERY = list(FailureClass)


def test_every_class_has_a_rule() -> None:
    """A class without one would stop the saga that hears it."""
    assert set(RULES) == set(EVERY)


@pytest.mark.parametrize(
    ("failure_class", "retry", "blame", "payer"),
    [
        (FailureClass.BAD_INPUT, Retry.NEVER, Blame.USER, Payer.USER),
        (FailureClass.WORKFLOW_BUG, Retry.ELSEWHERE, Blame.PROVIDER, Payer.PROVIDER),
        (FailureClass.MISSING_MODEL, Retry.ELSEWHERE, Blame.HOST, Payer.PLATFORM),
        (FailureClass.OUT_OF_MEMORY, Retry.ELSEWHERE, Blame.HOST, Payer.PLATFORM),
        (FailureClass.HOST_LOST, Retry.ELSEWHERE, Blame.HOST, Payer.PLATFORM),
        (FailureClass.THROTTLED, Retry.LATER, Blame.PLATFORM, Payer.PLATFORM),
        (FailureClass.DEADLINE, Retry.ELSEWHERE, Blame.NOBODY, Payer.PLATFORM),
        (FailureClass.CANCELLED, Retry.NEVER, Blame.USER, Payer.USER),
        (FailureClass.OUTPUT_INVALID, Retry.ELSEWHERE, Blame.PROVIDER, Payer.PROVIDER),
        (FailureClass.PLATFORM, Retry.ANYWHERE, Blame.PLATFORM, Payer.PLATFORM),
    ],
)
def test_a_class_says_who_tries_again_who_is_to_blame_and_who_pays(
    failure_class: FailureClass, retry: Retry, blame: Blame, payer: Payer
) -> None:
    """The whole table, so that a change of it is a change of this."""
    rule = RULES[failure_class]

    assert (rule.retry, rule.blame, rule.payer) == (retry, blame, payer)


def test_only_a_host_can_be_sent_away() -> None:
    """A bad clip or a broken graph on a good host must not cost us the host."""
    quarantining = {each for each in EVERY if RULES[each].quarantines}

    assert quarantining == {FailureClass.HOST_LOST, FailureClass.OUT_OF_MEMORY}
    assert all(RULES[each].blame is Blame.HOST for each in quarantining)


@pytest.mark.parametrize("failure_class", EVERY)
def test_a_user_never_pays_for_what_others_did(failure_class: FailureClass) -> None:
    """Only those who are to blame pay, and when nobody outside is, the platform does."""
    rule = RULES[failure_class]

    wanted = {Blame.USER: Payer.USER, Blame.PROVIDER: Payer.PROVIDER}.get(
        rule.blame, Payer.PLATFORM
    )
    assert rule.payer is wanted


@pytest.mark.parametrize("failure_class", [FailureClass.BAD_INPUT, FailureClass.CANCELLED])
def test_what_no_host_could_do_is_not_tried_again(failure_class: FailureClass) -> None:
    """Every further try would cost as much and fail as well."""
    assert not again(RULES[failure_class], failures_alike=1)


def test_a_broken_graph_is_tried_on_two_more_hosts_only() -> None:
    """To tell it from a broken host; more would only be paid for."""
    rule = RULES[FailureClass.WORKFLOW_BUG]

    assert again(rule, failures_alike=2)
    assert not again(rule, failures_alike=3)


@pytest.mark.parametrize("code", sorted(CLASS_OF))
def test_a_report_without_a_class_is_classified_by_its_code(code: str) -> None:
    """Agents of yesterday report to the module of today."""
    assert classified(None, code) is CLASS_OF[code]


def test_the_agents_own_class_wins() -> None:
    """It was there."""
    assert classified(FailureClass.THROTTLED, "HOST_ERROR") is FailureClass.THROTTLED


def test_a_code_nobody_knows_blames_nobody_outside() -> None:
    """And is tried again, as long as the agent does not say that it is of no use."""
    found = classified(None, "NEW_CODE")

    assert RULES[found].blame is Blame.PLATFORM
    assert again(RULES[found], failures_alike=1)


@pytest.mark.parametrize(
    ("last", "lost", "wanted"),
    [
        (FailureClass.HOST_LOST, ["a", "b", "c"], FailureClass.WORKFLOW_BUG),
        (FailureClass.HOST_LOST, ["a", "b"], FailureClass.HOST_LOST),
        (FailureClass.HOST_LOST, ["a", "a", "a"], FailureClass.HOST_LOST),
        (FailureClass.BAD_INPUT, ["a", "b", "c"], FailureClass.BAD_INPUT),
    ],
)
def test_a_task_that_three_hosts_were_lost_to_is_to_blame(
    last: FailureClass, lost: list[str], wanted: FailureClass
) -> None:
    """It takes down whatever host it is given."""
    assert concluded(last, lost) is wanted


@pytest.mark.parametrize("failure_class", EVERY)
def test_the_success_rate_hears_of_what_is_the_providers(failure_class: FailureClass) -> None:
    """A provider must not lose its jobs over a user's clip or our own broken store."""
    sample = structs.replace(
        task("a", 0, NOON, succeeded=False), failure_class=failure_class, error_code="ANY"
    )

    counts = failure_class in {
        FailureClass.WORKFLOW_BUG,
        FailureClass.OUT_OF_MEMORY,
        FailureClass.DEADLINE,
        FailureClass.OUTPUT_INVALID,
    }
    assert counts_against_provider(sample) is counts
    assert teaches(sample) is counts


def test_a_sample_from_before_there_were_classes_counts_as_it_did() -> None:
    """Eight days of telemetry are replayed at the start."""
    failed = structs.replace(task("a", 0, NOON, succeeded=False), error_code="HOST_ERROR")

    assert counts_against_provider(failed)
    assert not counts_against_provider(structs.replace(failed, error_code="CANCELLED"))
    assert not counts_against_provider(task("a", 0, NOON))
