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

PROMPT_BYTES: Final = 8_192
"""Of one prompt in UTF-8; the platform's own prompts are a sixth of it."""
TEXT_LENGTH: Final = 200
"""Characters of a text parameter whose rule says nothing else."""
NUMBER_LIMIT: Final = 2**64
"""No input of a ComfyUI node takes a larger number."""
PARAMETERS_LIMIT: Final = 64
"""Parameters of one task."""

_DIGITS: Final = 6
"""Of a scaled number, so that a graph does not hang on the last bit."""
_TOLD: Final = 60
"""Characters of a refused value that are repeated in the message."""
_LEADS_TO_A_FILE: Final = re.compile(r"[/\\\[\]]|\.\.|^~|^[A-Za-z]:")
_EMBEDDING: Final = re.compile(r"embedding\s*:", re.IGNORECASE)
_CHARSETS: Final[Mapping[str, re.Pattern[str]]] = {
    "": re.compile(r"[^\x00-\x1f\x7f]*"),
    "name": re.compile(r"[A-Za-z0-9_.-]*"),
    "color": re.compile(r"#[0-9A-Fa-f]{6}"),
}


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
    if _EMBEDDING.search(text):
        raise ParametersRefusedError(f"the {name} names an embedding file")
    return text


def told(value: object) -> str:
    """Return a value for a message, short whatever it is."""
    if isinstance(value, int) and abs(value) > NUMBER_LIMIT:
        return "a huge number"
    shown = repr(value[:_TOLD] if isinstance(value, str) else value)
    return shown if len(shown) <= _TOLD + 2 else shown[:_TOLD] + "…"


def _choice(name: str, value: Scalar, rule: ParameterRule) -> Scalar:
    if not isinstance(value, str) or value not in rule.choices:
        raise ParametersRefusedError(f"parameter {name} cannot be {told(value)}")
    return value


def _switch(name: str, value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise ParametersRefusedError(f"parameter {name} is neither true nor false: {told(value)}")
    return value


def _text(name: str, value: Scalar, rule: ParameterRule) -> str:
    if not isinstance(value, str):
        raise ParametersRefusedError(f"parameter {name} is no text: {told(value)}")
    limit = rule.max_length or TEXT_LENGTH
    if len(value) > limit:
        raise ParametersRefusedError(f"parameter {name} has {len(value)} characters, not {limit}")
    allowed = _CHARSETS.get(rule.charset)
    if allowed is None or not allowed.fullmatch(value):
        kind = rule.charset or "printable text"
        raise ParametersRefusedError(f"parameter {name} is no {kind}: {told(value)}")
    if _LEADS_TO_A_FILE.search(value):
        raise ParametersRefusedError(f"parameter {name} may not lead to a file: {told(value)}")
    return words(f"parameter {name}", value)


def _number(name: str, value: Scalar, rule: ParameterRule) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise ParametersRefusedError(f"parameter {name} is no number: {told(value)}")
    if abs(value) > NUMBER_LIMIT or not math.isfinite(value):
        raise ParametersRefusedError(f"parameter {name} is too large: {told(value)}")
    if rule.minimum is not None and value < rule.minimum:
        raise ParametersRefusedError(f"parameter {name} is below {rule.minimum:g}: {told(value)}")
    if rule.maximum is not None and value > rule.maximum:
        raise ParametersRefusedError(f"parameter {name} is above {rule.maximum:g}: {told(value)}")
    if rule.type == "int" and value != int(value):
        raise ParametersRefusedError(f"parameter {name} is no whole number: {told(value)}")
    return _scaled(value, rule)


def _scaled(value: float, rule: ParameterRule) -> int | float:
    """Return what a number means to the node that gets it."""
    if (rule.scale, rule.offset) == (1.0, 0.0):
        return int(value) if rule.type == "int" else float(value)
    meant = rule.offset + rule.scale * value
    return round(meant) if rule.whole or rule.type == "int" else round(meant, _DIGITS)
