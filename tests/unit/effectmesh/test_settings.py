"""Settings come from the environment, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from effectmesh.settings import SettingError, as_environment, read


def test_every_field_can_be_set_and_read_back(tmp_path: Path) -> None:
    """A child process gets exactly the settings of its parent."""
    settings = read(
        {
            "EFFECTMESH_HOME": str(tmp_path),
            "EFFECTMESH_HTTP_PORT": "0",
            "EFFECTMESH_COMFYUI_URLS": "http://one:8188,http://two:8188",
            "EFFECTMESH_WELCOME_TOKENS": "0",
            "PATH": "/usr/bin",
        }
    )

    assert settings.http_port == 0
    assert read(as_environment(settings)) == settings


def test_a_misspelt_name_is_refused_with_the_nearest_one() -> None:
    """Otherwise the default would hold, and nobody would know."""
    with pytest.raises(SettingError, match="did you mean EFFECTMESH_HTTP_PORT"):
        read({"EFFECTMESH_HTTP_PROT": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EFFECTMESH_HTTP_PORT", "many"),
        ("EFFECTMESH_HTTP_PORT", "70000"),
        ("EFFECTMESH_RENDERERS", "-1"),
        ("EFFECTMESH_POLICY_INTERVAL_S", "0"),
        ("EFFECTMESH_OTLP_ENDPOINT", "localhost:4318"),
    ],
)
def test_a_value_that_does_not_fit_names_its_variable(name: str, value: str) -> None:
    """The message must lead to the line to mend."""
    with pytest.raises(SettingError, match=name):
        read({name: value})


def test_an_empty_variable_is_the_default() -> None:
    """Compose files set what they leave open to nothing."""
    assert read({"EFFECTMESH_NATS_URL": ""}) == read({})


def test_a_relative_home_is_made_absolute() -> None:
    """Child processes have other working folders."""
    assert read({"EFFECTMESH_HOME": "here"}).home.is_absolute()
