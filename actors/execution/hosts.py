"""Which hosts stand aside for a while. Pure: time is an argument.

A host that loses renders is given none until it has cooled down: after three losses of different
tasks within ten minutes, and after a single one when it has just come back. Each time is twice as
long as the one before. A render that succeeds afterwards makes it a host like any other.

Only failures whose class says so are losses (``economics.failures``): a bad clip, a broken graph
or a cancelled job never are. And a host is not blamed for what others suffer too:

- a task that was lost on three hosts is poison and counts against none of them;
- a provider that lost tasks on two hosts, and did not succeed anywhere since the first of them, is
  taken for the one who takes hosts down. Else one bad graph would send the whole fleet away.

There is one record for all hosts, because the last two rules are about several of them. It holds
hosts in trouble only, so a fleet that is well writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.runtime.contract import Put, Step
from actors.runtime.follow import follow
from economics.failures import POISON_HOSTS, RULES, classified
from schemas.base import EPOCH, ProviderId, TaskId
from schemas.events import AttemptFinished, HostQuarantined
from schemas.failures import FailureClass
from schemas.hosts import Quarantine
from subjects import build
from subjects.topology import CONTROL

LOSSES: Final = 3
"""Of different tasks, and the host stands aside."""
WINDOW: Final = timedelta(minutes=10)
COOL_DOWN: Final = timedelta(minutes=1)
COOL_DOWN_LIMIT: Final = timedelta(hours=1)
SUSPECT_HOSTS: Final = 2
"""Hosts that lost tasks of a provider which succeeds nowhere."""
FORGOTTEN: Final = timedelta(days=1)
"""A host nobody heard of for so long begins anew."""
HOSTS_LIMIT: Final = 256
LOSSES_KEPT: Final = 8
PROVIDERS_LIMIT: Final = 256


class Loss(Struct, frozen=True, kw_only=True):
    """One render that a host lost."""

    at: datetime
    task_id: TaskId
    provider_id: ProviderId
    failure_class: FailureClass


class HostRecord(Struct, frozen=True, kw_only=True):
    """A host in trouble."""

    losses: tuple[Loss, ...] = ()
    times: int = 0
    """How often in a row it had to stand aside."""
    until: datetime = EPOCH
    heard_at: datetime = EPOCH


class Hosts(Struct, frozen=True, kw_only=True):
    """The state of the saga: every host in trouble, and who succeeded meanwhile."""

    hosts: dict[str, HostRecord] = {}
    succeeded_at: dict[ProviderId, datetime] = {}
    """Of the providers that somebody lost a task of."""


def hear(state: Hosts | None, heard: AttemptFinished, *, at: datetime) -> Step[Hosts] | None:
    """Learn from a report how its host is; ``None`` when it says nothing about that."""
    told = heard.payload
    known = state or Hosts()
    if not told.host:
        return None
    if told.succeeded:
        return _well(known, told.host, told.provider_id, at=at)
    failure_class = classified(told.failure_class, told.error_code)
    if not RULES[failure_class].quarantines:
        return None
    loss = Loss(
        at=at, task_id=told.task_id, provider_id=told.provider_id, failure_class=failure_class
    )
    return _lost(known, heard, loss, at=at)


def _well(known: Hosts, host: str, provider_id: ProviderId, *, at: datetime) -> Step[Hosts] | None:
    record = known.hosts.get(host)
    hosts = dict(known.hosts)
    if record is not None:
        del hosts[host]
        if at < record.until:
            # It was begun before the host had to stand aside, and does not call it back.
            hosts[host] = record
    succeeded_at = known.succeeded_at
    before = succeeded_at.get(provider_id, EPOCH)
    # once for each loss, so that this writes as seldom as there are losses
    if provider_id and any(
        loss.provider_id == provider_id and loss.at >= before for loss in _losses(hosts, at=at)
    ):
        succeeded_at = succeeded_at | {provider_id: at}
    after = Hosts(hosts=hosts, succeeded_at=succeeded_at)
    return None if after == known else Step(_tidied(after, at=at))


def _lost(known: Hosts, heard: AttemptFinished, loss: Loss, *, at: datetime) -> Step[Hosts] | None:
    host = heard.payload.host
    record = known.hosts.get(host, HostRecord())
    if at < record.until:
        return None
    others = (
        each for each in record.losses if each.task_id != loss.task_id and at - each.at <= WINDOW
    )
    record = replace(record, losses=(*others, loss)[-LOSSES_KEPT:], heard_at=at)
    after = replace(known, hosts=known.hosts | {host: record})
    counted = _against(after, record.losses, at=at)
    if len(counted) < (1 if record.times else LOSSES):
        return Step(_tidied(after, at=at))
    notice = _notice(host, record, counted, at=at)
    # Its losses stay: the next host that loses the same provider's tasks is judged by them too.
    aside = replace(record, times=notice.times, until=notice.until)
    after = _tidied(replace(after, hosts=after.hosts | {host: aside}), at=at)
    said = HostQuarantined(**follow(heard, HostQuarantined, at=at, part=host), payload=notice)
    entry = Put(bucket=CONTROL, key=build.quarantine_key(host), value=msgspec.json.encode(notice))
    return Step(after, (entry, said))


def _against(known: Hosts, losses: Sequence[Loss], *, at: datetime) -> list[Loss]:
    """Return the losses that are the host's own."""
    return [
        each
        for each in losses
        if _hosts_of_task(known, each.task_id, at=at) < POISON_HOSTS
        and not _suspect(known, each.provider_id, at=at)
    ]


def _hosts_of_task(known: Hosts, task_id: TaskId, *, at: datetime) -> int:
    return sum(
        any(loss.task_id == task_id for loss in _recent(record, at=at))
        for record in known.hosts.values()
    )


def _suspect(known: Hosts, provider_id: ProviderId, *, at: datetime) -> bool:
    """Say whether it is the provider who takes hosts down."""
    if not provider_id:
        return False
    lost = {
        host: [each.at for each in _recent(record, at=at) if each.provider_id == provider_id]
        for host, record in known.hosts.items()
    }
    since = [min(times) for times in lost.values() if times]
    if len(since) < SUSPECT_HOSTS:
        return False
    return known.succeeded_at.get(provider_id, EPOCH) < min(since)


def _notice(host: str, record: HostRecord, losses: Sequence[Loss], *, at: datetime) -> Quarantine:
    times = record.times + 1
    doubled = COOL_DOWN * 2 ** min(times - 1, 16)
    classes = ", ".join(sorted({each.failure_class.value for each in losses}))
    tasks = "1 task" if len(losses) == 1 else f"{len(losses)} tasks"
    return Quarantine(
        host=host,
        since=at,
        until=at + min(doubled, COOL_DOWN_LIMIT),
        times=times,
        reason=f"{tasks} lost: {classes}",
    )


def _recent(record: HostRecord, *, at: datetime) -> Iterator[Loss]:
    return (each for each in record.losses if at - each.at <= WINDOW)


def _losses(hosts: dict[str, HostRecord], *, at: datetime) -> Iterator[Loss]:
    return (loss for record in hosts.values() for loss in _recent(record, at=at))


def _tidied(known: Hosts, *, at: datetime) -> Hosts:
    """Keep what is still of use, and no more than a bounded number."""
    hosts = {
        host: record
        for host, record in known.hosts.items()
        if at - max(record.heard_at, record.until) <= FORGOTTEN
    }
    newest = sorted(hosts, key=lambda host: hosts[host].heard_at)[-HOSTS_LIMIT:]
    lately = {
        provider_id: when for provider_id, when in known.succeeded_at.items() if at - when <= WINDOW
    }
    last = sorted(lately, key=lambda provider_id: lately[provider_id])[-PROVIDERS_LIMIT:]
    return Hosts(
        hosts={host: hosts[host] for host in newest},
        succeeded_at={provider_id: lately[provider_id] for provider_id in last},
    )
