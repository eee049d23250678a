"""Subjects and the filters that cover them, as NATS reads them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any


def covers(pattern: str, subject: str) -> bool:
    """Tell whether a filter takes everything that a subject, or another filter, names."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or given[place] == ">" or part not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


def overlap(one: str, other: str) -> bool:
    """Tell whether some subject is covered by both filters."""
    for left, right in zip_longest(one.split("."), other.split(".")):
        if left is None or right is None:
            return False
        if ">" in (left, right):
            return True
        if "*" not in (left, right) and left != right:
            return False
    return True


def is_pattern(subject: str) -> bool:
    """Tell whether a subject holds a wildcard."""
    return not {"*", ">"}.isdisjoint(subject.split("."))


def filters_of(config: dict[str, Any]) -> Sequence[str]:
    """Return the filters of a consumer's configuration; without any it is everything."""
    if filters := config.get("filter_subjects"):
        return tuple(filters)
    return (config.get("filter_subject") or ">",)
