"""Templates as TOML files, rendered by a sandboxed Jinja2."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from actors.prompt_generation.core import GENERIC, MAX_PROMPT, Template, Variant
from actors.prompt_generation.errors import TemplateFailedError, TemplatesMissingError

SHIPPED: Final = Path(__file__).with_name("templates")
_BLANK: Final = re.compile(r"\s+")
_LOOSE: Final = re.compile(r" +([,.])")


class TemplateFiles:
    """Reads a folder once. A template sees only the facts it is given."""

    def __init__(self, folder: Path = SHIPPED) -> None:
        """Read every file.

        Raises:
            TemplatesMissingError: there is no generic template, or more than one.
            msgspec.ValidationError: a file is no template.
        """
        self._templates = tuple(
            msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Template)
            for file in sorted(folder.glob("*.toml"))
        )
        if sum(known.effect_type == GENERIC for known in self._templates) != 1:
            raise TemplatesMissingError(GENERIC)
        # prompts are plain text for a model; nothing of it becomes a page, so nothing is escaped
        self._engine = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)

    def all(self) -> tuple[Template, ...]:
        """Return every template; exactly one of them is generic."""
        return self._templates

    def render(self, template: Template, variant: Variant, facts: Mapping[str, object]) -> str:
        """Return the prompt of one variant."""
        try:
            words = self._engine.from_string(variant.prompt).render(**facts)
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise TemplateFailedError(template.id, str(error)) from error
        prompt = _LOOSE.sub(r"\1", _BLANK.sub(" ", words)).strip()[:MAX_PROMPT]
        if not prompt:
            raise TemplateFailedError(template.id, "it gives no words")
        return prompt
