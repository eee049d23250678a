"""What becomes of a job's words is learnt from the messages, in whatever order they come."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from msgspec import structs

from actors.prompt_generation.history import KEEP_OUTCOMES, KEEP_WORDS, Outcome
from actors.prompt_generation.keeper import RankingKeeper
from actors.prompt_generation.memory import MemoryHistory
from actors.prompt_generation.ranking import NOTHING_KNOWN, Ranking
from actors.runtime.contract import FrozenClock
from schemas.base import MICRO, Message, ProviderId, TaskId
from schemas.events import (
    BestResultSelected,
    JobEnded,
    QualityEvaluated,
    TestBatch,
    TestBatchDispatched,
)
from schemas.jobs import JobEnding, JobState, RankedCandidate
from schemas.video import PromptVariant
from subjects.topology import DAY, EVT, HEARS, STREAMS
from tests.builders import (
    JOB,
    NOON,
    TENANT,
    USER,
    VECTOR,
    content_analyzed,
    execution_task,
    header,
    quality_evaluated,
    selection,
)
from tests.unit.prompt_generation.world import module, prompts

HEARD = content_analyzed()
DAWN = NOON - KEEP_OUTCOMES


def batch(variants: Sequence[PromptVariant]) -> TestBatchDispatched:
    """Return a batch that gives each variant to a provider of its own."""
    tasks = tuple(
        execution_task(
            f"task_{n}",
            f"prv-{n}",
            prompt=each.prompt_text,
            parameters=dict(each.parameters),
        )
        for n, each in enumerate(variants)
    )
    return TestBatchDispatched(
        **header("evt_batch"),  # type: ignore[arg-type]
        payload=TestBatch(tasks=tasks, exploration_mode=False, manifest_version=1),
    )


def selected(winner: str, *tasks: str) -> BestResultSelected:
    """Return a selection; each candidate cost 100."""
    ranking = tuple(
        RankedCandidate(
            task_id=TaskId(task),
            provider_id=ProviderId("prv"),
            rank=1,
            score=0.5,
            composite_score=0.5,
            quality_vector=VECTOR,
            cost_microtokens=100,
            duration_ms=1,
            outcome="won" if task == winner else "lost",
        )
        for task in tasks
    )
    return BestResultSelected(
        **header("evt_selected"),  # type: ignore[arg-type]
        payload=selection(winning_task_id=TaskId(winner), ranking=ranking),
    )


def ended(state: JobState = JobState.COMPLETE) -> JobEnded:
    """Return the end of the job."""
    return JobEnded(
        **header("evt_ended"),  # type: ignore[arg-type]
        payload=JobEnding(state=state, user_id=USER),
    )


async def learnt(
    messages: Sequence[Message], history: MemoryHistory | None = None
) -> tuple[Sequence[Outcome], MemoryHistory]:
    """Return what is known of the job's renders after these messages."""
    history = history or MemoryHistory()
    actor = module(history=history)
    await actor.receive(HEARD)
    for each in messages:
        assert await actor.receive(each) == []  # type: ignore[arg-type]
    return await history.outcomes(TENANT, JOB), history


async def story(state: JobState = JobState.COMPLETE) -> tuple[Message, ...]:
    """Return a job from its batch to its end: two renders, the second wins."""
    said = await prompts(HEARD)
    return (
        batch(said.prompt_variants[:2]),
        quality_evaluated("evt_q0", task_id="task_0", composite_score=0.5),
        quality_evaluated("evt_q1", task_id="task_1", composite_score=0.9),
        selected("task_1", "task_0", "task_1"),
        ended(state),
    )


async def test_a_job_s_story_is_known_in_the_end() -> None:
    """Whose words, by whom, how good, at what cost."""
    [first, second], history = await learnt(await story())

    assert (first.template_id, first.version) == ("color_correction.cinematic_warm", 1)
    assert [first.variant, second.variant] == ["balanced", "subtle"]
    assert [first.provider_id, second.provider_id] == ["prv-0", "prv-1"]
    assert [first.composite, second.composite] == [0.5, 0.9]
    assert [first.won, second.won] == [False, True]
    assert [first.cost_microtokens, second.cost_microtokens] == [100, 100]
    [known] = await history.standings(DAWN)
    assert (known.jobs, known.published, known.rejected) == (1, 1, 0)
    assert (known.weight_micro, known.worth_micro) == (MICRO, 900_000)


async def test_the_order_of_the_messages_does_not_matter_nor_do_repeats() -> None:
    """They come from four modules, and more than once."""
    messages = await story()
    wanted, known = await learnt(messages)
    for order in itertools.islice(itertools.permutations(messages), 0, None, 7):
        # whose words they were is known once the batch is; who rendered, from whoever says it first
        outcomes, history = await learnt((*order, *order))

        assert [_but_provider(each) for each in outcomes] == [_but_provider(e) for e in wanted]
        assert await history.standings(DAWN) == await known.standings(DAWN)


def _but_provider(each: Outcome) -> tuple[object, ...]:
    return (each.task_id, each.template_id, each.variant, each.composite, each.won)


@pytest.mark.parametrize(
    ("state", "worth"),
    [(JobState.COMPLETE, 900_000), (JobState.REJECTED, 0), (JobState.CANCELLED, 900_000)],
)
async def test_what_an_admin_refused_has_won_nothing(state: JobState, worth: int) -> None:
    """A job that a user cancelled says nothing against its words."""
    _, history = await learnt(await story(state))

    [known] = await history.standings(DAWN)
    assert known.worth_micro == worth
    assert known.weight_micro == MICRO


async def test_unknown_quality_counts_for_nothing() -> None:
    """It says nothing about the words."""
    dispatched, _, _, chosen, over = await story()
    blind = QualityEvaluated(
        **header("evt_q1"),  # type: ignore[arg-type]
        task_id=TaskId("task_1"),
        payload=quality_evaluated(composite_score=0.0, confidence=1.0, quality="unknown").payload,
    )

    _, history = await learnt((dispatched, blind, chosen, over))

    [known] = await history.standings(DAWN)
    assert (known.jobs, known.weight_micro) == (1, 0)


async def test_words_that_were_not_ours_are_not_ranked() -> None:
    """When we fell silent, the orchestrator asked in its own words."""
    stranger = PromptVariant(prompt_text="something generic", target_effect_type="color_correction")

    [outcome], history = await learnt((batch([stranger]), selected("task_0", "task_0")))

    assert outcome.template_id == ""
    assert await history.standings(DAWN) == []


async def test_words_that_were_changed_on_the_way_are_not_ours_either() -> None:
    """The seed alone says nothing about what was asked."""
    [first, *_] = (await prompts(HEARD)).prompt_variants
    changed = structs.replace(first, prompt_text="something else")

    [outcome], _ = await learnt((batch([changed]),))

    assert outcome.template_id == ""


async def test_the_ranking_is_the_empty_one_until_it_was_read() -> None:
    """The first job after a start does not wait for the database."""
    history = MemoryHistory()
    keeper = RankingKeeper(history=history, clock=FrozenClock(NOON))
    await learnt(await story(), history)
    before: Ranking = keeper.current()

    await keeper.refresh()

    assert before == NOTHING_KNOWN
    assert keeper.current().ranks["color_correction.cinematic_warm@1"].worth > 0.7


async def test_words_are_forgotten_when_their_message_can_come_no_more() -> None:
    """They hold what a user wrote; what they won is kept longer, and holds nothing of it."""
    history = MemoryHistory()
    await learnt(await story(), history)
    soon = RankingKeeper(history=history, clock=FrozenClock(NOON + KEEP_WORDS / 2))
    later = RankingKeeper(history=history, clock=FrozenClock(NOON + KEEP_WORDS * 2))

    await soon.refresh()
    still_there = await history.of_job(TENANT, JOB)
    await later.refresh()

    assert len(still_there) == 1
    assert await history.of_job(TENANT, JOB) == []
    assert later.current().ranks


def test_words_are_kept_as_long_as_their_message_can_come_again() -> None:
    """Forgotten sooner, a late redelivery would be answered with other words."""
    [events] = [each for each in STREAMS if each.name == EVT]

    assert KEEP_WORDS.total_seconds() >= events.max_age_s + DAY


def test_everything_that_is_heard_is_understood() -> None:
    """A fact that is delivered and that nobody matches would be lost without a word."""
    from schemas.base import Module

    assert {each.__name__ for each in HEARS[Module.PROMPT_GENERATION]} == {
        "ContentAnalyzed",
        "TestBatchDispatched",
        "QualityEvaluated",
        "BestResultSelected",
        "JobEnded",
    }
