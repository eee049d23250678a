"""A fleet in virtual time: hosts that load models, queues in order, the real choice policy."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from gpu_agent.affinity import Affinity, Bounds, Queue
from subjects.topology import gpu_consumer

TICK_S = 0.05


class Work(Struct, frozen=True, kw_only=True):
    """One render to be done."""

    model: str
    came_at: float
    takes_s: float


class Done(Struct, frozen=True, kw_only=True):
    """One render that was begun."""

    work: Work
    host: int
    began_at: float
    ended_at: float
    warm: bool
    passed_over: tuple[Work, ...]
    """What waited in queues of the same host when this was begun."""


class Host(Struct, kw_only=True):
    """One host and the policy of its agent."""

    policy: Affinity
    loaded: str = ""
    free_at: float = 0.0
    loaded_at: float = 0.0
    """Since when it holds that."""


class Fleet(Struct, kw_only=True):
    """Runs until everything is done; ``done`` has the renders in the order they were begun."""

    hosts: list[Host]
    load_s: Mapping[str, float]
    queues: dict[str, deque[Work]] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)

    def run(self, work: Iterable[Work]) -> None:
        """Let everything come at its time, and be done."""
        coming = deque(sorted(work, key=lambda each: each.came_at))
        self.queues = {model: deque() for model in self.load_s}
        for tick in itertools.count():
            now = tick * TICK_S
            while coming and coming[0].came_at <= now:
                each = coming.popleft()
                self.queues[each.model].append(each)
            # whoever looks first is another one each time
            for number in range(len(self.hosts)):
                self._serve((tick + number) % len(self.hosts), now)
            if not coming and not any(self.queues.values()):
                return

    def _serve(self, number: int, now: float) -> None:
        host = self.hosts[number]
        if host.free_at > now:
            return
        seen = [self._seen(model, number) for model in self.queues]
        for pull in host.policy.order(seen, now=now, free_since=host.free_at):
            model = pull.consumer.filters[0].split(".")[-1]
            if self.queues[model]:
                self._begin(number, self.queues[model].popleft(), now)
                return

    def _begin(self, number: int, work: Work, now: float) -> None:
        host = self.hosts[number]
        warm = host.loaded == work.model
        if not warm:
            host.loaded, host.loaded_at = work.model, now
        host.free_at = now + work.takes_s + (0.0 if warm else self.load_s[work.model])
        waiting = tuple(each for queue in self.queues.values() for each in queue)
        self.done.append(
            Done(
                work=work,
                host=number,
                began_at=now,
                ended_at=host.free_at,
                warm=warm,
                passed_over=waiting,
            )
        )

    def _seen(self, model: str, number: int) -> Queue:
        waiting = self.queues[model]
        others = [
            each for at, each in enumerate(self.hosts) if at != number and each.loaded == model
        ]
        return Queue(
            consumer=gpu_consumer("interactive", model),
            warm=self.hosts[number].loaded == model,
            waiting=len(waiting),
            came_at=waiting[0].came_at if waiting else 0.0,
            warm_elsewhere=bool(others),
            joined_at=max((each.loaded_at for each in others), default=float("-inf")),
            load_s=self.load_s[model],
        )

    @property
    def warm_share(self) -> float:
        """Which share of the renders found their model loaded."""
        return sum(each.warm for each in self.done) / len(self.done)

    @property
    def makespan(self) -> float:
        """When the last render was over."""
        return max(each.ended_at for each in self.done)

    @property
    def longest_overtaken(self) -> float:
        """By how much younger work was begun before older that the same host could have begun."""
        return max(
            (each.work.came_at - other.came_at for each in self.done for other in each.passed_over),
            default=0.0,
        )

    @property
    def longest_wait(self) -> float:
        """How long anybody waited to be begun."""
        return max(each.began_at - each.work.came_at for each in self.done)


def fleet(count: int, load_s: Mapping[str, float], bounds: Bounds | None = None) -> Fleet:
    """Return a fleet of hosts that hold nothing yet."""
    return Fleet(hosts=[Host(policy=Affinity(bounds)) for _ in range(count)], load_s=load_s)


def best_makespan(work: Sequence[Work], *, hosts: int, load_s: Mapping[str, float]) -> float:
    """Return a time in which nobody can do all this, however it is handed out.

    For each way of giving hosts models: a model's work fits into the hosts that load it, and all of
    it into all hosts after their loads. The best way is the bound; hosts are alike, so only how
    many load what matters.
    """
    models = sorted(load_s)
    total = {name: sum(each.takes_s for each in work if each.model == name) for name in models}
    longest = {
        name: max((each.takes_s for each in work if each.model == name), default=0.0)
        for name in models
    }
    kinds = [
        set(chosen)
        for size in range(1, len(models) + 1)
        for chosen in itertools.combinations(models, size)
    ]
    best = math.inf
    for given in itertools.combinations_with_replacement(kinds, hosts):
        if not all(any(name in each for each in given) for name in models if total[name]):
            continue
        bounds = [longest[name] + load_s[name] for name in models if total[name]]
        # every set of models has to fit into the hosts that load any of it
        for wanted in kinds:
            able = [each for each in given if each & wanted]
            if able:
                loads = sum(min(load_s[name] for name in each & wanted) for each in able)
                needed = sum(total[name] for name in wanted)
                bounds.append((needed + loads) / len(able))
        everything = sum(total.values()) + sum(load_s[name] for each in given for name in each)
        bounds.append(everything / hosts)
        best = min(best, max(bounds))
    return best
