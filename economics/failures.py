"""What follows from a failed attempt: whether it is tried again, who is to blame, who pays.

The agent says what happened, by a code, and which class that belongs to. Everything else is this
table. A class says what is usually so; the agent, which was there, may still say that no further
try can help, and then there is none.

Two things one report cannot say. An exception in a node may be the graph's or the host's, so it is
tried on other hosts, but twice at most, however generous the task's policy is: then it is the
graph. And a graph that takes its host down looks like a lost host each time: when three hosts were
lost to one task, it was the task.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from schemas.failures import FailureClass
from schemas.telemetry import TaskMeasured


class Retry(StrEnum):
    """Whether, and where, there is a further try."""

    NEVER = "never"
    ANYWHERE = "anywhere"
    """On the same host too."""
    ELSEWHERE = "elsewhere"
    """On another host, when there is one."""
    LATER = "later"
    """On the same host too, after a longer pause."""


class Blame(StrEnum):
    """Who has to change something so that it does not happen again."""

    USER = "user"
    PROVIDER = "provider"
    HOST = "host"
    PLATFORM = "platform"
    NOBODY = "nobody"


class Payer(StrEnum):
    """Who bears what the attempt used."""

    USER = "user"
    """It is part of what the job cost: the one who ordered or cancelled it caused it."""
    PROVIDER = "provider"
    """A graph that does not work is on the account of who offers it."""
    PLATFORM = "platform"


class Rule(Struct, frozen=True, kw_only=True):
    """What follows from one class of failure."""

    retry: Retry
    blame: Blame
    payer: Payer
    most: int = 10
    """Further tries at most after failures of this class, whatever the task's policy allows."""
    pause: int = 1
    """How many times the policy's pause is waited."""
    quarantines: bool = False
    """Counts against the host; three of different tasks and it stands aside."""
    counts: bool = False
    """Counts against the provider's success rate, so that the routing turns to others."""


RULES: Final[Mapping[FailureClass, Rule]] = {
    FailureClass.BAD_INPUT: Rule(retry=Retry.NEVER, blame=Blame.USER, payer=Payer.USER),
    FailureClass.WORKFLOW_BUG: Rule(
        retry=Retry.ELSEWHERE, most=2, blame=Blame.PROVIDER, payer=Payer.PROVIDER, counts=True
    ),
    FailureClass.MISSING_MODEL: Rule(retry=Retry.ELSEWHERE, blame=Blame.HOST, payer=Payer.PLATFORM),
    # Where every host has too little memory it is the graph that wants too much: the routing has
    # to turn elsewhere, whoever is to blame.
    FailureClass.OUT_OF_MEMORY: Rule(
        retry=Retry.ELSEWHERE,
        blame=Blame.HOST,
        payer=Payer.PLATFORM,
        quarantines=True,
        counts=True,
    ),
    FailureClass.HOST_LOST: Rule(
        retry=Retry.ELSEWHERE, blame=Blame.HOST, payer=Payer.PLATFORM, quarantines=True
    ),
    FailureClass.THROTTLED: Rule(
        retry=Retry.LATER, pause=4, blame=Blame.PLATFORM, payer=Payer.PLATFORM
    ),
    # Too slow, or waited for too long: the routing has to know, but nobody did anything wrong.
    FailureClass.DEADLINE: Rule(
        retry=Retry.ELSEWHERE, blame=Blame.NOBODY, payer=Payer.PLATFORM, counts=True
    ),
    FailureClass.CANCELLED: Rule(retry=Retry.NEVER, blame=Blame.USER, payer=Payer.USER),
    FailureClass.OUTPUT_INVALID: Rule(
        retry=Retry.ELSEWHERE, blame=Blame.PROVIDER, payer=Payer.PROVIDER, counts=True
    ),
    FailureClass.PLATFORM: Rule(
        retry=Retry.ANYWHERE, pause=2, blame=Blame.PLATFORM, payer=Payer.PLATFORM
    ),
}
"""A rule for each class."""

CLASS_OF: Final[Mapping[str, FailureClass]] = {
    "HOST_UNREACHABLE": FailureClass.HOST_LOST,
    "HOST_ERROR": FailureClass.HOST_LOST,
    "LOST": FailureClass.HOST_LOST,
    "GRAPH_REFUSED": FailureClass.WORKFLOW_BUG,
    "RENDER_ERROR": FailureClass.WORKFLOW_BUG,
    "OUT_OF_MEMORY": FailureClass.OUT_OF_MEMORY,
    "TIMED_OUT": FailureClass.DEADLINE,
    "EXPIRED": FailureClass.DEADLINE,
    "CANCELLED": FailureClass.CANCELLED,
    "NO_OUTPUT": FailureClass.OUTPUT_INVALID,
    "BROKEN_OUTPUT": FailureClass.OUTPUT_INVALID,
    "OUTPUT_NOT_STORED": FailureClass.PLATFORM,
    "INPUT_MISSING": FailureClass.PLATFORM,
    "INPUT_UNREADABLE": FailureClass.BAD_INPUT,
    "INPUT_TOO_LARGE": FailureClass.BAD_INPUT,
    "PARAMETERS_REFUSED": FailureClass.BAD_INPUT,
    "PROVIDER_UNKNOWN": FailureClass.PLATFORM,
    "HOST_STUCK": FailureClass.HOST_LOST,
    "HOST_DISK_FULL": FailureClass.HOST_LOST,
    "FOREIGN_OUTPUT": FailureClass.OUTPUT_INVALID,
    "AGENT_DISK_FULL": FailureClass.PLATFORM,
    "MISSING_MODEL": FailureClass.MISSING_MODEL,
    "THROTTLED": FailureClass.THROTTLED,
}
"""The class of each code, for reports of agents that do not say it themselves."""

POISON_HOSTS: Final = 3
"""Hosts lost to one task after which the task is blamed."""


def classified(failure_class: FailureClass | None, error_code: str) -> FailureClass:
    """Return the class of a failure; of a code nobody knows, one that blames nobody outside.

    >>> classified(None, "LOST").value
    'HOST_LOST'
    >>> classified(FailureClass.BAD_INPUT, "LOST").value
    'BAD_INPUT'
    """
    return failure_class or CLASS_OF.get(error_code, FailureClass.PLATFORM)


def again(rule: Rule, *, failures_alike: int) -> bool:
    """Say whether the class allows a further try after so many failures of this class."""
    return rule.retry is not Retry.NEVER and failures_alike <= rule.most


def concluded(last: FailureClass, hosts_lost: Collection[str]) -> FailureClass:
    """Return what a task failed of in the end, when it is known which hosts were lost to it.

    >>> concluded(FailureClass.HOST_LOST, {"a", "b", "c"}).value
    'WORKFLOW_BUG'
    """
    poison = last is FailureClass.HOST_LOST and len(set(hosts_lost)) >= POISON_HOSTS
    return FailureClass.WORKFLOW_BUG if poison else last


def counts_against_provider(sample: TaskMeasured) -> bool:
    """Say whether a measured task is a failure of its provider."""
    if sample.succeeded:
        return False
    if sample.failure_class is None:
        # From before there were classes: everything counted but what a person stopped.
        return CLASS_OF.get(sample.error_code) is not FailureClass.CANCELLED
    return RULES[sample.failure_class].counts


def teaches(sample: TaskMeasured) -> bool:
    """Say whether a measured task tells anything about its provider's reliability."""
    return sample.succeeded or counts_against_provider(sample)
