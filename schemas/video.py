"""A clip, and what is in it."""

from __future__ import annotations

from msgspec import Struct

from schemas.base import Milliseconds, TenantId, UnitInterval, UserId, VideoId


class VideoMetadata(Struct, frozen=True, kw_only=True):
    """Measured by decoding, never taken from the header."""

    duration_ms: Milliseconds
    resolution: str
    """``WIDTHxHEIGHT`` in pixels, upright."""
    fps: float
    codec: str
    file_size_bytes: int
    frame_count: int = 0
    has_audio: bool = False
    content_hash: str = ""
    """SHA-256 of the uploaded bytes, hexadecimal."""


class EffectRequest(Struct, frozen=True, kw_only=True):
    """What the user wants done; travels with the clip so that no module must look it up."""

    effect_type: str
    effect_subtype: str = ""
    wish: str = ""
    """The user's own words, never more than data."""


class Video(Struct, frozen=True, kw_only=True):
    """A stored and normalised upload."""

    video_id: VideoId
    user_id: UserId
    tenant_id: TenantId
    source_uri: str
    normalized_uri: str
    metadata: VideoMetadata
    poster_uri: str = ""
    preview_uri: str = ""
    """A moving WebP of the whole clip."""
    waveform_uri: str = ""
    """JSON; empty when the clip is silent."""
    request: EffectRequest | None = None


class Scene(Struct, frozen=True, kw_only=True):
    """One shot. Scenes cover the clip without a gap or an overlap."""

    start_ms: Milliseconds
    end_ms: Milliseconds
    description: str
    objects: tuple[str, ...] = ()
    brightness: UnitInterval = 0.5
    motion: UnitInterval = 0.0
    colors: tuple[str, ...] = ()
    camera: str = ""
    """``static``, ``pan_left``, ``pan_right``, ``tilt_up``, ``tilt_down``, ``zoom_in``,
    ``zoom_out``, ``roll`` or ``handheld``."""
    subject_motion: UnitInterval = 0.0
    """How much moves before the camera, its own move taken away."""
    people: bool = False
    text: bool = False
    """Words can be seen."""
    object_confidence: dict[str, float] = {}


class Eligibility(Struct, frozen=True, kw_only=True):
    """Whether an effect type makes sense for a clip, and why."""

    effect_type: str
    eligible: bool
    reason: str


class Analysis(Struct, frozen=True, kw_only=True):
    """What is in a clip, and what may be done to it."""

    scenes: tuple[Scene, ...]
    dominant_style: str
    motion_pattern: str
    detected_effects: tuple[str, ...] = ()
    eligible_effect_types: tuple[str, ...] = ()
    style_confidence: UnitInterval = 0.0
    degraded: bool = False
    """True when a model was missing and heuristics answered instead."""
    analyzer_version: str = ""
    style_runner_up: str = ""
    effect_confidence: dict[str, float] = {}
    eligibility: tuple[Eligibility, ...] = ()
    """Every effect type that is known, the ones that do not fit too."""
    described_by: str = ""
    """The captioner whose words the descriptions are; empty for measured ones."""


class AnalyzedContent(Struct, frozen=True, kw_only=True):
    """The payload of ``ContentAnalyzed``."""

    video_id: VideoId
    analysis: Analysis
    request: EffectRequest | None = None


class PromptVariant(Struct, frozen=True, kw_only=True):
    """One provider-agnostic way to ask for an effect."""

    prompt_text: str
    target_effect_type: str
    parameters: dict[str, str | int | float | bool | None] = {}
    negative_prompt: str = ""
    template_id: str = ""
    """``template@version/variant``: whose words these are."""
    rewritten_by: str = ""
    """The language model that said them in other words; empty for the template's own."""


class GeneratedPrompts(Struct, frozen=True, kw_only=True):
    """The payload of ``PromptsGenerated``."""

    video_id: VideoId
    prompt_variants: tuple[PromptVariant, ...]
    fallback_used: bool = False
    notes: tuple[str, ...] = ()
    """What did not go as it should: a template that failed, a rewriter that was not used."""
