"""Provider records, the routing manifest, and the recommendation read from it."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.base import MicroTokens, Milliseconds, ProviderId, UnitInterval, WorkflowId


class CostModel(Struct, frozen=True, kw_only=True):
    """What a render is expected to use; ``base_cost_per_frame`` is in tokens."""

    base_cost_per_frame: float
    gpu_type_required: str
    avg_gpu_seconds_per_frame: float
    cold_start_penalty_seconds: float = 0.0


class ProviderHealth(Struct, frozen=True, kw_only=True):
    """What the last checks said."""

    status: str
    """``healthy``, ``degraded``, ``unhealthy`` when most renders fail, ``offline`` when no agent
    can run it, or ``unknown``."""
    last_check: datetime
    success_rate_24h: UnitInterval | None = None
    avg_latency_ms_24h: int | None = None
    health_score: UnitInterval = 0.0


class ParameterRule(Struct, frozen=True, kw_only=True):
    """A parameter a provider takes: its type, its bounds, and where it goes in the graph."""

    node: str
    input: str
    type: str
    """``int``, ``float``, ``bool``, ``str`` or ``choice``."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    max_length: int = 0
    """Characters of a ``str``; 0 means the usual limit."""
    charset: str = ""
    """What a ``str`` is made of: empty for any words, ``name``, or ``color``."""
    scale: float = 1.0
    offset: float = 0.0
    """A number in bounds becomes ``offset + scale * number``: how much a strength of 1 is here."""
    whole: bool = False
    """Whether what comes of it is rounded; hosts take no halves of a pixel."""


class ClipRule(Struct, frozen=True, kw_only=True):
    """What a model demands of a clip; the agent shapes what it fills in from the clip to it.

    The usual values demand nothing. Wan wants frames of 4n + 1 and sides of 16, LTX 8n + 1 and 32.
    """

    frame_multiple: int = 1
    frame_remainder: int = 0
    max_frames: int = 0
    """A longer clip is refused; 0 means no limit."""
    size_multiple: int = 1
    max_pixels: int = 0
    """Of one frame; a larger picture is made smaller. 0 means no limit."""


class NodeMap(Struct, frozen=True, kw_only=True):
    """Which node of the graph takes what."""

    video_input_node: str
    output_node: str
    prompt_node: str = ""
    negative_prompt_node: str = ""
    sampler_node: str = ""
    checkpoint_loader: str = ""


class ProviderRecord(Struct, frozen=True, kw_only=True):
    """A provider is data: the record, the graph, the node map, the cost model."""

    provider_id: ProviderId
    display_name: str
    adapter_class: str
    config_path: str
    workflow_json_path: str
    capabilities: tuple[str, ...]
    supported_effect_types: tuple[str, ...]
    node_dependencies: tuple[str, ...]
    cost_model: CostModel
    health: ProviderHealth | None = None
    workflow_id: WorkflowId = WorkflowId("")
    revision: int = 1
    status: str = "active"
    """``active``, ``shadow``, ``draining``, ``disabled``, or ``draft``: not proven to run yet."""
    lane: str = "standard"
    """``standard``: the job decides. ``interactive`` or ``batch`` is for all of its work."""
    node_mapping: NodeMap = NodeMap(video_input_node="", output_node="")
    default_parameters: dict[str, str | int | float | bool | None] = {}
    parameter_rules: dict[str, ParameterRule] = {}
    required_models: tuple[str, ...] = ()
    required_custom_nodes: tuple[str, ...] = ()
    graph: dict[str, dict[str, object]] = {}
    target_look: dict[str, float] = {}
    """What the look should do to a clip, for style adherence: e.g. ``contrast: 1.3``."""
    clip_rule: ClipRule = ClipRule()


class RenderTime(Struct, frozen=True, kw_only=True):
    """What a render takes on a warm host, by its work: the pixels of all frames together."""

    fixed_ms: int = 0
    ms_per_gigapixel: int = 0
    ms_per_gigapixel_step: int = 0
    """On top for each sampling step."""
    samples: int = 0
    """Renders it was learnt from; 0 when nobody knows."""


class ProviderRoute(Struct, frozen=True, kw_only=True):
    """One provider's place in the routing of one effect type."""

    provider_id: ProviderId
    workflow_id: WorkflowId
    lane: str
    weight: UnitInterval
    """Share of jobs that go to this provider first."""
    expected_cost_tokens: int
    expected_cost_microtokens: MicroTokens
    expected_quality_score: dict[str, float]
    expected_duration_ms: Milliseconds
    success_rate: UnitInterval
    confidence: str
    """``high``, ``medium`` or ``low``."""
    reason: str
    utility: float = 0.0
    samples: int = 0
    status: str = "active"
    subtypes: tuple[str, ...] = ()
    """The looks it offers within the effect type."""
    usual_frames: int = 0
    """Of a clip that takes ``expected_duration_ms``; 0 when nobody knows."""
    render_time: RenderTime = RenderTime()
    """What ``expected_duration_ms`` is for a clip of any size."""
    default_steps: int = 1
    """Sampling steps of a render that asks for none."""
    max_pixels: int = 0
    """A larger frame is made smaller before it is rendered; 0 means no limit."""


class EffectRoute(Struct, frozen=True, kw_only=True):
    """The routing of one effect type: providers, best first."""

    effect_type: str
    default_provider_id: ProviderId
    providers: tuple[ProviderRoute, ...]


class RoutingManifest(Struct, frozen=True, kw_only=True):
    """What the Economic Engine publishes and every routing decision reads."""

    version: int
    generated_at: datetime
    reason: str
    effects: dict[str, EffectRoute]
    exploration_percentage: UnitInterval = 0.05
    exploration_block: int = 20
    valid_until: datetime | None = None


class UserPreferences(Struct, frozen=True, kw_only=True):
    """``priority`` is ``quality``, ``speed``, ``cost`` or ``balanced``."""

    priority: str = "balanced"


class ContentMetadata(Struct, frozen=True, kw_only=True):
    """What of the content matters for routing."""

    scene: str = ""
    motion: str = ""
    duration_ms: Milliseconds = 0


class RecommendationRequest(Struct, frozen=True, kw_only=True):
    """Asked of the local manifest, answered without a network."""

    task_type: str
    effect_subtype: str = ""
    user_preferences: UserPreferences = UserPreferences()
    content_metadata: ContentMetadata = ContentMetadata()
    budget_tokens: int | None = None


class RecommendedProvider(Struct, frozen=True, kw_only=True):
    """One of the providers to try."""

    provider_id: ProviderId
    expected_cost_tokens: int
    expected_quality_score: dict[str, float]
    expected_duration_ms: Milliseconds
    confidence: str
    reason: str
    workflow_id: WorkflowId = WorkflowId("")
    lane: str = "standard"
    propensity: UnitInterval = 1.0
    role: str = "default"
    usual_frames: int = 0
    """Of a clip that takes ``expected_duration_ms``; 0 when nobody knows."""
    render_time: RenderTime = RenderTime()
    """What ``expected_duration_ms`` is for a clip of any size."""
    default_steps: int = 1
    """Sampling steps of a render that asks for none."""
    max_pixels: int = 0
    """A larger frame is made smaller before it is rendered; 0 means no limit."""


class ProviderRecommendation(Struct, frozen=True, kw_only=True):
    """Which providers to try for a job, and whether one of them is an exploration."""

    recommended_providers: tuple[RecommendedProvider, ...]
    exploration_mode: bool
    exploration_percentage: UnitInterval
    manifest_version: int = 0
    slot: int = -1
    """The job's place in its effect type's block of twenty."""
