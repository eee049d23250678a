"""Questions and plain messages: answered at once, or refused with a reason; never a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from msgspec import Struct

from actors.runtime.answers import serve_answers
from actors.runtime.contract import TryLater
from actors.runtime.errors import AskError
from actors.runtime.transport import Received, Transport
from schemas.asks import FindJob, JobFound, JobPage, ListJobs
from schemas.base import JobId, Module, TenantId
from subjects.build import ask
from tests.contract.runtime.worlds import World
from tests.integration.runtime.world import Seen

QUESTION = FindJob(tenant_id=TenantId("tnt_1"), job_id=JobId("job_1"))
LISTED = ListJobs(tenant_id=TenantId("tnt_1"))


class _Jobs:
    """Answers, or raises what it is given."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.asked = 0
        self._refusal = refusal

    async def answer(self, question: Struct) -> Struct:
        """Answer with how often it was asked."""
        if isinstance(question, ListJobs):
            return JobPage(jobs=())
        self.asked += 1
        if self._refusal:
            raise self._refusal
        return JobFound(revision=self.asked)


class _Stuck:
    async def answer(self, question: Struct) -> Struct:
        """Think for ever, about one kind of question."""
        if question == QUESTION:
            await anyio.sleep_forever()
        return JobPage(jobs=())


async def test_a_question_is_answered(world: World) -> None:
    """Typed on both ends, also when it comes from another connection."""
    async with _serving(world, world.bus, _Jobs()), world.connected("asker") as asker:
        first = await world.bus.ask(QUESTION, JobFound)
        second = await asker.ask(QUESTION, JobFound)

    assert (first.revision, second.revision) == (1, 2)


async def test_not_now_says_when(world: World) -> None:
    """The gateway passes it on as Retry-After."""
    refusing = _Jobs(TryLater("the index is being built", retry_after=2.5))
    async with _serving(world, world.bus, refusing):
        with pytest.raises(AskError, match="the index is being built") as refused:
            await world.bus.ask(QUESTION, JobFound)

    assert refused.value.retry_after == 2.5


async def test_a_bug_is_told_at_once(world: World) -> None:
    """It does not come right by asking again."""
    async with _serving(world, world.bus, _Jobs(KeyError("job_1"))):
        with pytest.raises(AskError, match="KeyError: 'job_1'") as refused:
            await world.bus.ask(QUESTION, JobFound)

    assert refused.value.retry_after is None


async def test_a_question_that_nobody_answers_fails_at_once(world: World) -> None:
    """The module is down; waiting would not bring it up."""
    with anyio.fail_after(2), pytest.raises(AskError, match="nobody answers") as refused:
        await world.bus.ask(QUESTION, JobFound)

    assert refused.value.retry_after


async def test_a_slow_answer_is_given_up(world: World) -> None:
    """A page in a browser waits for it."""
    async with _serving(world, world.bus, _Stuck()):
        with pytest.raises(AskError, match=r"no answer .* in 0\.05 s") as refused:
            await world.meanwhile(lambda: world.bus.ask(QUESTION, JobFound, timeout=0.05))

    assert refused.value.retry_after


async def test_processes_of_a_module_share_the_questions(world: World) -> None:
    """Each question is answered once."""
    first, second = _Jobs(), _Jobs()
    async with (
        world.connected("second") as other,
        _serving(world, world.bus, first),
        _serving(world, other, second),
    ):
        for _ in range(40):
            await world.bus.ask(QUESTION, JobFound)

    assert first.asked + second.asked == 40
    assert min(first.asked, second.asked) > 0


async def test_whoever_says_it_is_ready_is(world: World) -> None:
    """A request from another connection is answered as soon as the barrier is passed."""

    async def answer(message: Received) -> None:
        await world.bus.send(message.reply, b"{}")

    async with world.connected("asker") as asker:
        for _ in range(20):
            async with world.bus.subscribed(ask(FindJob), answer):
                await world.bus.barrier()
                await asker.ask(QUESTION, JobFound)


async def test_a_plain_message_reaches_everybody_who_listens_now(world: World) -> None:
    """In order, with its headers, under every pattern; of a queue one gets it; then it is gone."""
    heard: Seen[tuple[str, bytes]] = Seen()

    def ear(name: str) -> Callable[[Received], Coroutine[Any, Any, None]]:
        async def take(message: Received) -> None:
            heard.add((name, message.data + (message.headers or {}).get("n", "").encode()))

        return take

    await world.bus.send("live.a", b"nobody hears this")
    async with (
        world.bus.subscribed("live.*", ear("star")),
        world.bus.subscribed("live.>", ear("rest")),
        world.bus.subscribed("live.a.b", ear("other")),
        world.bus.subscribed("live.a", ear("queue"), queue="q"),
        world.bus.subscribed("live.a", ear("queue"), queue="q"),
    ):
        await world.bus.barrier()
        await world.bus.send("live.a", b"1", headers={"n": "x"})
        await world.bus.send("live.a", b"2")
        found = await world.seen(heard, lambda items: len(items) >= 6)
    await world.bus.send("live.a", b"3")
    await world.bus.barrier()

    assert sorted(found) == sorted(
        (name, data) for name in ("star", "rest", "queue") for data in (b"1x", b"2")
    )
    assert [data for name, data in found if name == "star"] == [b"1x", b"2"]


async def test_a_handler_that_fails_hears_the_next_message(world: World) -> None:
    """One bad message must not make a subscription deaf."""
    heard: Seen[bytes] = Seen()

    async def take(message: Received) -> None:
        heard.add(message.data)
        if message.data == b"1":
            raise RuntimeError("a bug")

    async with world.bus.subscribed("live.a", take):
        await world.bus.send("live.a", b"1")
        await world.bus.send("live.a", b"2")
        assert await world.seen(heard, lambda items: len(items) >= 2) == [b"1", b"2"]


async def test_questions_are_answered_after_a_restart(world: World) -> None:
    """By the same subscription."""
    async with _serving(world, world.bus, _Jobs()):
        await world.restart()

        async def answered() -> bool:
            try:
                return (await world.bus.ask(QUESTION, JobFound)).revision > 0
            except AskError:
                return False

        await world.eventually(answered)


@asynccontextmanager
async def _serving(world: World, bus: Transport, answerer: Any) -> AsyncIterator[None]:
    """Serve questions about jobs for the length of the block."""
    questions = {FindJob: answerer, ListJobs: answerer}

    async def serve() -> None:
        await serve_answers(bus=bus, module=Module.ORCHESTRATOR, answerers=questions)

    async def ready() -> bool:
        try:
            await bus.ask(LISTED, JobPage)
        except AskError:
            return False
        return True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await world.eventually(ready)
        yield
        tasks.cancel_scope.cancel()


ASKING: tuple[Callable[[World], Coroutine[Any, Any, None]], ...] = (
    test_a_question_is_answered,
    test_not_now_says_when,
    test_a_bug_is_told_at_once,
    test_a_question_that_nobody_answers_fails_at_once,
    test_a_slow_answer_is_given_up,
    test_processes_of_a_module_share_the_questions,
    test_whoever_says_it_is_ready_is,
    test_a_plain_message_reaches_everybody_who_listens_now,
    test_a_handler_that_fails_hears_the_next_message,
    test_questions_are_answered_after_a_restart,
)
