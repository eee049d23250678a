"""What a prompt is made of: facts about the clip, the user's words, and numbers chosen for both.

The words of a template are data (``templates/``); this is how one is chosen, what it may know, and
how strongly each variant asks. ``words`` cleans and cuts, ``parameters`` reads the clip,
``ranking`` says which template of several a job gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from actors.prompt_generation import parameters
from actors.prompt_generation.parameters import SIGNS, Shift
from actors.prompt_generation.words import drawn, plain, tokens
from schemas.video import Analysis, AnalyzedContent, EffectRequest

MIN_VARIANTS: Final = 2
MAX_VARIANTS: Final = 4
GENERIC: Final = "generic"
WINDOW: Final = 75
"""Tokens an encoder of CLIP's kind reads at once: 77, less the two around them."""
MAX_TOKENS: Final = 2 * WINDOW
MOST_TOKENS: Final = 3 * WINDOW
LEAST_TOKENS: Final = 40
"""Below this nothing is left for the user's words."""
MAX_WEIGHT: Final = 100.0

_MAX_NAME: Final = 100


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to ask for an effect."""

    name: str
    prompt: str
    """Phrases between commas, the most important first: what does not fit is left out behind."""
    strength: float
    steps: int
    cfg_scale: float
    when: tuple[str, ...] = ()
    """Signs that a clip must show, all of them, to be asked for like this."""


class Template(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to ask for one effect. The adjustments are added to every variant's numbers."""

    id: str
    version: int
    """Counted up with every change, since what a template has won is kept by version."""
    effect_type: str
    variant: tuple[Variant, ...]
    effect_subtype: str = ""
    default: bool = False
    """Whether it answers for its effect type when no subtype is named."""
    weight: float = 1.0
    """Its part of the jobs among templates for the same; 0 is given none any more."""
    negative: str = ""
    max_tokens: int = MAX_TOKENS
    verbatim: bool = False
    """The user's words are drawn into the picture: alone, unquoted, and never cut for tokens."""
    house: bool = True
    """Whether what holds for every effect moves its numbers too."""
    strength_by_style: dict[str, float] = {}
    strength_by_motion: dict[str, float] = {}
    strength_by_effect: dict[str, float] = {}
    by_sign: dict[str, Shift] = {}

    @property
    def key(self) -> str:
        """Which words these are, to the version."""
        return f"{self.id}@{self.version}"


class Choice(Struct, frozen=True, kw_only=True):
    """Templates that fit equally, and whether they are only a stand-in for what was asked."""

    templates: tuple[Template, ...]
    fallback: bool

    @property
    def template(self) -> Template:
        """The first of them."""
        return self.templates[0]


def choose(templates: tuple[Template, ...], request: EffectRequest) -> Choice:
    """Return the templates for a request, in the order of their ids.

    The subtype's own, else the effect type's defaults, else the generic one. The last two are a
    fallback when something else was asked for. One of several is taken by ``ranking.assigned``.
    """
    active = sorted((known for known in templates if known.weight > 0), key=lambda each: each.id)
    of_type = [known for known in active if known.effect_type == request.effect_type]
    if request.effect_subtype:
        own = tuple(each for each in of_type if each.effect_subtype == request.effect_subtype)
        if own:
            return Choice(templates=own, fallback=False)
    defaults = tuple(known for known in of_type if known.default)
    if defaults:
        return Choice(templates=defaults, fallback=bool(request.effect_subtype))
    return Choice(templates=(generic(templates),), fallback=request.effect_type != GENERIC)


def generic(templates: tuple[Template, ...]) -> Template:
    """Return the template that fits anything."""
    return next(known for known in templates if known.effect_type == GENERIC)


def variants_for(template: Template, shown: frozenset[str]) -> tuple[Variant, ...]:
    """Return the ways to ask that suit a clip: two to four, in the template's order."""
    fitting = tuple(each for each in template.variant if shown.issuperset(each.when))
    return fitting[:MAX_VARIANTS]


def request_of(content: AnalyzedContent) -> EffectRequest:
    """Return what was asked for; a job without a request gets the first effect that fits."""
    if content.request is not None:
        return content.request
    fitting = content.analysis.eligible_effect_types
    return EffectRequest(effect_type=fitting[0] if fitting else GENERIC)


def facts(template: Template, content: AnalyzedContent) -> Mapping[str, object]:
    """Return what a template may know. Nothing in it is ever read as a template.

    The user's words are only known to a template that draws them; to all others they are added,
    quoted, by ``words.quoting``, so that no template can forget to.
    """
    analysis, request = content.analysis, request_of(content)
    colours = dict.fromkeys(name for scene in analysis.scenes for name in scene.colors)
    objects = dict.fromkeys(name for scene in analysis.scenes for name in scene.objects)
    known: dict[str, object] = {
        "style": plain(analysis.dominant_style),
        "motion": plain(analysis.motion_pattern),
        "brightness": _light(analysis),
        "colours": [plain(name) for name in list(colours)[:3]],
        "objects": [plain(name) for name in list(objects)[:3]],
        "effects": [plain(name) for name in analysis.detected_effects[:5]],
        "scene": plain(analysis.scenes[0].description) if analysis.scenes else "",
        "scenes": len(analysis.scenes),
        "camera": _camera(analysis),
        "people": any(scene.people for scene in analysis.scenes),
        "effect": plain(request.effect_type, limit=_MAX_NAME),
        "subtype": plain(request.effect_subtype, limit=_MAX_NAME),
    }
    return known | {"wish": drawn(request.wish)} if template.verbatim else known


def numbers(template: Template, variant: Variant, analysis: Analysis) -> Shift:
    """Return how to ask: weaker where the clip already looks or moves like it."""
    by_style = template.strength_by_style.get(analysis.dominant_style, 0.0)
    asked = variant.strength + by_style * parameters.trust(analysis.style_confidence)
    asked += template.strength_by_motion.get(analysis.motion_pattern, 0.0)
    asked += sum(template.strength_by_effect.get(name, 0.0) for name in analysis.detected_effects)
    start = Shift(strength=asked, steps=variant.steps, cfg_scale=variant.cfg_scale)
    shown = parameters.signs(analysis)
    return parameters.shifted(start, template.by_sign, shown, house=template.house)


def template_id(template: Template, variant: Variant) -> str:
    """Return which words were used, to the version and the variant."""
    return f"{template.key}/{variant.name}"


def faults(template: Template) -> tuple[str, ...]:
    """Return everything that is wrong with a template, as sentences; rendering finds the rest."""
    names = [each.name for each in template.variant]
    always = [each for each in template.variant if not each.when]
    strange = {sign for each in template.variant for sign in each.when} | set(template.by_sign)
    wrong = (
        (not template.id or "@" in template.id or "/" in template.id, f"bad id {template.id!r}"),
        (template.version < 1, f"version {template.version} is below 1"),
        (not template.effect_type, "it names no effect type"),
        (len(always) < MIN_VARIANTS, f"{len(always)} variants fit any clip, {MIN_VARIANTS} must"),
        (len(always) > MAX_VARIANTS, f"{len(always)} variants, {MAX_VARIANTS} are possible"),
        (len(set(names)) < len(names), "two variants have one name"),
        (not all(names) or any("/" in name for name in names), "a variant's name is unfit"),
        (not 0 <= template.weight <= MAX_WEIGHT, f"weight {template.weight} is out of bounds"),
        (
            not LEAST_TOKENS <= template.max_tokens <= MOST_TOKENS,
            f"max_tokens {template.max_tokens} is not within {LEAST_TOKENS} to {MOST_TOKENS}",
        ),
        (tokens(template.negative) > template.max_tokens, "the negative prompt is over the budget"),
        (bool(strange - SIGNS), f"unknown signs {', '.join(sorted(strange - SIGNS))}"),
        *(_unfit(each) for each in template.variant),
    )
    return tuple(why for is_wrong, why in wrong if is_wrong)


def _unfit(variant: Variant) -> tuple[bool, str]:
    bounds = (
        (variant.strength, parameters.STRENGTHS),
        (variant.steps, parameters.STEPS),
        (variant.cfg_scale, parameters.SCALES),
    )
    unfit = not all(low <= value <= high for value, (low, high) in bounds)
    return unfit, f"a number of variant {variant.name!r} is out of bounds"


def _light(analysis: Analysis) -> str:
    """Return one word for the light."""
    shown = parameters.signs(analysis)
    if not analysis.scenes:
        return ""
    if parameters.DARK in shown:
        return "dark"
    return "bright" if parameters.BRIGHT in shown else "evenly lit"


def _camera(analysis: Analysis) -> str:
    """Return the camera's move in words; nothing for one that stands still."""
    move = parameters.camera(analysis)
    return "" if move == "static" else plain(move)
