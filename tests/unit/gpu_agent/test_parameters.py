"""One value against its rule: what reaches a host is bounded, typed, and leads to no file."""

from __future__ import annotations

import pytest

from gpu_agent.errors import ParametersRefusedError
from gpu_agent.providers.parameters import (
    PROMPT_BYTES,
    check_count,
    fitted,
    words,
)
from schemas.base import Scalar
from schemas.routing import ParameterRule
from workflows.values import NUMBER_LIMIT, TEXT_LENGTH, shown

LONGEST_MESSAGE = 200


def rule(kind: str, **more: object) -> ParameterRule:
    """Return a rule of a type."""
    fields = {"node": "3", "input": "value", "type": kind, **more}
    return ParameterRule(**fields)  # type: ignore[arg-type]  # each test names fields that exist


NUMBER = rule("float", minimum=0.0, maximum=1.0)
UNBOUNDED = rule("int")
TEXT = rule("str")
NAME = rule("str", charset="name", max_length=12)
COLOUR = rule("str", charset="color")
SWITCH = rule("bool")
CHOICE = rule("choice", choices=("mp4", "webm"))


@pytest.mark.parametrize(
    ("given", "asked", "meant"),
    [
        (0.5, NUMBER, 0.5),
        (1, NUMBER, 1.0),
        (7, UNBOUNDED, 7),
        (7.0, UNBOUNDED, 7),
        (2**64 - 1, UNBOUNDED, 2**64 - 1),
        (
            "Grüße aus 東京 🎬, it's {{ 7 * 7 }} ${HOME}",
            TEXT,
            "Grüße aus 東京 🎬, it's {{ 7 * 7 }} ${HOME}",
        ),
        ("mkl_lab-2.0", NAME, "mkl_lab-2.0"),
        ("#ffCC00", COLOUR, "#ffCC00"),
        (False, SWITCH, False),
        ("webm", CHOICE, "webm"),
        (0.5, rule("float", minimum=0.0, maximum=1.0, scale=-20.0, offset=24.0, whole=True), 14),
        (0.3, rule("float", minimum=0.0, maximum=1.0, scale=0.1), 0.03),
        (3, rule("int", minimum=0.0, maximum=9.0, scale=16.0), 48),
    ],
)
def test_what_fits_is_passed_on(given: Scalar, asked: ParameterRule, meant: Scalar) -> None:
    """In the type its rule asks for, and otherwise as it came."""
    found = fitted("value", given, asked)

    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (float("nan"), NUMBER),
        (float("inf"), NUMBER),
        (float("-inf"), UNBOUNDED),
        (1e308, UNBOUNDED),
        (10**400, UNBOUNDED),
        (10**400, NUMBER),
        (-(10**5000), UNBOUNDED),
        (2**64 + 1, UNBOUNDED),
        (1.0000001, NUMBER),
        (-1e-9, NUMBER),
        (0.5, UNBOUNDED),
        (True, NUMBER),
        ("0.5", NUMBER),
        (None, NUMBER),
        (1, SWITCH),
        ("true", SWITCH),
        ("avi", CHOICE),
        (1, CHOICE),
        (True, CHOICE),
        (5, TEXT),
        ("a" * (TEXT_LENGTH + 1), TEXT),
        ("a" * 100_000, TEXT),
        ("two\nlines", TEXT),
        ("a\x00b", TEXT),
        ("half \ud83c", TEXT),
        ("a" * 13, NAME),
        ("with space", NAME),
        ("red", COLOUR),
        ("#ffcc0", COLOUR),
        ("x", rule("str", charset="no_such_set")),
        ("x", rule("file")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_fit_is_refused_in_a_short_message(
    given: Scalar, asked: ParameterRule
) -> None:
    """A host would coerce it or use up its memory; the message goes into logs and to users."""
    with pytest.raises(ParametersRefusedError, match="parameter value") as refused:
        fitted("value", given, asked)

    assert not refused.value.retriable
    assert len(refused.value.why) < LONGEST_MESSAGE


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../models/secret.safetensors",
        "..",
        "sub/clip.mp4",
        "C:\\Windows\\win.ini",
        "c:windows",
        "\\\\server\\share",
        "~root",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "clip.mp4 [output]",
        "s3://bucket/key",
    ],
)
@pytest.mark.parametrize("asked", [TEXT, NAME, rule("str", max_length=1000)])
def test_a_text_never_leads_to_a_file(path: str, asked: ParameterRule) -> None:
    """A custom node may open whatever its text input names."""
    with pytest.raises(ParametersRefusedError):
        fitted("value", path, asked)


def test_a_prompt_is_bounded_and_otherwise_free() -> None:
    """Slashes and braces are words to a text encoder; a file of its embeddings is not."""
    free = "night/day, {warm|cold} {{ 7 * 7 }} (light:1.3)\nsecond line, 東京 🎬"

    assert words("prompt", free) == free
    assert words("prompt", "é" * (PROMPT_BYTES // 2)) == "é" * (PROMPT_BYTES // 2)
    for refused in (
        "a" * 100_000,
        "é" * (PROMPT_BYTES // 2 + 1),
        "a\x00b",
        "half \ud83c",
        "in the style of embedding:../../secret",
        "Embedding : easynegative",
    ):
        with pytest.raises(ParametersRefusedError) as why:
            words("prompt", refused)
        assert len(why.value.why) < LONGEST_MESSAGE


def test_no_task_brings_thousands_of_parameters() -> None:
    """Each would be looked up and merged."""
    check_count({str(number): number for number in range(64)})
    with pytest.raises(ParametersRefusedError, match="65 parameters"):
        check_count({str(number): number for number in range(65)})


def test_a_refused_value_is_told_in_few_letters() -> None:
    """Python itself refuses to print an integer of 5000 digits."""
    assert shown(10**5000) == "a huge number"
    assert shown(NUMBER_LIMIT + 1) == "a huge number"
    assert len(shown("x" * 10_000)) < LONGEST_MESSAGE
    assert shown(0.25) == "0.25"
