"""The test batch: the same clip to several providers, each with its own prompt. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from msgspec import Struct

from actors.runtime.follow import derived_id
from schemas.base import JobId, ProviderId, TaskId
from schemas.jobs import Candidate, Job, JobOrder
from schemas.routing import (
    ContentMetadata,
    ProviderRecommendation,
    RecommendationRequest,
    RecommendedProvider,
)
from schemas.tasks import ExecutionTask, RetryPolicy
from schemas.video import PromptVariant

CANDIDATES_LIMIT: Final = 3
"""Providers that are tried for one job; one on shadow may work beside them."""
TIMEOUT_MS: Final = 120_000
"""One attempt may take so long, or three times what is expected, whichever is longer."""
TIMEOUT_LIMIT_MS: Final = 900_000
RETRY_POLICY: Final = RetryPolicy(max_retries=2, backoff_ms=5000)
SHADOW: Final = "shadow"
"""The role of a provider whose result nobody sees and nobody waits for."""
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
            input_video_uri=job.video.normalized_uri,
            total=sum(one.role != SHADOW for one in chosen),
        )
        for place, provider in enumerate(chosen)
    ]
    return {task.task_id: Candidate(task=task) for task in tasks}


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
    input_video_uri: str,
    total: int,
) -> ExecutionTask:
    order = job.order
    timeout_ms = min(max(TIMEOUT_MS, 3 * provider.expected_duration_ms), TIMEOUT_LIMIT_MS)
    return ExecutionTask(
        task_id=task_id_of(order.job_id, provider.provider_id),
        correlation_id=order.job_id,
        provider_id=provider.provider_id,
        workflow_id=provider.workflow_id,
        prompt=prompt.prompt_text,
        negative_prompt=prompt.negative_prompt,
        input_video_uri=input_video_uri,
        parameters=dict(prompt.parameters),
        timeout_ms=timeout_ms,
        retry_policy=RETRY_POLICY,
        effect_type=order.effect_type,
        lane=provider.lane,
        role=provider.role,
        total_candidates=total,
    )
