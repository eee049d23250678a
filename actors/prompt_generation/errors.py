"""What can be wrong with a template, and with who rewrites one."""

from __future__ import annotations


class TemplateFailedError(ValueError):
    """A template gives no words for a clip."""

    def __init__(self, template_id: str, why: str) -> None:
        super().__init__(f"template {template_id} failed: {why}")
        self.template_id = template_id
        self.why = why


class BrokenTemplateError(ValueError):
    """A file is no template, or one that could not be used."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: {why}")
        self.file = file
        self.why = why


class TemplatesMissingError(LookupError):
    """The template folder lacks what nothing works without."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no prompt template: {what}")
        self.what = what


class RewriterFailedError(RuntimeError):
    """Nobody rewrote a prompt, or not in words that can be used."""

    def __init__(self, why: str) -> None:
        super().__init__(f"not rewritten: {why}")
        self.why = why
