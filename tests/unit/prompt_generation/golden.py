"""The golden prompt set: what is asked for what was seen and ordered.

``golden.json`` holds both sides. After a template was changed on purpose::

    python -m tests.unit.prompt_generation.golden

writes what is asked now, and the diff is what a reviewer reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
import msgspec
from msgspec import Struct, structs

from actors.prompt_generation.core import Template
from actors.prompt_generation.files import TemplateFiles
from actors.prompt_generation.words import alike, vocabulary
from schemas.video import Analysis, EffectRequest, GeneratedPrompts, PromptVariant
from tests.builders import content_analyzed
from tests.unit.prompt_generation.world import TEMPLATES, module, prompts

FILE: Final = Path(__file__).with_name("golden.json")
ALIKE: Final = 0.85
"""Twice the words in common over the words of both: one word in seven may be another."""
NEAR: Final = {"strength": 0.051, "steps": 4, "cfg_scale": 0.51}
"""How far a number may be away: no farther than one sign moves it."""


class Expected(Struct, frozen=True, kw_only=True):
    """One way to ask. Seeds are left out: they follow from the job."""

    template_id: str
    prompt: str
    negative: str
    strength: float
    steps: int
    cfg_scale: float


class Case(Struct, frozen=True, kw_only=True):
    """What was seen and ordered, and what is asked."""

    name: str
    request: EffectRequest
    analysis: Analysis
    keywords: tuple[str, ...]
    """Words that carry the meaning: every variant must have one of each, split by ``|``."""
    expected: tuple[Expected, ...] = ()
    fallback: bool = False


class Golden(Struct, frozen=True, kw_only=True):
    """The file."""

    cases: tuple[Case, ...]
    digests: dict[str, str] = {}
    """Of the words and numbers of each template, by version."""


def read() -> Golden:
    """Return the golden set."""
    return msgspec.json.decode(FILE.read_bytes(), type=Golden)


async def asked(case: Case, templates: TemplateFiles = TEMPLATES) -> GeneratedPrompts:
    """Return what is asked now."""
    heard = content_analyzed(request=case.request, seen=case.analysis)
    return await prompts(heard, module(templates=templates))


def differences(case: Case, said: GeneratedPrompts) -> Sequence[str]:
    """Return how what is asked differs from what is expected, beyond what may."""
    found = []
    if said.fallback_used != case.fallback:
        found.append(f"fallback {said.fallback_used}")
    names = [_unversioned(each.template_id) for each in said.prompt_variants]
    if names != [_unversioned(each.template_id) for each in case.expected]:
        return [*found, f"other variants: {names}"]
    for wanted, variant in zip(case.expected, said.prompt_variants, strict=True):
        found += [f"{wanted.template_id}: {why}" for why in _of_variant(case, wanted, variant)]
    return found


def digest(template: Template) -> str:
    """Return a mark of a template's words and numbers; its weight may change without a version."""
    words = structs.replace(template, weight=1.0, version=1)
    return hashlib.sha256(msgspec.json.encode(words, order="sorted")).hexdigest()[:16]


def _of_variant(case: Case, wanted: Expected, variant: PromptVariant) -> Sequence[str]:
    found = []
    likeness = alike(wanted.prompt, variant.prompt_text)
    if likeness < ALIKE:
        found.append(f"the prompt is only {likeness} alike: {variant.prompt_text!r}")
    # each phrase of a negative prompt is a warning of its own: more may come, none may go
    lost = _phrases(wanted.negative) - _phrases(variant.negative_prompt)
    found += [f"nothing warns of {each!r}" for each in sorted(lost)]
    said = vocabulary(variant.prompt_text)
    found += [
        f"no {word!r} in {variant.prompt_text!r}"
        for word in case.keywords
        if not said & set(word.split("|"))
    ]
    for name, most in NEAR.items():
        value = variant.parameters[name]
        assert isinstance(value, int | float)
        if abs(value - getattr(wanted, name)) > most:
            found.append(f"{name} is {value}, not {getattr(wanted, name)}")
    return found


def _phrases(negative: str) -> frozenset[str]:
    return frozenset(each.strip() for each in negative.lower().split(",") if each.strip())


def _unversioned(template_id: str) -> str:
    name, _, rest = template_id.partition("@")
    return f"{name}/{rest.partition('/')[2]}"


def _expected(variant: PromptVariant) -> Expected:
    numbers = {name: variant.parameters[name] for name in NEAR}
    return Expected(
        template_id=variant.template_id,
        prompt=variant.prompt_text,
        negative=variant.negative_prompt,
        **numbers,  # type: ignore[arg-type]
    )


async def write() -> None:
    """Write what is asked now."""
    golden = read()
    cases = []
    for case in golden.cases:
        said = await asked(case)
        expected = tuple(_expected(each) for each in said.prompt_variants)
        cases.append(structs.replace(case, expected=expected, fallback=said.fallback_used))
    new = Golden(cases=tuple(cases), digests={each.key: digest(each) for each in TEMPLATES.all()})
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(new), indent=1) + b"\n")


if __name__ == "__main__":
    anyio.run(write)
