"""What goes wrong on the way: a number of times, or as often as the dice say."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Faults:
    """Set a number; it counts down with every time it happens. 0 is a good day."""

    dice: random.Random
    lost_publish_acks: int = 0
    """Publishes that are stored, and whose acknowledgement never arrives."""
    refused_publishes: int = 0
    """Publishes that a stream refuses, as one that is full."""
    lost_answers: int = 0
    """Acknowledgements of consumers that never arrive: the message comes again."""
    lost_deliveries: int = 0
    """Messages that a consumer sends and nobody gets: they come again after the ack wait."""
    doubled_deliveries: int = 0
    """Messages that a pull consumer sends twice, as if the ack wait had been over at once."""
    delayed_deliveries: int = 0
    """Messages that arrive up to ``delay_s`` late, each as late as the dice say: out of order."""
    delay_s: float = 5.0
    forbidden: tuple[str, ...] = ()
    """Filters of subjects that nobody may publish on."""
    odds: dict[str, float] = field(default_factory=dict)
    """How likely each of the numbers above happens besides, by its name, from 0 to 1."""
    happened: Counter[str] = field(default_factory=Counter)
    """How often each happened."""

    def take(self, name: str) -> bool:
        """Tell whether a fault happens now, and count it."""
        left: int = getattr(self, name)
        odds = self.odds.get(name, 0.0)
        if left:
            setattr(self, name, left - 1)
        elif not odds or self.dice.random() >= odds:
            return False
        self.happened[name] += 1
        return True
