"""People have the last word on what is better."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from media.frames import Footage
from media.quality import unknown
from media.quality_blocks import Blocks
from media.quality_calibration import (
    LEAST_PAIRS,
    Parts,
    fitted_weights,
    kendall_tau,
    needs_a_look,
    worths,
)
from media.quality_plugins import WrongModelError, verified, with_metrics
from media.quality_scale import EVEN
from tests.unit.media_analysis.clips import footage, plain_frame


def test_worth_follows_wins_however_the_pairs_come() -> None:
    """A chain is enough: not everyone has to meet everyone."""
    pairs = [("a", "b")] * 6 + [("b", "a")] * 2 + [("b", "c")] * 6 + [("c", "b")] * 2

    found = worths(pairs)

    assert found["a"] > found["b"] > found["c"]
    assert found == pytest.approx(worths(pairs[::-1]))
    # three wins in four are a worth of three to one; the prior takes a little of it
    assert 2.0 < found["a"] / found["b"] < 3.0


def test_a_single_win_is_not_a_worth_without_bound() -> None:
    """Nobody has lost yet, and nobody is perfect."""
    assert worths([("a", "b")])["a"] < 10
    assert worths([]) == {}


def test_orders_are_compared() -> None:
    """1 is the same order, -1 the reverse."""
    one = {"a": 1.0, "b": 2.0, "c": 3.0}

    assert kendall_tau(one, {"a": 5.0, "b": 4.0, "c": 3.0}) == -1.0
    assert kendall_tau(one, {"a": 1.0, "b": 1.0, "c": 1.0}) == 0.0
    assert needs_a_look(one, {"a": 3.0, "b": 1.0, "c": 2.0})
    assert not needs_a_look(one, one)


def choices(count: int, *, cares_for: int) -> list[tuple[Parts, Parts]]:
    """Return choices of people who look at one dimension only."""
    dice = np.random.default_rng(1)
    found = []
    for _ in range(count):
        one, other = dice.uniform(0.3, 1.0, (2, 4)).tolist()
        better, worse = (one, other) if one[cares_for] > other[cares_for] else (other, one)
        found.append((tuple(better), tuple(worse)))
    return found


@pytest.mark.parametrize("dimension", range(4))
def test_weights_go_where_people_look(dimension: int) -> None:
    """And stay weights: positive, adding up to one."""
    weights = fitted_weights(choices(300, cares_for=dimension))

    assert max(range(4), key=weights.__getitem__) == dimension
    assert weights[dimension] > 0.45
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) > 0


def test_a_few_choices_change_nothing() -> None:
    """A dozen clicks are no calibration."""
    assert fitted_weights(choices(LEAST_PAIRS - 1, cares_for=0)) == EVEN


def test_an_interval_is_wide_where_seconds_disagree() -> None:
    """Frames of one second are alike, so the seconds are what is drawn."""
    times = np.arange(100) * 100.0

    def spread(values: np.typing.NDArray[np.float64]) -> float:
        blocks = Blocks(10_000.0, {"x": (times, values)})
        return float(np.ptp(blocks.means(blocks.drawn())["x"]))

    within = np.tile([0.0, 1.0], 50).astype(np.float64)
    between = np.repeat([0.0, 1.0], 50).astype(np.float64)

    assert spread(within) == pytest.approx(0.0)
    assert spread(between) > 0.5


def test_what_was_not_seen_is_not_zero() -> None:
    """A second without a sample must not look perfect."""
    blocks = Blocks(2_000.0, {"x": (np.array([100.0]), np.array([0.7]))})

    assert blocks.means(blocks.single(), absent=np.nan)["x"].tolist() == pytest.approx(
        [0.7, np.nan], nan_ok=True
    )


class Sharpness:
    """A metric that somebody plugged in."""

    version = "sharpness-1"

    def measure(self, source: Footage, result: Footage) -> Mapping[str, float]:
        """Return one number, and one that is out of range."""
        return {"sharp": 0.5, "wrong": 7.0}


def test_a_plugged_in_metric_is_told_and_not_weighed() -> None:
    """Else composites with and without the model would not be comparable."""
    clip = footage([plain_frame((9, 9, 9))] * 2)
    verdict = replace(unknown(""), composite=0.4)

    told = with_metrics(verdict, clip, clip, [Sharpness()])

    assert told.extra == {"sharpness-1.sharp": 0.5}
    assert told.composite == verdict.composite


def test_a_model_is_used_only_when_its_checksum_is_right(tmp_path: Path) -> None:
    """A model file is code in all but name."""
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")

    assert verified(model, sha256=hashlib.sha256(b"weights").hexdigest()) == b"weights"
    with pytest.raises(WrongModelError, match="checksum"):
        verified(model, sha256="0" * 64)
    with pytest.raises(WrongModelError):
        verified(tmp_path / "absent.onnx", sha256="0" * 64)
