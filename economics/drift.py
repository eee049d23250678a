"""Streaming detectors in the manner of River: ``update(x)``, then read ``drift_detected``.

``Cusum``           a lasting shift, two-sided, with published run lengths
``ModifiedZScore``  a single spike, by median and MAD with a floor under the scale
``Watch``           both on one positive series (a cost, a duration), against a frozen reference

The limit of a CUSUM is chosen from how many false alarms may be had, not from a textbook: the usual
h = 5 gives one in 465 samples, which for two hundred series every five minutes is 124 a day.

River has neither of the two. Its ADWIN serves as a second opinion in ``Watch``: it is sound on
finite values of order one, and only such values are given to it.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np
from msgspec import Struct
from river.drift import ADWIN

_SIEGMUND: Final = 1.166
"""Siegmund's correction for the overshoot of a random walk over a limit."""
_NORMAL_MAD: Final = 0.6745
_NORMAL_MEAN_DEVIATION: Final = 1.2533
_SPIKE: Final = 3.5
_WINSOR: Final = 4.0
"""No sample counts for more than this many standard deviations: one outlier is no drift."""
_LEAST_LOG_SD: Final = 0.05
"""A cost that never varied by a cent would else alarm at the first that does."""


class Cusum:
    """Two-sided cumulative sum over standardised values (Montgomery, section 9.1).

    ``k`` is half the shift to catch, in standard deviations; ``h`` is the limit. After an alarm the
    sums start again from zero.

    >>> cusum = Cusum(k=0.5, h=4.0)
    >>> [cusum.update(2.0).drift_detected for _ in range(3)]
    [False, False, True]
    """

    def __init__(self, *, k: float = 0.5, h: float = 5.0) -> None:
        self.k = k
        self.h = h
        self.high = 0.0
        self.low = 0.0
        self.since = 0
        """Samples since the larger sum was last zero: the estimated onset."""
        self.drift_detected = False

    def update(self, z: float) -> Cusum:
        """Take one standardised value; one that is not finite is no evidence and is left out."""
        if self.drift_detected:
            self.high = self.low = 0.0
            self.since = 0
            self.drift_detected = False
        if not math.isfinite(z):
            return self
        self.high = max(0.0, self.high + z - self.k)
        self.low = max(0.0, self.low - z - self.k)
        self.since = self.since + 1 if self.high > 0.0 or self.low > 0.0 else 0
        self.drift_detected = self.high > self.h or self.low > self.h
        return self


def run_length(*, shift: float, k: float, h: float) -> float:
    """Return the average number of samples to an alarm, by Siegmund's approximation.

    Within 1 % for no shift and small ones; 9 % low at a shift of 3.

    >>> round(run_length(shift=0.0, k=0.5, h=5.0)), round(run_length(shift=1.0, k=0.5, h=5.0), 1)
    (469, 10.3)
    """
    up = _one_sided(shift - k, h + _SIEGMUND)
    down = _one_sided(-shift - k, h + _SIEGMUND)
    return 1.0 / (1.0 / up + 1.0 / down)


def limit_for(*, run_length_wanted: float, k: float = 0.5) -> float:
    """Return the limit with which false alarms are this many samples apart.

    >>> round(limit_for(run_length_wanted=403_200), 1)
    11.7
    """
    low, high = 0.0, 100.0 / k
    for _ in range(60):
        middle = (low + high) / 2.0
        if run_length(shift=0.0, k=k, h=middle) < run_length_wanted:
            low = middle
        else:
            high = middle
    return high


def _one_sided(drift: float, b: float) -> float:
    """Siegmund 1985, equation 2.57: the run length of a one-sided CUSUM."""
    if abs(drift) < 1e-9:
        return b * b
    exponent = min(700.0, -2.0 * drift * b)
    return (math.exp(exponent) + 2.0 * drift * b - 1.0) / (2.0 * drift * drift)


class ModifiedZScore:
    """Iglewicz and Hoaglin's score over the preceding values, with a floor under the scale.

    The MAD of an error rate or a queue is often zero. Then the mean deviation serves, and below all
    a hundredth of the median, so that a constant series does not alarm at the first other value.
    A value is scored before it is remembered.

    >>> spike = ModifiedZScore(window=20)
    >>> for x in (10.0, 11.0, 9.0, 10.0, 10.5, 9.5, 10.0, 10.2):
    ...     _ = spike.update(x)
    >>> spike.update(30.0).drift_detected
    True
    """

    def __init__(self, *, window: int = 100, least: int = 8) -> None:
        self._values: deque[float] = deque(maxlen=window)
        self._least = least
        self.score = 0.0
        self.drift_detected = False

    def update(self, x: float) -> ModifiedZScore:
        """Score one value against those before it."""
        self.score = 0.0
        if math.isfinite(x):
            if len(self._values) >= self._least:
                self.score = self._score(x)
            self._values.append(x)
        self.drift_detected = abs(self.score) > _SPIKE
        return self

    def _score(self, x: float) -> float:
        values = np.asarray(self._values)
        middle = float(np.median(values))
        deviations = np.abs(values - middle)
        scale = float(np.median(deviations)) / _NORMAL_MAD
        if scale == 0.0:
            scale = float(np.mean(deviations)) * _NORMAL_MEAN_DEVIATION
        scale = max(scale, abs(middle) / 100.0, 1e-12)
        return (x - middle) / scale


class Drift(Struct, frozen=True, kw_only=True):
    """What ``Watch`` saw, in the units of the series."""

    kind: str
    """``drift`` or ``spike``."""
    value: float
    baseline: float
    confirmed: bool = False
    """True when ADWIN, the second opinion, has seen a change since the onset as well."""

    @property
    def ratio(self) -> float:
        """How many times the baseline the series is now."""
        return self.value / self.baseline


class Watch:
    """Watches one positive series: logarithm, frozen reference, CUSUM, modified z-score.

    The reference is the first ``baseline`` values and does not move until a drift is found; then
    the values since the onset become the start of the next one.
    """

    def __init__(self, *, h: float, baseline: int = 30) -> None:
        self._baseline = baseline
        self._first: list[float] = []
        self._mean = 0.0
        self._sd = 1.0
        self._cusum = Cusum(h=h)
        self._spike = ModifiedZScore(window=100)
        self._second = ADWIN()
        self._second_saw = 0
        self._recent: deque[float] = deque(maxlen=baseline)

    def update(self, x: float) -> Drift | None:
        """Take one value and say what is wrong with it; values that are not positive are not."""
        if not math.isfinite(x) or x <= 0.0:
            return None
        value = math.log(x)
        spike = self._spike.update(value).drift_detected
        if len(self._first) < self._baseline:
            self._learn(value)
            return None
        z = max(-_WINSOR, min(_WINSOR, (value - self._mean) / self._sd))
        self._recent.append(value)
        self._ask_second(z)
        if self._cusum.update(z).drift_detected:
            return self._drifted()
        if spike:
            return Drift(kind="spike", value=x, baseline=math.exp(self._mean))
        return None

    def _learn(self, value: float) -> None:
        self._first.append(value)
        if len(self._first) == self._baseline:
            self._mean = float(np.mean(self._first))
            self._sd = max(_LEAST_LOG_SD, float(np.std(self._first, ddof=1)))

    def _ask_second(self, z: float) -> None:
        self._second.update(z)
        self._second_saw += bool(self._second.drift_detected)
        if self._cusum.since == 0:
            self._second_saw = 0

    def _drifted(self) -> Drift:
        onset = min(self._cusum.since, len(self._recent))
        new = list(self._recent)[-onset:]
        found = Drift(
            kind="drift",
            value=math.exp(float(np.median(new))),
            baseline=math.exp(self._mean),
            confirmed=self._second_saw > 0,
        )
        self._first = []
        for value in new[: self._baseline - 1]:
            self._learn(value)
        self._recent.clear()
        self._second = ADWIN()
        self._second_saw = 0
        return found
