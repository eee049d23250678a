"""What a prompt is made of: facts about the clip, the user's words, and numbers chosen for both.

The words of a template are data (``templates/``); this is how one is chosen, what it may know, and
how strongly each variant asks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from schemas.base import JobId
from schemas.video import Analysis, AnalyzedContent, EffectRequest

MAX_WISH: Final = 200
"""Characters of the user's words that go into a prompt."""
MAX_PROMPT: Final = 1_200
MAX_VARIANTS: Final = 3
GENERIC: Final = "generic"

_SEED_BITS: Final = 31
_LEAST_STRENGTH: Final = 0.05
_MARKUP: Final = re.compile(r"[{}\[\]()<>|\\`\"«»“”*#_$%^~:=]")
"""What a template engine or a prompt encoder would read as an instruction."""
_BLANK: Final = re.compile(r"\s+")


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to ask for an effect."""

    name: str
    prompt: str
    strength: float
    steps: int
    cfg_scale: float


class Template(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to ask for one effect. The adjustments are added to every variant's strength."""

    id: str
    version: int
    effect_type: str
    variant: tuple[Variant, ...]
    effect_subtype: str = ""
    default: bool = False
    """Whether it answers for its effect type when no subtype is named."""
    negative: str = ""
    strength_by_style: dict[str, float] = {}
    strength_by_motion: dict[str, float] = {}
    strength_by_effect: dict[str, float] = {}


class Choice(Struct, frozen=True, kw_only=True):
    """A template, and whether it is only a stand-in for what was asked."""

    template: Template
    fallback: bool


def choose(templates: tuple[Template, ...], request: EffectRequest) -> Choice:
    """Return the template for a request.

    The subtype's own, else the effect type's default, else the generic one. The last two are a
    fallback when something else was asked for.
    """
    of_type = [known for known in templates if known.effect_type == request.effect_type]
    for known in of_type:
        if request.effect_subtype and known.effect_subtype == request.effect_subtype:
            return Choice(template=known, fallback=False)
    for known in of_type:
        if known.default:
            return Choice(template=known, fallback=bool(request.effect_subtype))
    return Choice(template=generic(templates), fallback=request.effect_type != GENERIC)


def generic(templates: tuple[Template, ...]) -> Template:
    """Return the template that fits anything."""
    return next(known for known in templates if known.effect_type == GENERIC)


def request_of(content: AnalyzedContent) -> EffectRequest:
    """Return what was asked for; a job without a request gets the first effect that fits."""
    if content.request is not None:
        return content.request
    fitting = content.analysis.eligible_effect_types
    return EffectRequest(effect_type=fitting[0] if fitting else GENERIC)


def facts(content: AnalyzedContent, request: EffectRequest) -> Mapping[str, object]:
    """Return what a template may know. Nothing in it is ever read as a template."""
    analysis = content.analysis
    colours = dict.fromkeys(name for scene in analysis.scenes for name in scene.colors)
    objects = dict.fromkeys(name for scene in analysis.scenes for name in scene.objects)
    return {
        "style": plain(analysis.dominant_style),
        "motion": plain(analysis.motion_pattern),
        "brightness": _brightness(analysis),
        "colours": [plain(name) for name in list(colours)[:3]],
        "objects": [plain(name) for name in list(objects)[:3]],
        "effects": [plain(name) for name in analysis.detected_effects[:5]],
        "scene": plain(analysis.scenes[0].description) if analysis.scenes else "",
        "scenes": len(analysis.scenes),
        "effect": plain(request.effect_type),
        "subtype": plain(request.effect_subtype),
        "wish": plain(request.wish),
    }


def plain(words: str) -> str:
    """Return words without markup, on one line, of bounded length.

    >>> plain("make it {{ 7 * 7 }} (warm:1.9) <lora:x>")
    'make it 7 7 warm 1.9 lora x'
    """
    printable = "".join(sign if sign.isprintable() else " " for sign in words[: 4 * MAX_WISH])
    clean = _BLANK.sub(" ", _MARKUP.sub(" ", printable)).strip()
    return clean[:MAX_WISH].rstrip()


def strength(template: Template, variant: Variant, analysis: Analysis) -> float:
    """Return how strongly to ask: weaker where the clip already looks or moves like it."""
    asked = variant.strength
    asked += template.strength_by_style.get(analysis.dominant_style, 0.0)
    asked += template.strength_by_motion.get(analysis.motion_pattern, 0.0)
    asked += sum(template.strength_by_effect.get(name, 0.0) for name in analysis.detected_effects)
    return round(min(max(asked, _LEAST_STRENGTH), 1.0), 3)


def seed(job_id: JobId, template_id: str, variant: str) -> int:
    """Return the same seed for the same job and variant, always."""
    digest = hashlib.sha256(f"{job_id}\x1f{template_id}\x1f{variant}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> (32 - _SEED_BITS)


def template_id(template: Template, variant: Variant) -> str:
    """Return which words were used, to the version."""
    return f"{template.id}@{template.version}/{variant.name}"


def _brightness(analysis: Analysis) -> str:
    """Return one word for the light, longer scenes counting more."""
    lengths = [max(1, scene.end_ms - scene.start_ms) for scene in analysis.scenes]
    if not lengths:
        return ""
    lit = sum(
        scene.brightness * length for scene, length in zip(analysis.scenes, lengths, strict=True)
    )
    mean = lit / sum(lengths)
    if mean < 0.3:
        return "dark"
    return "bright" if mean > 0.6 else "evenly lit"
