"""Templates as TOML files, rendered by a sandboxed Jinja2."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec import Struct

from actors.prompt_generation import core
from actors.prompt_generation.core import GENERIC, Template, Variant
from actors.prompt_generation.errors import (
    BrokenTemplateError,
    TemplateFailedError,
    TemplatesMissingError,
)
from actors.prompt_generation.words import tidy, tokens
from schemas.base import VideoId
from schemas.video import Analysis, AnalyzedContent, EffectRequest, Scene

SHIPPED: Final = Path(__file__).with_name("templates")
MAX_FILE: Final = 64 * 1024
MAX_FILES: Final = 500
MAX_SOURCE: Final = 2_000
"""Characters of one variant's source; as nothing in it repeats, it bounds what is rendered."""
_ENDLESS: Final = (
    nodes.For,
    nodes.Macro,
    nodes.CallBlock,
    nodes.Call,
    nodes.Mul,
    nodes.Pow,
    nodes.Import,
    nodes.FromImport,
    nodes.Include,
    nodes.Extends,
)
"""What a phrase needs none of, and what could render without end."""
_FILTERS: Final = frozenset({"join", "replace", "lower", "upper", "first", "last", "length"})
"""Those of the engine's that make words no longer than what they are given, or nearly."""


class Broken(Struct, frozen=True, kw_only=True):
    """A file that was skipped, and why."""

    file: str
    why: str


class TemplateFiles:
    """Reads a folder once, and tries every template. A template sees only the facts it is given.

    A broken one is skipped, and told in ``broken``, so that it stops the jobs of no other effect;
    ``strict`` refuses it instead, which is for checks.
    """

    def __init__(self, folder: Path = SHIPPED, *, strict: bool = False) -> None:
        """Read every file.

        Raises:
            TemplatesMissingError: there is no generic template, or more than one.
            BrokenTemplateError: ``strict``, and a file cannot be used.
        """
        # prompts are plain text for a model; nothing of it becomes a page, so nothing is escaped
        self._engine = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        self._engine.globals.clear()
        read: dict[str, Template] = {}
        broken: list[Broken] = []
        for file in sorted(folder.glob("*.toml"))[:MAX_FILES]:
            try:
                template = self._read(file, taken=read)
            except BrokenTemplateError as error:
                if strict:
                    raise
                broken.append(Broken(file=error.file, why=error.why))
            else:
                read[template.id] = template
        self._templates = tuple(read.values())
        self.broken: tuple[Broken, ...] = tuple(broken)
        if sum(known.effect_type == GENERIC for known in self._templates) != 1:
            raise TemplatesMissingError(GENERIC)

    def all(self) -> tuple[Template, ...]:
        """Return every template that can be used; exactly one of them is generic."""
        return self._templates

    def render(self, template: Template, variant: Variant, facts: Mapping[str, object]) -> str:
        """Return the words of one variant, without the user's."""
        try:
            words = self._engine.from_string(variant.prompt).render(**facts)
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise TemplateFailedError(template.id, str(error)) from error
        prompt = tidy(words)
        if not prompt:
            raise TemplateFailedError(template.id, "it gives no words")
        return prompt

    def _read(self, file: Path, *, taken: Mapping[str, Template]) -> Template:
        try:
            with file.open("rb") as opened:
                source = opened.read(MAX_FILE + 1)
            if len(source) > MAX_FILE:
                raise BrokenTemplateError(file.name, f"it has more than {MAX_FILE} bytes")
            template = msgspec.convert(tomllib.loads(source.decode()), Template)
        except (OSError, UnicodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise BrokenTemplateError(file.name, str(error)) from error
        if template.id in taken:
            raise BrokenTemplateError(file.name, f"the id {template.id} is taken")
        if faults := core.faults(template):
            raise BrokenTemplateError(file.name, "; ".join(faults))
        self._try(file, template)
        return template

    def _try(self, file: Path, template: Template) -> None:
        """Render every variant for a clip of which everything is known, and for one without."""
        for variant in template.variant:
            if unfit := self._unfit(variant.prompt):
                raise BrokenTemplateError(file.name, f"variant {variant.name!r}: {unfit}")
            for content in _TRIALS:
                self._try_for(file, template, variant, content)

    def _unfit(self, source: str) -> str:
        """Return why a source could render without end; nothing when it cannot."""
        if len(source) > MAX_SOURCE:
            return f"it has more than {MAX_SOURCE} characters"
        try:
            tree = self._engine.parse(source)
        except TemplateError as error:
            return str(error)
        for node in tree.find_all(_ENDLESS):
            return f"a phrase may not have a {type(node).__name__.lower()}"
        for found in tree.find_all(nodes.Filter):
            if found.name not in _FILTERS:
                return f"a phrase may not use the filter {found.name}"
        return ""

    def _try_for(
        self, file: Path, template: Template, variant: Variant, content: AnalyzedContent
    ) -> None:
        try:
            words = self.render(template, variant, core.facts(template, content))
        except TemplateFailedError as error:
            raise BrokenTemplateError(file.name, f"{variant.name!r}: {error.why}") from error
        if not template.verbatim and tokens(words) > template.max_tokens:
            why = f"variant {variant.name!r} takes {tokens(words)} of {template.max_tokens} tokens"
            raise BrokenTemplateError(file.name, why)


_TRIALS: Final = (
    AnalyzedContent(
        video_id=VideoId("vid_trial"),
        analysis=Analysis(scenes=(), dominant_style="natural", motion_pattern="static"),
        request=EffectRequest(effect_type="style_transfer"),
    ),
    AnalyzedContent(
        video_id=VideoId("vid_trial"),
        analysis=Analysis(
            scenes=(
                Scene(
                    start_ms=0,
                    end_ms=4_000,
                    description="dark, mostly blue and teal, fast motion, a face in view",
                    objects=("person", "street", "car"),
                    brightness=0.1,
                    motion=0.9,
                    colors=("blue", "teal", "orange"),
                    camera="handheld",
                    people=True,
                    text=True,
                ),
            ),
            dominant_style="cinematic_warm",
            motion_pattern="high_movement",
            detected_effects=("film_grain", "color_grade_warm", "letterbox"),
            eligible_effect_types=("style_transfer",),
            style_confidence=0.9,
        ),
        request=EffectRequest(
            effect_type="style_transfer", effect_subtype="some_look", wish="a wish"
        ),
    ),
)
