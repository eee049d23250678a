"""One value against its rule, and words against their bound. Pure; nothing is cut or mended.

Values reach a host as data. No template is filled here: braces, dollars and quotes mean nothing to
a graph. What does mean something to a host is refused: a path, a URL, and the ``embedding:`` by
which a text encoder loads a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from gpu_agent.errors import ParametersRefusedError
from schemas.base import Scalar
from schemas.routing import ParameterRule
from workflows.values import CHARSETS, EMBEDDING, NUMBER_LIMIT, PARAMETERS_LIMIT, TEXT_LENGTH, shown

PROMPT_BYTES: Final = 8_192
"""Of one prompt in UTF-8; the platform's own prompts are a sixth of it."""

_DIGITS: Final = 6
"""Of a scaled number, so that a graph does not hang on the last bit."""
_LEADS_TO_A_FILE: Final = re.compile(r"[/\\\[\]]|\.\.|^~|^[A-Za-z]:")


def check_count(parameters: Mapping[str, object]) -> None:
    """Refuse more parameters than any provider takes.

    Raises:
        ParametersRefusedError: there are more.
    """
    if len(parameters) > PARAMETERS_LIMIT:
        raise ParametersRefusedError(
            f"{len(parameters)} parameters are more than {PARAMETERS_LIMIT}"
        )


def fitted(name: str, value: Scalar, rule: ParameterRule) -> Scalar:
    """Return a value in the type its rule asks for.

    Raises:
        ParametersRefusedError: it is of another type, out of bounds, or leads to a file.
    """
    if rule.type == "choice":
        return _choice(name, value, rule)
    if rule.type == "str":
        return _text(name, value, rule)
    if rule.type == "bool":
        return _switch(name, value)
    if rule.type in {"int", "float"}:
        return _number(name, value, rule)
    raise ParametersRefusedError(f"parameter {name} has the unknown type {rule.type!r}")


def words(name: str, text: str) -> str:
    """Return a prompt as it is.

    Raises:
        ParametersRefusedError: it is longer than ``PROMPT_BYTES``, is no text, or loads a file.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as broken:
        raise ParametersRefusedError(f"the {name} holds half a character") from broken
    if size > PROMPT_BYTES:
        raise ParametersRefusedError(f"the {name} has {size} bytes, more than {PROMPT_BYTES}")
    if "\x00" in text:
        raise ParametersRefusedError(f"the {name} holds a null character")
    if EMBEDDING.search(text):
        raise ParametersRefusedError(f"the {name} names an embedding file")
    return text


def _choice(name: str, value: Scalar, rule: ParameterRule) -> Scalar:
    if not isinstance(value, str) or value not in rule.choices:
        raise ParametersRefusedError(f"parameter {name} cannot be {shown(value)}")
    return value


def _switch(name: str, value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise ParametersRefusedError(f"parameter {name} is neither true nor false: {shown(value)}")
    return value


def _text(name: str, value: Scalar, rule: ParameterRule) -> str:
    if not isinstance(value, str):
        raise ParametersRefusedError(f"parameter {name} is no text: {shown(value)}")
    limit = rule.max_length or TEXT_LENGTH
    if len(value) > limit:
        raise ParametersRefusedError(f"parameter {name} has {len(value)} characters, not {limit}")
    allowed = CHARSETS.get(rule.charset)
    if allowed is None or not allowed.fullmatch(value):
        kind = rule.charset or "printable text"
        raise ParametersRefusedError(f"parameter {name} is no {kind}: {shown(value)}")
    if _LEADS_TO_A_FILE.search(value):
        raise ParametersRefusedError(f"parameter {name} may not lead to a file: {shown(value)}")
    return words(f"parameter {name}", value)


def _number(name: str, value: Scalar, rule: ParameterRule) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise ParametersRefusedError(f"parameter {name} is no number: {shown(value)}")
    if abs(value) > NUMBER_LIMIT or not math.isfinite(value):
        raise ParametersRefusedError(f"parameter {name} is too large: {shown(value)}")
    if rule.minimum is not None and value < rule.minimum:
        raise ParametersRefusedError(f"parameter {name} is below {rule.minimum:g}: {shown(value)}")
    if rule.maximum is not None and value > rule.maximum:
        raise ParametersRefusedError(f"parameter {name} is above {rule.maximum:g}: {shown(value)}")
    if rule.type == "int" and value != int(value):
        raise ParametersRefusedError(f"parameter {name} is no whole number: {shown(value)}")
    return _scaled(value, rule)


def _scaled(value: float, rule: ParameterRule) -> int | float:
    """Return what a number means to the node that gets it."""
    if (rule.scale, rule.offset) == (1.0, 0.0):
        return int(value) if rule.type == "int" else float(value)
    meant = rule.offset + rule.scale * value
    return round(meant) if rule.whole or rule.type == "int" else round(meant, _DIGITS)
