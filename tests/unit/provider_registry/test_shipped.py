"""The catalog that comes with the platform is complete and can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.provider_registry.errors import CatalogError, InvalidRecordError
from actors.provider_registry.shipped import CATALOG, shipped
from media.looks import STEP
from schemas.routing import ProviderRecord

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
