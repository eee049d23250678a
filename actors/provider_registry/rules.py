"""Parameters: is a rule usable, does a value fit it? Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from schemas.base import Scalar
from schemas.routing import ParameterRule, ProviderRecord
from workflows.graphs import (
    LOADERS,
    PREFIX,
    SAVERS,
    STILLS,
    Graph,
    class_of,
    inputs_of,
    is_model_file,
    link_of,
)
from workflows.values import CHARSETS, NUMBER_LIMIT, PARAMETERS_LIMIT, TEXT_LENGTH, shown

TYPES: Final = frozenset({"int", "float", "bool", "str", "choice"})
RESERVED: Final = frozenset({"input_width", "input_height", "input_frames"})
"""Parameters the agent fills from the clip; nobody else may give them."""

_NUMBERS: Final = frozenset({"int", "float"})


def misfit(rule: ParameterRule, value: Scalar) -> str:
    """Return why a value does not fit a rule, empty when it does."""
    if rule.type == "choice":
        return "" if value in rule.choices else f"{shown(value)} is none of {_listed(rule.choices)}"
    if rule.type == "bool":
        return "" if isinstance(value, bool) else f"{shown(value)} is neither true nor false"
    if rule.type == "str":
        return _unfit_text(rule, value)
    return _unfit_number(rule, value)


def faults(record: ProviderRecord) -> Iterator[str]:
    """Yield what is wrong with a record's parameters, one sentence each."""
    if len(record.parameter_rules) > PARAMETERS_LIMIT:
        yield f"{len(record.parameter_rules)} parameters are more than {PARAMETERS_LIMIT}"
    for name, rule in record.parameter_rules.items():
        yield from (f"parameter {name}: {fault}" for fault in _rule(record, rule))
    for name, value in record.default_parameters.items():
        if name in RESERVED:
            yield f"default of {name}: the agent fills it from the clip"
        elif name not in record.parameter_rules:
            yield f"default of {name}: there is no such parameter"
        elif why := misfit(record.parameter_rules[name], value):
            yield f"default of {name}: {why}"


def is_the_agents(graph: Graph, node_id: str, name: str) -> bool:
    """Tell whether an input is set by the agent or the record alone, never by a parameter.

    A task that could name a file, a model or a place to write to could read another job's files.
    """
    kind = class_of(graph, node_id)
    if name in (PREFIX, LOADERS.get(kind), STILLS.get(kind)) or kind in SAVERS:
        return True
    return name == "fragment_shader" or is_model_file(inputs_of(graph, node_id).get(name))


def _rule(record: ProviderRecord, rule: ParameterRule) -> Iterator[str]:
    if rule.node not in record.graph:
        yield f"points at the absent node {rule.node!r}"
        return
    inputs = inputs_of(record.graph, rule.node)
    if rule.input not in inputs:
        yield f"node {rule.node} has no input {rule.input!r}"
    elif link_of(inputs[rule.input]) is not None:
        yield f"input {rule.input!r} of node {rule.node} is a link"
    elif is_the_agents(record.graph, rule.node, rule.input):
        yield f"input {rule.input!r} of node {rule.node} may not be set by a task"
    yield from _type(rule)


def _type(rule: ParameterRule) -> Iterator[str]:
    if rule.type not in TYPES:
        yield f"type {rule.type!r} is none of {', '.join(sorted(TYPES))}"
    if rule.charset not in CHARSETS:
        yield f"charset {rule.charset!r} is none of name, color"
    if rule.type == "choice" and not rule.choices:
        yield "has no choices"
    if rule.type == "choice" and any(is_model_file(choice) for choice in rule.choices):
        yield "chooses between model files; make a provider for each"
    if rule.type not in _NUMBERS:
        return
    if rule.minimum is None or rule.maximum is None:
        yield "is a number without bounds"
    elif not all(math.isfinite(bound) for bound in (rule.minimum, rule.maximum)):
        yield f"bounds {rule.minimum!r} and {rule.maximum!r} are no numbers"
    elif rule.minimum > rule.maximum:
        yield f"bounds {rule.minimum:g} and {rule.maximum:g} are crossed"


def _unfit_text(rule: ParameterRule, value: Scalar) -> str:
    if not isinstance(value, str):
        return f"{shown(value)} is no text"
    limit = rule.max_length or TEXT_LENGTH
    return f"{len(value)} characters are more than {limit}" if len(value) > limit else ""


def _unfit_number(rule: ParameterRule, value: Scalar) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{shown(value)} is no number"
    if abs(value) > NUMBER_LIMIT or not math.isfinite(value):
        return f"{shown(value)} is no number"
    if rule.type == "int" and value != int(value):
        return f"{value!r} is no whole number"
    if rule.minimum is not None and value < rule.minimum:
        return f"{value!r} is below {rule.minimum:g}"
    if rule.maximum is not None and value > rule.maximum:
        return f"{value!r} is above {rule.maximum:g}"
    return ""


def _listed(choices: tuple[str, ...]) -> str:
    return ", ".join(choices)
