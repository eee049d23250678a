"""What Prompt Generation needs from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from actors.prompt_generation.core import Template, Variant


class Templates(Protocol):
    """The words that can be asked with."""

    def all(self) -> tuple[Template, ...]:
        """Return every template; exactly one of them is generic."""
        ...

    def render(self, template: Template, variant: Variant, facts: Mapping[str, object]) -> str:
        """Return the prompt of one variant.

        Raises:
            TemplateFailedError: the template is broken, or gives no words.
        """
        ...
