"""What can be wrong with a template."""

from __future__ import annotations


class TemplateFailedError(ValueError):
    """A template is broken, or gives no words."""

    def __init__(self, template_id: str, why: str) -> None:
        super().__init__(f"template {template_id} failed: {why}")
        self.template_id = template_id
        self.why = why


class TemplatesMissingError(LookupError):
    """The template folder lacks what nothing works without."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no prompt template: {what}")
        self.what = what
