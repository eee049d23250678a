"""Which queue a free slot pulls: warm first, cold after a bounded wait, nobody starved. Pure.

Loading a model takes as long as several renders, so work goes to a host that holds its models.
Two bounds keep that from harming anybody:

* A cold host that stands idle leaves work to warm ones for ``patience_of`` and not longer: about
  as long as the load itself would take, so that waiting and loading together cost at most twice
  what the better of the two would have. Where nobody is warm it does not wait at all.
* Everything that waits is overtaken only by work that came at most ``overtake_s`` after it
  (``batch_s`` more for the batch lane): every queue's oldest work is ranked by when it came, plus
  a handicap, so what waits long enough comes first everywhere.

The second is aged priority: the smallest ``came + handicap`` is served. In a queue that is served
evenly the ages of all queues stay close, and nobody changes models for it.

When a queue falls behind, one host changes to it, at ``join_s``, and the others leave the work to
that one up to ``overtake_s``. Without the difference each host that becomes free meanwhile sees the
same old work and changes too, and soon after all of them change back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from actors.runtime.pulling import FRONT, Pull
from subjects.topology import Consumer

COLD: Final = 5
"""The priority of a pull by a host that would have to load first."""
LOTS: Final = 512
"""Moments of arrival that are told apart in one queue."""


class Bounds(Struct, frozen=True, kw_only=True):
    """How long work may be left to others."""

    cold_after_s: float = 2.0
    """The shortest patience of a cold host while another is warm."""
    cold_limit_s: float = 10.0
    """The longest, however slow the load."""
    join_s: float = 25.0
    """Work that came so much later goes first because it is warm, while no other host has changed
    to what waits since that came."""
    overtake_s: float = 45.0
    """Work that came so much later is the last that may go first because it is warm."""
    batch_s: float = 60.0
    """Work that came so much later is the last that may go first because somebody waits for it."""
    standby_s: float = 0.15
    """How long an idle slot stands in one queue before it looks at all of them again."""
    probe_s: float = 1.0
    """How often a queue without waiting work is tried all the same while work of it is out on
    some host: what that host leaves behind is nowhere counted as waiting."""


class Queue(Struct, frozen=True, kw_only=True):
    """How one queue stands, as seen from one host."""

    consumer: Consumer
    warm: bool
    """Nothing has to be loaded for it, and nothing that is loaded goes to waste."""
    batch: bool = False
    waiting: int = 0
    came_at: float = 0.0
    """When the oldest that waits came; only of meaning when something waits."""
    out: int = 0
    """How much of it hosts have and did not answer yet."""
    warm_elsewhere: bool = False
    """Some other host that is alive would not have to load for it."""
    joined_at: float = float("-inf")
    """When another host was last seen to change to it."""
    load_s: float = 0.0
    """What loading is known to take; 0 when it is not."""


class Affinity:
    """Orders the queues for one slot; remembers only which ones it tried when."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self._turn = 0
        self._tried: dict[str, float] = {}

    def order(self, queues: Iterable[Queue], *, now: float, free_since: float) -> Sequence[Pull]:
        """Return what to try, best first. The last one may wait, and is where to stand idle."""
        known = tuple(queues)
        filled = sorted(
            (each for each in known if each.waiting and self._may_take(each, now, free_since)),
            key=lambda each: (self.rank(each), each.consumer.name),
        )
        probes = [each for each in known if self._is_to_probe(each, now)]
        self._tried |= {each.consumer.name: now for each in (*filled, *probes)}
        pulls = [_pull(each) for each in (*filled, *probes)]
        standing = [each for each in known if each.warm or not each.warm_elsewhere]
        if filled or not standing:
            return pulls
        self._turn += 1
        stand = standing[self._turn % len(standing)]
        return [*pulls, _pull(stand, wait_s=self.bounds.standby_s)]

    def rank(self, queue: Queue) -> float:
        """Return when a queue's oldest work came, plus its handicap."""
        handicap = self.bounds.batch_s if queue.batch else 0.0
        if not queue.warm:
            joined = queue.warm_elsewhere and queue.joined_at > queue.came_at
            handicap += self.bounds.overtake_s if joined else self.bounds.join_s
        return queue.came_at + handicap

    def patience_of(self, queue: Queue) -> float:
        """Return how long an idle slot leaves this queue to hosts that are warm for it."""
        if queue.warm or not queue.warm_elsewhere:
            return 0.0
        return min(max(queue.load_s, self.bounds.cold_after_s), self.bounds.cold_limit_s)

    def _may_take(self, queue: Queue, now: float, free_since: float) -> bool:
        idle = now - max(free_since, queue.came_at)
        overdue = now - queue.came_at >= self.bounds.overtake_s
        return idle >= self.patience_of(queue) or overdue

    def _is_to_probe(self, queue: Queue, now: float) -> bool:
        if queue.waiting or not queue.out:
            return False
        wait = max(self.bounds.probe_s, self.patience_of(queue))
        return now - self._tried.get(queue.consumer.name, float("-inf")) >= wait


class Ages:
    """When the oldest work of one queue came, as far as looking from time to time can tell.

    A server tells how many wait and how many it has delivered, not since when. Whatever came
    between two looks is taken to have come at the second; what was delivered is taken to have been
    the oldest.
    """

    def __init__(self) -> None:
        self._lots: list[tuple[float, int]] = []
        """When so many came, oldest first."""
        self._delivered: int | None = None

    def update(self, *, at: float, waiting: int, delivered: int, moved: bool = True) -> float:
        """Take in how the queue stands; return when its oldest came, ``at`` when none waits.

        ``moved`` is false when what was delivered since the last look had been delivered before.
        """
        if self._delivered is None or delivered < self._delivered:
            self._lots.clear()  # the first look, or the consumer was made again
            self._delivered = delivered
        gone = delivered - self._delivered if moved else 0
        self._delivered = delivered
        came = waiting - sum(count for _, count in self._lots) + gone
        if came > 0:
            self._lots.append((at, came))
        self._drop(sum(count for _, count in self._lots) - waiting)
        if len(self._lots) > LOTS:
            # the newest two become one, of the earlier time: nobody is taken to be younger
            (early, few), (_, more) = self._lots[-2:]
            self._lots[-2:] = [(early, few + more)]
        return self._lots[0][0] if self._lots else at

    def _drop(self, gone: int) -> None:
        while gone > 0 and self._lots:
            at, count = self._lots.pop(0)
            if count > gone:
                self._lots.insert(0, (at, count - gone))
            gone -= count


def _pull(queue: Queue, *, wait_s: float = 0.0) -> Pull:
    priority = FRONT if queue.warm else COLD
    return Pull(consumer=queue.consumer, wait_s=wait_s, priority=priority)
