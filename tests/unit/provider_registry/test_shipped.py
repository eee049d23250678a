"""The catalog that comes with the platform is complete and can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.content_analysis.core import eligible
from actors.prompt_generation.core import choose
from actors.prompt_generation.files import TemplateFiles
from actors.provider_registry.errors import CatalogError, InvalidRecordError
from actors.provider_registry.shipped import CATALOG, shipped
from economics.pricing import PRICES
from media.analysis import Sighting
from media.looks import STEP
from media.palette import Light
from schemas.base import EPOCH
from schemas.routing import ProviderRecord
from schemas.video import EffectRequest

ACTIVE = [record for record in shipped() if record.status == "active"]


@pytest.mark.parametrize(("effect", "wanted"), [("color_correction", 3), ("style_transfer", 3)])
def test_every_offered_effect_has_competing_providers(effect: str, wanted: int) -> None:
    """With one provider there would be nothing to route."""
    assert len([record for record in ACTIVE if effect in record.capabilities]) >= wanted


def test_the_warm_graders_compete_for_one_look_at_different_prices() -> None:
    """The Economic Engine has to weigh something."""
    warm = [record for record in ACTIVE if "cinematic_warm" in record.supported_effect_types]

    assert len({record.cost_model.base_cost_per_frame for record in warm}) == len(warm) == 3


@pytest.mark.parametrize("record", ACTIVE, ids=lambda record: record.provider_id)
def test_strength_is_a_parameter_of_every_active_provider(record: ProviderRecord) -> None:
    """Prompts vary it, so it must have an effect."""
    assert "strength" in record.parameter_rules
    assert record.target_look


@pytest.mark.parametrize("record", ACTIVE, ids=lambda record: record.provider_id)
def test_every_look_can_be_ordered(record: ProviderRecord) -> None:
    """A price for its effect type, words of its own, and a clip that may have it."""
    moving = Sighting(
        shots=(),
        duration_ms=4000,
        frames=100,
        light=Light(brightness=0.5, contrast=0.2, chroma=0.2, warmth=0.0),
        speed=0.1,
        detail=0.4,
        effects=(),
    )
    [effect], [look] = record.capabilities, record.supported_effect_types
    chosen = choose(TemplateFiles().all(), EffectRequest(effect_type=effect, effect_subtype=look))

    assert effect in PRICES.effects(EPOCH)
    assert not chosen.fallback
    assert effect in eligible(moving, "low_movement")


def test_there_are_looks_to_choose_from() -> None:
    """Of several effect types; each look has a name of its own within its effect type."""
    looks = {(one.capabilities, one.supported_effect_types) for one in ACTIVE}
    by_one = [look for look in looks if look[1] != ("cinematic_warm",)]

    assert len(looks) >= 8
    assert len(by_one) == len(ACTIVE) - 3
    assert len({effects for effects, _ in looks}) >= 6


def test_what_needs_a_gpu_is_not_active() -> None:
    """A machine without one would take the job and never find a host."""
    for record in shipped():
        assert record.status == "disabled" or not record.required_models


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    """The message must lead to the file."""
    Path(tmp_path, "fx-broken-v1.json").write_text('{"provider_id": "fx-broken-v1"}')

    with pytest.raises(CatalogError, match=r"fx-broken-v1\.json"):
        shipped(tmp_path)


def test_a_file_named_after_another_provider_is_refused(tmp_path: Path) -> None:
    """Two files could hold one provider."""
    source = Path(CATALOG, "fx-warm-grade-v1.json").read_text()
    Path(tmp_path, "fx-warm-grade-v2.json").write_text(source)

    with pytest.raises(CatalogError, match="it holds provider 'fx-warm-grade-v1'"):
        shipped(tmp_path)


def test_a_record_that_cannot_work_is_not_shipped(tmp_path: Path) -> None:
    """The start-up fails, instead of the first job."""
    source = Path(CATALOG, "fx-warm-grade-v1.json").read_text()
    Path(tmp_path, "fx-warm-grade-v1.json").write_text(
        source.replace('"input": "blend_factor"', '"input": "factor"')
    )

    with pytest.raises(InvalidRecordError, match="node 4 has no input 'factor'"):
        shipped(tmp_path)


def test_every_target_look_can_be_measured() -> None:
    """A key nobody measures would make every result of that provider unscorable."""
    for record in shipped():
        assert set(record.target_look) <= set(STEP)
