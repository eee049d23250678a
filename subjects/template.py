"""What a subject is about: its pattern, which few share, and the tenant and job it names.

Patterns name spans and measurements, so there must be few of them however many jobs there are.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

_KEPT: Final = ""
_ABOUT: Final = ("{tenant}", "{job}")
_PATTERNS: Final[dict[tuple[str, int], tuple[str, ...]]] = {
    ("evt", 5): (_KEPT, _KEPT, _KEPT, *_ABOUT),
    ("cmd", 5): (_KEPT, _KEPT, _KEPT, *_ABOUT),
    ("cmd", 4): (_KEPT, _KEPT, _KEPT, _KEPT),
    ("due", 5): (_KEPT, _KEPT, *_ABOUT, "{name}"),
    ("prog", 3): (_KEPT, *_ABOUT),
    ("saga", 2): (_KEPT, "{key}"),
    ("timer", 3): (_KEPT, "{key}", "{name}"),
    ("ask", 3): (_KEPT, _KEPT, _KEPT),
    ("log", 4): (_KEPT, _KEPT, _KEPT, _KEPT),
    ("dlq", 2): (_KEPT, _KEPT),
    ("tlm", 2): (_KEPT, _KEPT),
}
"""For each family and length of a subject, the tokens that are not kept."""


class Place(Struct, frozen=True):
    """The pattern of a subject, and the tenant and job in it, when it has them."""

    template: str
    tenant: str = ""
    job: str = ""


def place(subject: str) -> Place:
    """Return what a subject is about. One of an unknown form has its family for a pattern.

    >>> place("evt.gallery.EffectPublished.tnt_1.job_1")
    Place(template='evt.gallery.EffectPublished.{tenant}.{job}', tenant='tnt_1', job='job_1')
    >>> place("evt.what.is.this").template
    'evt.>'
    """
    tokens = subject.split(".")
    pattern = _PATTERNS.get((tokens[0], len(tokens)))
    if pattern is None:
        return Place(tokens[0] + ".>")
    kept = [each or token for each, token in zip(pattern, tokens, strict=True)]
    template = ".".join(kept)
    if _ABOUT[1] not in pattern:
        return Place(template)
    at = pattern.index(_ABOUT[0])
    return Place(template, tokens[at], tokens[at + 1])
