"""What a render takes, by how much work it is: learnt from whole renders and from their nodes.

Time is modelled as ``fixed + per pixel + per pixel and sampling step``, none of them negative, over
the pixels of all frames together: for the whole of a provider's renders, and for each class of node
on each kind of GPU. What a provider's own renders do not tell (all had the same size, or there are
none, because it is new or its graph was edited) leans on the sum over the nodes of its graph, and
where a node is unknown, on the work: twice the work is twice the time. The whole counts for more
than its nodes, because hosts that stream do the work of one node while they are in another.

The coefficients are least squares of the *relative* error, since the noise of a render grows with
it: each sample is weighed by what it was expected to take, as in quasi-likelihood with a constant
coefficient of variation (McCullagh and Nelder, Generalized Linear Models, 1989, chapter 8), and
older ones are forgotten exponentially (Haykin, Adaptive Filter Theory, on recursive least squares).
With three unknowns the constraint is met by trying every set of positive ones (Lawson and Hanson,
Solving Least Squares Problems, 1974, chapter 23). A sample far off is moved closer before it
counts, as Huber does.

Renders from a cache teach nothing, nor do cold ones, whose time is that of their loaders, nor
failed ones. A node that a host answers from its cache takes nothing, and is known to.
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from typing import Final

import numpy as np
import numpy.typing as npt

from economics.rounding import significant
from schemas.routing import ProviderRecord, RenderTime
from schemas.telemetry import TaskMeasured

KEPT: Final = 4096
"""Graphs of providers, and node classes of kinds of GPU; those that ran longest ago give way."""
AROUND: Final = ""
"""In place of a node class: everything that is no node, such as the transfers."""
LEAST_SAMPLES: Final = 3
"""With fewer renders, of a provider or at least of a kind of GPU, nothing is said."""
_FORGET: Final = 0.98
"""About the last fifty renders count."""
_FAR: Final = 3.0
"""A sample this many times off is taken for one that is just this far off."""
_SETTLED: Final = 5
"""Samples before one can be far off."""
_ANEW: Final = 16
"""Samples between two times that the coefficients are worked out."""
_LEAN: Final = 0.1
"""What the prior weighs, in samples."""
_GIGA: Final = 1e9
_ORDERS: Final = 3
_SETS: Final = tuple(
    list(chosen)
    for size in range(1, _ORDERS + 1)
    for chosen in itertools.combinations(range(_ORDERS), size)
)

_TRIANGLE: Final = [[0, 1, 2], [1, 3, 4], [2, 4, 5]]

Vector = npt.NDArray[np.float64]
Work = tuple[float, float, float]
"""The features of it, in the order of the coefficients."""


class Fit:
    """One kind of thing: milliseconds for nothing, per gigapixel, and per gigapixel and step.

    >>> fit = Fit()
    >>> for gigapixels in (0.01, 0.02, 0.04, 0.08):
    ...     fit.update(work(gigapixels, 1), 100.0 + 5000.0 * gigapixels)
    >>> round(float(fit.read() @ work(0.06, 1)), -1)
    400.0
    """

    def __init__(self) -> None:
        self.samples = 0
        self._n = 0.0
        self._sums = [0.0] * 9
        """The upper triangle of the features' products, row by row, and their products with ms."""
        self._known = (0.0, 0.0, 0.0)

    def update(self, work: Work, ms: float) -> None:
        """Take what one took for some work."""
        one, pixels, steps = work
        expected = ms
        if self.samples >= _SETTLED:
            fixed, per_pixel, per_step = self._known
            expected = max(fixed * one + per_pixel * pixels + per_step * steps, 1.0)
            ms = min(max(ms, expected / _FAR), expected * _FAR)
        x, y, z, t = one / expected, pixels / expected, steps / expected, ms / expected
        products = (x * x, x * y, x * z, y * y, y * z, z * z, x * t, y * t, z * t)
        self._sums = [_FORGET * sum_ + new for sum_, new in zip(self._sums, products, strict=True)]
        self._n = _FORGET * self._n + 1.0
        self.samples += 1
        if self.samples == _SETTLED or self.samples % _ANEW == 0:
            fixed, per_pixel, per_step = self.read().tolist()
            self._known = (fixed, per_pixel, per_step)

    def read(self, prior: Vector | None = None) -> Vector:
        """Return the coefficients; ``prior`` is what they are taken for without samples."""
        if self._n <= 0.0:
            return np.zeros(_ORDERS) if prior is None else prior
        gram = np.array(self._sums)[_TRIANGLE]
        moment = np.array(self._sums[6:])
        lean = _LEAN * gram.diagonal() / self._n
        if prior is None:
            lean = lean * np.array([1.0, 1.0, 0.0])
            prior = np.zeros(_ORDERS)
        return _non_negative(gram + np.diag(lean), moment + lean * prior)


class RenderTimes:
    """What is remembered; rebuilt by replaying the telemetry."""

    def __init__(self) -> None:
        self._whole: OrderedDict[tuple[str, ...], Fit] = OrderedDict()
        """By provider and the classes of its graph."""
        self._nodes: OrderedDict[tuple[str, ...], Fit] = OrderedDict()
        """By kind of GPU and class."""

    def update(self, sample: TaskMeasured) -> None:
        """Take one measured task."""
        if not sample.succeeded or sample.cached or sample.cold_start or not sample.node_runs:
            return
        if sample.input_frames <= 0 or sample.pixels <= 0 or sample.duration_ms <= 0:
            return
        features = work(sample.input_frames * sample.pixels / _GIGA, sample.steps)
        key = (sample.provider_id, *sorted(sample.nodes))
        _kept(self._whole, key).update(features, float(sample.duration_ms))
        for name, ms in sample.nodes.items():
            fit = _kept(self._nodes, (sample.gpu_type, name))
            if runs := sample.node_runs.get(name, 0):
                fit.update(features, max(ms / runs, 1.0))
        around = max(1.0, float(sample.duration_ms - sum(sample.nodes.values())))
        _kept(self._nodes, (sample.gpu_type, AROUND)).update(features, around)

    def read(self, record: ProviderRecord) -> RenderTime:
        """Return what a provider's renders take; nothing when too little is known."""
        classes = Counter(str(node.get("class_type", "")) for node in record.graph.values())
        gpu_type = record.cost_model.gpu_type_required
        own = self._whole.get((record.provider_id, *sorted(classes)))
        around = self._nodes.get((gpu_type, AROUND))
        samples = max((each.samples for each in (own, around) if each), default=0)
        prior = self._sum(gpu_type, classes)
        if samples < LEAST_SAMPLES or not classes:
            return RenderTime()
        if own is not None:
            prior = own.read(prior)
        if prior is None:
            return RenderTime()
        fixed, pixels, steps = (significant(each) for each in prior.tolist())
        return RenderTime(
            fixed_ms=fixed, ms_per_gigapixel=pixels, ms_per_gigapixel_step=steps, samples=samples
        )

    def _sum(self, gpu_type: str, classes: Counter[str]) -> Vector | None:
        """Return what a graph's nodes take; nothing when one of them is unknown."""
        total = np.zeros(_ORDERS)
        for name, count in [(AROUND, 1), *classes.items()]:
            known = self._nodes.get((gpu_type, name))
            if known is None:
                return None
            total = total + count * known.read()
        return total


def _kept(fits: OrderedDict[tuple[str, ...], Fit], key: tuple[str, ...]) -> Fit:
    """Return the fit of this key; the ones that were not asked for the longest give way."""
    fit = fits.setdefault(key, Fit())
    fits.move_to_end(key)
    if len(fits) > KEPT:
        fits.popitem(last=False)
    return fit


def work(gigapixels: float, steps: int) -> Work:
    """Return the features of a render's work: that it is one, its pixels, and its steps on them."""
    return (1.0, gigapixels, gigapixels * steps)


def _non_negative(gram: Vector, moment: Vector) -> Vector:
    """Return the ``c >= 0`` of the smallest ``c @ gram @ c - 2 * moment @ c``."""
    scale = np.sqrt(np.maximum(gram.diagonal(), np.finfo(float).tiny))
    even = gram / np.outer(scale, scale)
    wanted = moment / scale
    best, least = np.zeros(_ORDERS), 0.0
    for chosen in _SETS:
        try:
            part = np.linalg.solve(even[np.ix_(chosen, chosen)], wanted[chosen])
        except np.linalg.LinAlgError:
            continue  # these cannot be told apart; a smaller set says the same
        value = -float(wanted[chosen] @ part)
        if part.min() >= 0.0 and value < least - 1e-9:
            best = np.zeros(_ORDERS)
            best[chosen] = part
            least = value
    return best / scale
