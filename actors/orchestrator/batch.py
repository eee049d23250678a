"""The test batch: the same clip to several providers, each with its own prompt. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.runtime.follow import derived_id
from economics.rounding import divide
from schemas.base import JobId, ProviderId, TaskId
from schemas.jobs import Candidate, Job, JobOrder
from schemas.lanes import BATCH, INTERACTIVE, LANES
from schemas.routing import (
    ContentMetadata,
    ProviderRecommendation,
    RecommendationRequest,
    RecommendedProvider,
)
from schemas.tasks import ExecutionTask, RetryPolicy, Work
from schemas.video import PromptVariant, Video, VideoMetadata

CANDIDATES_LIMIT: Final = 3
"""Providers that are tried for one job; one on shadow may work beside them."""
TIMEOUT_MS: Final = 120_000
"""One attempt may take so long, or three times what is expected, whichever is longer."""
TIMEOUT_LIMIT_MS: Final = 900_000
GIGA: Final = 1_000_000_000
RETRY_POLICY: Final = RetryPolicy(max_retries=2, backoff_ms=5000)
SHADOW: Final = "shadow"
"""The role of a provider whose result nobody sees and nobody waits for."""
EXPLORATION: Final = "exploration"
"""The role of a provider that is tried to learn about it."""
CHEAPLY: Final = "cost"
"""The priority that pays no premium, for speed least of all."""
QUICKLY: Final = "speed"
QUEUE_ALLOWANCE: Final = timedelta(minutes=3)
"""How long a batch may wait for free slots, on top of its attempts."""


class NoProvider(Struct, frozen=True):
    """Instead of a route: the order excludes every provider, now and later."""

    why: str


Routing = ProviderRecommendation | NoProvider
"""What the routing answers."""


def request_of(job: Job) -> RecommendationRequest:
    """Return what is asked of the routing manifest."""
    order, analysis = job.order, job.analysis
    return RecommendationRequest(
        task_type=order.effect_type,
        effect_subtype=order.effect_subtype,
        user_preferences=order.user_preferences,
        content_metadata=ContentMetadata(
            scene=analysis.scenes[0].description if analysis and analysis.scenes else "",
            motion=analysis.motion_pattern if analysis else "",
            duration_ms=job.video.metadata.duration_ms if job.video else 0,
        ),
        budget_tokens=order.budget_tokens,
    )


def generic_prompt(order: JobOrder) -> PromptVariant:
    """Return the prompt that is used when nobody wrote one."""
    look = f", {order.effect_subtype.replace('_', ' ')} look" if order.effect_subtype else ""
    return PromptVariant(
        prompt_text=f"{order.effect_type.replace('_', ' ')}{look}, keeping the original motion",
        target_effect_type=order.effect_type,
        template_id="generic",
    )


def task_id_of(job_id: JobId, provider_id: ProviderId) -> TaskId:
    """Return the one id of a job's render on a provider."""
    return TaskId(derived_id("task", job_id, provider_id))


def candidates_of(job: Job, routing: ProviderRecommendation) -> dict[TaskId, Candidate]:
    """Return one open candidate for each recommended provider."""
    assert job.video is not None
    chosen = {one.provider_id: one for one in routing.recommended_providers}.values()
    tasks = [
        _task(
            job,
            provider,
            prompt=job.prompts[place % len(job.prompts)],
            video=job.video,
            total=sum(one.role != SHADOW for one in chosen),
        )
        for place, provider in enumerate(chosen)
    ]
    return {task.task_id: Candidate(task=task) for task in tasks}


def lane_of(order: JobOrder, provider: RecommendedProvider) -> str:
    """Return the queue a render waits in: that of the provider, or what the job pays for.

    What nobody waits for, and what pays for no speed, lets the others go first. An explored
    provider works beside the usual ones, so it may take its time, unless the user paid for speed.
    """
    if provider.lane in LANES:
        return provider.lane
    priority = order.user_preferences.priority
    if provider.role == SHADOW or priority == CHEAPLY:
        return BATCH
    return BATCH if provider.role == EXPLORATION and priority != QUICKLY else INTERACTIVE


def work_of(clip: VideoMetadata, provider: RecommendedProvider, prompt: PromptVariant) -> Work:
    """Return how much there is to do, and how long that is expected to take."""
    frames = clip.frame_count or round(clip.fps * clip.duration_ms / 1000)
    pixels = _pixels(clip.resolution)
    if provider.max_pixels:
        pixels = min(pixels, provider.max_pixels)
    steps = prompt.parameters.get("steps")
    work = Work(
        frames=frames,
        pixels=pixels,
        steps=steps if type(steps) is int and steps > 0 else provider.default_steps,
    )
    return replace(work, predicted_ms=_predicted_ms(work, provider))


def _predicted_ms(work: Work, provider: RecommendedProvider) -> int:
    """Return what this work is expected to take, never longer than an attempt may take.

    While the nodes of the provider's graph are unknown, a longer clip than usual takes longer than
    usual, in proportion.
    """
    known = provider.render_time
    if known.samples and work.frames and work.pixels:
        each = known.ms_per_gigapixel + known.ms_per_gigapixel_step * work.steps
        took = known.fixed_ms + divide(each * work.frames * work.pixels, GIGA)
        return min(max(took, 1), TIMEOUT_LIMIT_MS)
    if work.frames and provider.usual_frames:
        return divide(provider.expected_duration_ms * work.frames, provider.usual_frames)
    return provider.expected_duration_ms


def _pixels(resolution: str) -> int:
    """Return the pixels of a frame, of a resolution such as ``720x404``."""
    width, _, height = resolution.partition("x")
    return int(width) * int(height) if width.isdecimal() and height.isdecimal() else 0


def bound_of(candidates: dict[TaskId, Candidate]) -> timedelta:
    """Return how long a batch may take: every attempt of its slowest task, and a queue."""
    return QUEUE_ALLOWANCE + max(_bound(one.task) for one in candidates.values())


def _bound(task: ExecutionTask) -> timedelta:
    policy = task.retry_policy
    attempts = task.timeout_ms * (policy.max_retries + 1)
    # the wait doubles with each retry
    waits = policy.backoff_ms * (2**policy.max_retries - 1)
    return timedelta(milliseconds=attempts + waits)


def _task(
    job: Job,
    provider: RecommendedProvider,
    *,
    prompt: PromptVariant,
    video: Video,
    total: int,
) -> ExecutionTask:
    order = job.order
    work = work_of(video.metadata, provider, prompt)
    expected_ms = max(work.predicted_ms, provider.expected_duration_ms)
    timeout_ms = min(max(TIMEOUT_MS, 3 * expected_ms), TIMEOUT_LIMIT_MS)
    return ExecutionTask(
        task_id=task_id_of(order.job_id, provider.provider_id),
        correlation_id=order.job_id,
        provider_id=provider.provider_id,
        workflow_id=provider.workflow_id,
        prompt=prompt.prompt_text,
        negative_prompt=prompt.negative_prompt,
        input_video_uri=video.normalized_uri,
        parameters=dict(prompt.parameters),
        timeout_ms=timeout_ms,
        retry_policy=RETRY_POLICY,
        effect_type=order.effect_type,
        lane=lane_of(order, provider),
        role=provider.role,
        total_candidates=total,
        work=work,
    )
