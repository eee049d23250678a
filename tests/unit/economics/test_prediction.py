"""How far predictions are off, and what must not be learnt from."""

from __future__ import annotations

import pytest
from msgspec import structs

from economics.prediction import KEPT, Predictions
from schemas.base import ProviderId
from schemas.telemetry import TaskMeasured
from tests.builders import NOON
from tests.unit.economics.worlds import task

A = ProviderId("fx-a")


def measured(duration_ms: int, predicted_ms: int = 1000, **changes: object) -> TaskMeasured:
    """Return one finished render."""
    known: dict[str, object] = {
        "provider_id": A,
        "effect_type": "upscale",
        "duration_ms": duration_ms,
        "predicted_ms": predicted_ms,
    }
    return structs.replace(task("fx-a", 0, NOON), **(known | changes))


def learnt(*samples: TaskMeasured) -> Predictions:
    """Return what is known after these renders."""
    predictions = Predictions()
    for sample in samples:
        predictions.update(sample)
    return predictions


def test_errors_count_whichever_way_they_go() -> None:
    """Too long and too short must not make up for each other."""
    error = learnt(measured(500), measured(1500)).read(A, "upscale")

    assert error.samples == 2
    assert error.median_ratio == pytest.approx(1.0)
    assert error.median_relative_error == pytest.approx(0.5)


def test_one_render_that_hung_does_not_hide_how_good_the_others_were() -> None:
    """A mean would say that every prediction is off by a factor of twenty."""
    error = learnt(*(measured(1100) for _ in range(9)), measured(200_000)).read(A, "upscale")

    assert error.median_relative_error == pytest.approx(0.1)


@pytest.mark.parametrize(
    "useless",
    [
        measured(5, cached=True),
        measured(5, succeeded=False),
        measured(5, predicted_ms=0),
        measured(0),
    ],
    ids=["cached", "failed", "not predicted", "not measured"],
)
def test_what_says_nothing_teaches_nothing(useless: TaskMeasured) -> None:
    """A host that answers from its cache would look a hundred times as fast as predicted."""
    assert learnt(measured(1000), useless).read(A, "upscale").samples == 1


def test_only_the_last_renders_count_and_each_pair_by_itself() -> None:
    """A better model shows soon, and one provider's errors are not another's."""
    old = [measured(9000) for _ in range(KEPT)]
    new = [measured(1000) for _ in range(KEPT)]
    predictions = learnt(*old, *new, measured(4000, provider_id=ProviderId("fx-b")))

    assert predictions.read(A, "upscale").samples == KEPT
    assert predictions.read(A, "upscale").median_relative_error == 0.0
    assert predictions.read(ProviderId("fx-b"), "upscale").median_ratio == 4.0
    assert predictions.read(A, "style_transfer").samples == 0


def test_pairs_that_rendered_longest_ago_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered has a bound."""
    monkeypatch.setattr("economics.prediction.PAIRS_LIMIT", 2)
    predictions = learnt(
        measured(2000, effect_type="one"),
        measured(2000, effect_type="two"),
        measured(2000, effect_type="one"),
        measured(2000, effect_type="three"),
    )

    assert predictions.read(A, "two").samples == 0
    assert predictions.read(A, "one").samples == 2
