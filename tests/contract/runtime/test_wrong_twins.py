"""The contracts bite: for every mechanism there is one that a broker without it breaks.

Each twin here is the real one with one thing taken out, as somebody might do who simplifies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors.runtime.errors import BusError
from actors.runtime.memory.broker import MemoryBroker
from actors.runtime.memory.bus import MemoryBus
from actors.runtime.memory.consumers import PullConsumer, PushConsumer
from actors.runtime.memory.cursor import Cursor
from actors.runtime.memory.holdings import Holdings
from actors.runtime.memory.streams import MemoryStream
from tests.contract.runtime.contracts import (
    Contract,
    asking,
    following,
    pulling,
    scheduling,
    storing,
    working,
)
from tests.contract.runtime.worlds import twin_world


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def _always(answer: Any) -> Callable[..., Any]:
    return lambda *_, **__: answer


def _no_counting(self: PullConsumer, inbox: str, kept: Any) -> None:
    self._pending.pop(kept.sequence, None)
    _SEND(self, inbox, kept)


def _no_delay(self: PullConsumer, sequence: int, verdict: bytes) -> None:
    _ANSWER(self, sequence, b"-NAK" if verdict.startswith(b"-NAK") else verdict)


def _no_beat(self: PullConsumer, sequence: int, verdict: bytes) -> None:
    if verdict != b"+WPI":
        _ANSWER(self, sequence, verdict)


def _no_giving_up(self: PullConsumer, sequence: int, verdict: bytes) -> None:
    if verdict != b"+TERM":
        _ANSWER(self, sequence, verdict)


def _done_and_kept(self: PullConsumer, sequence: int) -> None:
    pending = self._pending.pop(sequence, None)
    if pending and pending.timer:
        pending.timer.cancel()


def _purge_forgets_ids(self: MemoryStream, pattern: str) -> int:
    self._ids.clear()
    return _PURGE(self, pattern)


def _ids_before_sequences(self: MemoryStream, subject: str, data: bytes, headers: Any) -> Any:
    known = self._known(headers)
    return (known, True) if known else _STORE(self, subject, data, headers)


def _keeps_schedules(self: MemoryStream, subject: str, data: bytes, headers: Any) -> Any:
    return _STORE(self, subject, data, {**headers, "Nats-Schedule-Target": "due.a.b.c.d"})


def _everybody(self: MemoryBroker, inbox: str, arrived: Any) -> None:
    for listener in self._hearing(inbox):
        listener.take(arrived)


def _greedy(self: PullConsumer) -> None:
    """Serve the first who asked until it has enough."""
    while self._drop_the_deaf() and (kept := self._pick()) is not None:
        pull = self._pulls[0]
        pull.left -= 1
        if not pull.left:
            self._pulls.popleft()
        self._send(pull.inbox, kept)


def _backwards(self: Cursor) -> Any:
    """Give the newest first."""
    found = [kept for kept in self._stream.kept.values() if kept.sequence >= self._place]
    for kept in reversed(found):
        if kept.sequence not in self._known:
            self._known[kept.sequence] = True  # type: ignore[index]
            return kept
    return None


_SEND = PullConsumer._send
_ANSWER = PullConsumer.answer
_PURGE = MemoryStream.purge
_STORE = MemoryStream.store

WRONG: list[tuple[str, type, str, Any, Contract]] = [
    (
        "no duplicates",
        MemoryStream,
        "_known",
        _always(None),
        storing.test_what_was_said_twice_is_stored_once,
    ),
    (
        "ids for ever",
        MemoryStream,
        "_known",
        lambda self, headers: self._ids.get(headers.get("Nats-Msg-Id", ""), (None,))[0],
        storing.test_an_id_is_forgotten_after_its_window,
    ),
    (
        "no compare and set",
        MemoryStream,
        "_check_sequence",
        _nothing,
        storing.test_a_write_behind_an_old_sequence_is_refused,
    ),
    (
        "ids before sequences",
        MemoryStream,
        "store",
        _ids_before_sequences,
        storing.test_a_known_id_is_no_excuse_for_an_old_sequence,
    ),
    (
        "always room",
        MemoryStream,
        "_check_room",
        _nothing,
        storing.test_a_full_stream_refuses_and_keeps_what_it_has,
    ),
    (
        "no end of messages",
        MemoryStream,
        "_too_much",
        _always(answer=False),
        storing.test_a_full_stream_of_the_other_kind_drops_the_oldest,
    ),
    ("nothing ages", MemoryStream, "expire", _nothing, storing.test_what_is_too_old_is_gone),
    ("no purge", MemoryStream, "purge", _always(0), storing.test_a_purge_empties_one_subject),
    (
        "a purge forgets",
        MemoryStream,
        "purge",
        _purge_forgets_ids,
        storing.test_a_purge_empties_one_subject,
    ),
    (
        "overlapping queues",
        Holdings,
        "_check_queue",
        _nothing,
        storing.test_a_work_queue_has_one_consumer_for_each_message,
    ),
    (
        "a restart forgets",
        Holdings,
        "restarted",
        lambda self: [each.forget() for each in self.streams.values()],
        storing.test_what_was_stored_outlives_a_restart,
    ),
    (
        "timers never fire",
        MemoryStream,
        "_due",
        _nothing,
        scheduling.test_a_timer_outlives_a_restart,
    ),
    (
        "timers fire at once",
        MemoryStream,
        "_schedule",
        lambda self, headers: 0 if "Nats-Schedule" in headers else None,
        scheduling.test_a_timer_comes_back_at_its_time,
    ),
    (
        "any target",
        MemoryStream,
        "store",
        _keeps_schedules,
        scheduling.test_a_timer_that_makes_no_sense_is_refused,
    ),
    (
        "nothing comes again",
        PullConsumer,
        "_lost",
        _nothing,
        pulling.test_what_is_not_acknowledged_comes_again,
    ),
    (
        "nobody counts",
        PullConsumer,
        "_send",
        _no_counting,
        pulling.test_what_is_not_acknowledged_comes_again,
    ),
    (
        "put off means now",
        PullConsumer,
        "answer",
        _no_delay,
        pulling.test_what_is_put_off_comes_again_at_once_or_later,
    ),
    (
        "beats are not heard",
        PullConsumer,
        "answer",
        _no_beat,
        pulling.test_what_is_being_worked_on_is_not_given_away,
    ),
    (
        "nothing is given up",
        PullConsumer,
        "answer",
        _no_giving_up,
        pulling.test_what_is_given_up_does_not_come_again,
    ),
    (
        "pulls do not end",
        PullConsumer,
        "_expired",
        _nothing,
        pulling.test_a_pull_beats_while_it_waits_and_ends,
    ),
    (
        "the first takes all",
        PullConsumer,
        "wake",
        _greedy,
        pulling.test_readers_that_wait_take_turns,
    ),
    (
        "the deaf are served",
        MemoryBroker,
        "listens",
        _always(answer=True),
        pulling.test_a_reader_that_went_away_gets_nothing,
    ),
    (
        "pulls outlive a restart",
        PullConsumer,
        "forget_pulls",
        _nothing,
        pulling.test_a_place_outlives_a_restart,
    ),
    (
        "a queue keeps what is done",
        PullConsumer,
        "_done",
        _done_and_kept,
        pulling.test_a_work_queue_keeps_what_is_not_done,
    ),
    (
        "any order",
        Cursor,
        "step",
        _backwards,
        following.test_what_was_stored_comes_first_and_then_what_is_said,
    ),
    (
        "no heart beat",
        PushConsumer,
        "_beat",
        _nothing,
        following.test_an_idle_follower_hears_the_heart_beat,
    ),
    (
        "nobody is told of a reconnect",
        MemoryBus,
        "reconnect",
        lambda self: _only_up(self),
        following.test_a_feed_goes_on_after_a_restart,
    ),
    (
        "a queue is a crowd",
        MemoryBroker,
        "hand_over",
        _everybody,
        asking.test_processes_of_a_module_share_the_questions,
    ),
    (
        "two sagas at once",
        MemoryStream,
        "_check_sequence",
        _nothing,
        working.test_two_workers_on_one_saga_write_one_history,
    ),
]


BROKEN = (AssertionError, TimeoutError, BusError, pytest.fail.Exception)
"""How a broken contract shows; a mistake in a wrong twin would show otherwise."""


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


async def _only_up(bus: MemoryBus) -> None:
    bus._up = True


@pytest.mark.parametrize(
    ("owner", "name", "instead", "contract"),
    [row[1:] for row in WRONG],
    ids=[row[0] for row in WRONG],
)
async def test_a_broker_without_it_breaks_its_contract(
    owner: type, name: str, instead: Any, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contract that every broker keeps promises nothing."""
    async with twin_world() as world:
        await contract(world)
    monkeypatch.setattr(owner, name, instead)

    with pytest.raises(BaseException) as broken:  # noqa: PT011  its leaves are looked at below
        async with twin_world() as world:
            await contract(world)

    assert all(isinstance(each, BROKEN) for each in _leaves(broken.value))
