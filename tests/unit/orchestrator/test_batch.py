"""What is asked of each provider: in which queue, how much work, and for how long at most."""

from __future__ import annotations

import pytest

from actors.orchestrator.batch import TIMEOUT_LIMIT_MS, candidates_of, lane_of, work_of
from schemas.base import ProviderId
from schemas.jobs import Job, JobState
from schemas.routing import ProviderRecommendation, RecommendedProvider, RenderTime, UserPreferences
from schemas.tasks import ExecutionTask
from schemas.video import PromptVariant
from tests.builders import NOON, job_order, metadata, video


def provider(**changes: object) -> RecommendedProvider:
    """Return a provider that takes three seconds for a usual clip of 100 frames."""
    known: dict[str, object] = {
        "provider_id": ProviderId("fx-a"),
        "expected_cost_tokens": 2,
        "expected_quality_score": {},
        "expected_duration_ms": 3000,
        "confidence": "low",
        "reason": "runner_up_for_type",
        "usual_frames": 100,
    }
    return RecommendedProvider(**(known | changes))  # type: ignore[arg-type]


def prompt(**parameters: int | float | bool | str) -> PromptVariant:
    """Return a prompt with parameters."""
    return PromptVariant(
        prompt_text="warm", target_effect_type="color_correction", parameters=dict(parameters)
    )


def task_for(chosen: RecommendedProvider) -> ExecutionTask:
    """Return the task that a provider is given for the usual test clip."""
    job = Job(
        order=job_order(),
        state=JobState.TESTING,
        video=video(),
        prompts=(prompt(steps=20),),
        created_at=NOON,
        updated_at=NOON,
    )
    routing = ProviderRecommendation(
        recommended_providers=(chosen,), exploration_mode=False, exploration_percentage=0.05
    )
    [candidate] = candidates_of(job, routing).values()
    return candidate.task


@pytest.mark.parametrize(
    ("role", "priority", "lane"),
    [
        ("default", "balanced", "interactive"),
        ("runner_up", "quality", "interactive"),
        ("default", "speed", "interactive"),
        ("default", "cost", "batch"),
        ("exploration", "balanced", "batch"),
        ("exploration", "speed", "interactive"),
        ("shadow", "speed", "batch"),
        ("shadow", "balanced", "batch"),
    ],
)
def test_what_somebody_waits_and_pays_for_goes_first(role: str, priority: str, lane: str) -> None:
    """A shadow render is for us alone; an order without any premium may take its time."""
    order = job_order(user_preferences=UserPreferences(priority=priority))

    assert lane_of(order, provider(role=role)) == lane


@pytest.mark.parametrize("lane", ["interactive", "batch"])
def test_a_provider_may_keep_all_its_work_in_one_lane(lane: str) -> None:
    """One that takes an hour has no business among those that take seconds."""
    assert lane_of(job_order(), provider(lane=lane)) == lane
    assert lane_of(job_order(), provider(lane=lane, role="shadow")) == lane


def test_work_is_counted_and_predicted_for_this_clip() -> None:
    """The usual clip has 100 frames, this one has 190."""
    work = work_of(metadata(), provider(), prompt(steps=20))

    assert (work.frames, work.pixels, work.steps) == (190, 720 * 404, 20)
    assert work.predicted_ms == 5700


KNOWN = RenderTime(fixed_ms=500, ms_per_gigapixel=10_000, ms_per_gigapixel_step=2_000, samples=9)


def test_what_is_known_of_the_nodes_is_predicted_by_frames_pixels_and_steps() -> None:
    """190 frames of 720x404 are 0.0553 gigapixels: half a second, and 50 s for each of them."""
    work = work_of(metadata(), provider(render_time=KNOWN), prompt(steps=20))

    assert work.predicted_ms == 500 + round(50_000 * 190 * 720 * 404 / 1e9)


def test_a_render_that_asks_for_no_steps_has_its_providers() -> None:
    """Else it would be taken for a twentieth of what it is."""
    work = work_of(metadata(), provider(render_time=KNOWN, default_steps=20), prompt())

    assert work == work_of(metadata(), provider(render_time=KNOWN), prompt(steps=20))


def test_frames_count_as_large_as_they_are_rendered() -> None:
    """A model that takes half a million pixels makes larger frames smaller first."""
    chosen = provider(render_time=KNOWN, max_pixels=100_000)
    work = work_of(metadata(), chosen, prompt())

    assert work.pixels == 100_000
    assert work.predicted_ms == 500 + round(12_000 * 190 * 100_000 / 1e9)


def test_no_clip_is_predicted_to_take_longer_than_an_attempt_may() -> None:
    """However far the largest clip that was ever measured is from this one."""
    endless = metadata(resolution="30000x20000", frame_count=10**6)

    assert work_of(endless, provider(render_time=KNOWN), prompt()).predicted_ms == TIMEOUT_LIMIT_MS


def test_a_size_that_cannot_be_read_is_predicted_by_its_frames() -> None:
    """As long as nothing better is known."""
    work = work_of(metadata(resolution=""), provider(render_time=KNOWN), prompt())

    assert work.predicted_ms == 5700


def test_frames_that_nobody_counted_follow_from_the_duration() -> None:
    """Clips that were stored before frames were counted."""
    assert work_of(metadata(frame_count=0), provider(), prompt()).frames == 190


def test_without_a_usual_clip_the_prediction_is_the_manifests() -> None:
    """A manifest from before clips were compared."""
    assert work_of(metadata(), provider(usual_frames=0), prompt()).predicted_ms == 3000


@pytest.mark.parametrize("steps", ["20", 2.5, True, 0, -3])
def test_steps_that_are_no_number_of_steps_count_as_one(steps: int | float | bool | str) -> None:
    """Prompts are written by templates and people."""
    assert work_of(metadata(), provider(), prompt(steps=steps)).steps == 1


@pytest.mark.parametrize("resolution", ["", "720", "axb", "720x-4"])
def test_a_resolution_that_cannot_be_read_is_unknown(resolution: str) -> None:
    """It only describes the work; nothing fails because of it."""
    assert work_of(metadata(resolution=resolution), provider(), prompt()).pixels == 0


def test_a_long_clip_is_given_the_time_it_needs() -> None:
    """Three times what is expected of this clip, not of a usual one, and never without end."""
    assert task_for(provider()).timeout_ms == 120_000
    assert task_for(provider(expected_duration_ms=60_000)).timeout_ms == 342_000
    assert task_for(provider(expected_duration_ms=900_000)).timeout_ms == TIMEOUT_LIMIT_MS


def test_the_task_carries_its_work_and_its_lane() -> None:
    """Agents weigh by the one, and are asked through the other."""
    task = task_for(provider(role="shadow"))

    assert task.lane == "batch"
    assert task.work.predicted_ms == 5700
    assert task.work.steps == 20
