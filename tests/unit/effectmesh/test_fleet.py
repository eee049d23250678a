"""Who starts hosts, and whose queues ask for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.execution.scaler import AwsScaler, NoScaler
from effectmesh.processes.fleet import Present, scaler_of, served
from effectmesh.settings import SettingError, Settings
from schemas.base import ProviderId

A, B, H200 = ProviderId("fx-a"), ProviderId("fx-b"), ProviderId("comfy-h200")


def test_by_default_nobody_starts_hosts() -> None:
    """A machine must not spend money because it was started."""
    assert isinstance(scaler_of(Settings(home=Path("home"))), NoScaler)


def test_aws_needs_a_group() -> None:
    """Without its name every group of the account would be meant, or none."""
    with pytest.raises(SettingError, match="EFFECTMESH_SCALER_GROUP"):
        scaler_of(Settings(home=Path("home"), scaler="aws"))


def test_aws_needs_a_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is missing is said at the start, not when the queue is long."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    settings = Settings(home=Path("home"), scaler="aws", scaler_group="gpu-hosts")

    with pytest.raises(SettingError, match="EFFECTMESH_SCALER=aws: You must specify a region"):
        scaler_of(settings)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert isinstance(scaler_of(settings), AwsScaler)


def test_what_no_host_here_can_render_asks_for_no_more_of_them() -> None:
    """Twenty hosts that cannot run it are as good as two."""
    agents = [Present(host="gpu-1", provider_ids=(A,)), Present(host="gpu-2")]

    assert served({A, H200}, agents) == {A}


def test_disabled_providers_ask_for_nothing_and_an_empty_fleet_is_asked_by_all() -> None:
    """With no host at all nobody knows what the first one will be able to run."""
    assert served({A}, [Present(host="gpu-1", provider_ids=(A, B))]) == {A}
    assert served({A, B}, []) == {A, B}
