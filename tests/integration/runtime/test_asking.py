"""Questions are answered at once, or refused with a reason; nobody waits for a time-out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from msgspec import Struct

from actors.runtime import answers
from actors.runtime.answers import serve_answers
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Answerer, TryLater
from actors.runtime.errors import AskError
from schemas.asks import (
    FindJob,
    JobFound,
    JobPage,
    ListJobs,
    ListProviders,
    ProviderPage,
)
from schemas.base import JobId, Module, TenantId
from subjects.build import ask
from tests.integration.runtime.world import SOON_S

QUESTION = FindJob(tenant_id=TenantId("tnt_1"), job_id=JobId("job_1"))


class StoreAway(Exception):
    """What a store raises while it does not answer."""


class _Jobs:
    """Answers, or raises what it is given."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.asked: list[Struct] = []
        self.refusal = refusal

    async def answer(self, question: Struct) -> Struct:
        """Answer with how often it was asked."""
        self.asked.append(question)
        if self.refusal:
            raise self.refusal
        if isinstance(question, ListJobs):
            return JobPage(jobs=(), next="cursor")
        return JobFound(revision=len(self.asked))


@asynccontextmanager
async def serving(bus: Bus, *answerers: Answerer) -> AsyncIterator[None]:
    """Serve questions about jobs for the length of the block."""
    with anyio.fail_after(4 * SOON_S):
        async with anyio.create_task_group() as tasks:
            for each in answerers:
                tasks.start_soon(_serve, bus, each)
            await _ready(bus)
            yield
            tasks.cancel_scope.cancel()


async def _serve(bus: Bus, answerer: Answerer) -> None:
    questions = {FindJob: answerer, ListJobs: answerer}
    await serve_answers(bus=bus, module=Module.ORCHESTRATOR, answerers=questions, away=(StoreAway,))


async def _ready(bus: Bus) -> None:
    """Return when the subscriptions stand: one more question than are answered."""
    while True:
        await bus.barrier()
        try:
            await bus.ask(ListJobs(tenant_id=TenantId("ready")), JobPage)
        except AskError as silence:
            if "nobody answers" in str(silence):
                continue
        return


async def test_a_question_is_answered(bus: Bus) -> None:
    """Of each kind the module knows, typed on both ends."""
    jobs = _Jobs()
    async with serving(bus, jobs):
        page = await bus.ask(ListJobs(tenant_id=TenantId("tnt_1")), JobPage)
        found = await bus.ask(QUESTION, JobFound)

    assert page.next == "cursor"
    assert isinstance(found, JobFound)
    assert QUESTION in jobs.asked


async def test_not_now_says_when(bus: Bus) -> None:
    """The gateway passes it on as Retry-After."""
    async with serving(bus, _Jobs(TryLater("the index is being built", retry_after=2.5))):
        with pytest.raises(AskError, match="the index is being built") as refused:
            await bus.ask(QUESTION, JobFound)

    assert refused.value.retry_after == 2.5


async def test_an_absent_store_is_not_now(bus: Bus) -> None:
    """Its restart takes a moment; whoever asked may ask again."""
    async with serving(bus, _Jobs(StoreAway("connection refused"))):
        with pytest.raises(AskError, match="connection refused") as refused:
            await bus.ask(QUESTION, JobFound)

    assert refused.value.retry_after


@pytest.mark.parametrize(
    ("bug", "told"),
    [
        (KeyError("job_1"), "KeyError: 'job_1'"),
        (
            ValueError("first line\r\nAsk-Retry-After: 1\n\nDETAIL: second"),
            "ValueError: first line",
        ),
        (ValueError("für später: ✓"), "ValueError: für später: ✓"),
        (ValueError(""), "ValueError"),
        (ValueError("x" * 100_000), "ValueError: xxx"),
    ],
    ids=["plain", "line breaks", "not ASCII", "empty", "very long"],
)
async def test_a_bug_is_told_at_once(bus: Bus, bug: Exception, told: str) -> None:
    """And does not end the answering; its text must not be read as headers either."""
    jobs = _Jobs(bug)
    async with serving(bus, jobs):
        with pytest.raises(AskError) as refused:
            await bus.ask(QUESTION, JobFound)
        jobs.refusal = None
        assert (await bus.ask(QUESTION, JobFound)).revision

    assert str(refused.value).startswith(told)
    assert refused.value.retry_after is None


async def test_a_question_that_cannot_be_read_is_told_at_once(bus: Bus) -> None:
    """By whoever asks with an older or a newer program."""
    async with serving(bus, _Jobs()):
        reply = await bus._client.request(ask(FindJob), b'{"tenant_id": 7}', timeout=5)

    assert "ValidationError" in (reply.headers or {})["Ask-Error"]


async def test_a_question_that_nobody_answers_fails_at_once(bus: Bus) -> None:
    """The module is down; waiting would not bring it up."""
    with anyio.fail_after(2), pytest.raises(AskError, match="nobody answers") as refused:
        await bus.ask(ListProviders(), ProviderPage)

    assert refused.value.retry_after


async def test_a_slow_answer_is_given_up_in_bounded_time(bus: Bus) -> None:
    """A page in a browser waits for it."""

    class Stuck:
        async def answer(self, question: Struct) -> Struct:
            if question == QUESTION:
                await anyio.sleep_forever()
            return JobPage(jobs=())

    async with serving(bus, Stuck()):
        with pytest.raises(AskError, match=r"no answer .* in 0\.05 s"):
            await bus.ask(QUESTION, JobFound, timeout=0.05)


async def test_a_question_without_a_return_address_harms_nobody(bus: Bus) -> None:
    """Anybody on the bus can send one; it must not end the answers of a module."""
    jobs = _Jobs()
    async with serving(bus, jobs):
        await bus.send(ask(FindJob), b"{}")
        for _ in range(3):
            await bus.ask(QUESTION, JobFound)

    assert len([each for each in jobs.asked if each == QUESTION]) == 3


async def test_two_processes_of_a_module_share_the_questions(bus: Bus, broker_url: str) -> None:
    """Each question is answered once."""
    first, second = _Jobs(), _Jobs()
    async with (
        connected(broker_url, name="second") as other,
        serving(bus, first),
        serving(other, second),
    ):
        for _ in range(60):
            await bus.ask(QUESTION, JobFound)

    counts = [len([each for each in jobs.asked if each == QUESTION]) for jobs in (first, second)]
    assert sum(counts) == 60
    assert all(counts)


async def test_only_so_many_are_worked_on_at_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of questions must not become a flood of queries."""
    monkeypatch.setattr(answers, "CONCURRENCY", 4)
    most, now = 0, 0
    full = anyio.Event()

    class Slow:
        async def answer(self, question: Struct) -> Struct:
            nonlocal most, now
            if question != QUESTION:
                return JobPage(jobs=())
            now += 1
            most = max(most, now)
            if now == 4:
                full.set()
            await full.wait()
            await bus.barrier()
            now -= 1
            return JobFound()

    async with serving(bus, Slow()), anyio.create_task_group() as asking:
        for _ in range(40):
            asking.start_soon(bus.ask, QUESTION, JobFound)

    assert most == 4
