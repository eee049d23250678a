"""``compose.yaml`` and ``Containerfile`` against the code; no container engine is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from effectmesh.cli.app import app
from effectmesh.settings import PREFIX, read
from effectmesh.up import GRACE_S
from tests.architecture.tree import PACKAGES, ROOT
from tests.contract.ops import server

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["profiles"] == ["app"]}
PROFILES = {"servers", "app", "observe"}
EXPANDED = re.compile(r"\$\{(\w+):-((?:[^{}]|\{[^{}]*\})*)\}")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_health_check_or_says_why_not(name: str) -> None:
    """Others wait for it; without one they start before it answers."""
    service = SERVICES[name]

    assert ("healthcheck" in service) != bool(service.get("x-no-healthcheck"))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_belongs_to_a_profile_and_starts_again(name: str) -> None:
    """Without a profile it would always be started."""
    service = SERVICES[name]

    assert len(service["profiles"]) == 1
    assert set(service["profiles"]) < PROFILES
    assert service["restart"] in {"unless-stopped", "on-failure:5"}


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_a_service_are_settings(name: str) -> None:
    """One that no field has stops the process at its start."""
    environment = OURS[name]["environment"]

    settings = read({key: _expanded(value) for key, value in environment.items()})

    assert all(key.startswith(PREFIX) for key in environment)
    assert settings.nats_url == "nats://effectmesh:@nats:4222"
    assert settings.postgres_url.startswith("postgresql://effectmesh:@postgres:5432/")


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_a_command_that_exists(name: str) -> None:
    """Options too: a renamed one would be found when the container starts."""
    program, *words = OURS[name]["command"]
    if program == "python":
        assert name == "prepare"
        compile(words[1], "compose.yaml", "exec")
        return
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = {option for each in command.params for option in each.opts}

    assert program == "effectmesh"
    assert not hasattr(command, "commands")
    assert {word for word in words if word.startswith("-")} <= options


@pytest.mark.parametrize("name", OURS)
def test_a_service_may_drain(name: str) -> None:
    """A kill in the middle of it is survived, but costs a redelivery."""
    seconds = int(OURS[name]["stop_grace_period"].removesuffix("s"))

    assert seconds > GRACE_S


def test_what_a_service_waits_for_is_there_and_can_be_waited_for() -> None:
    """Waiting for the health of a service without a check waits for ever."""
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in SERVICES[other], f"{name} waits for {other}"
            # a server of one's own replaces one of ours
            assert service["profiles"] == SERVICES[other]["profiles"] or how["required"] is False


def test_the_broker_gets_every_variable_it_reads() -> None:
    """The server stops when one is missing, and an empty one is stopped by the command."""
    service = SERVICES["nats"]
    [script] = service["command"]

    assert set(service["environment"]) == set(server.variables(Path()))
    assert "grep '^NATS_PASSWORD_[A-Z_]*=$$'" in script
    assert "exec nats-server -c /etc/nats/server.conf" in script


def test_no_secret_stands_in_the_file() -> None:
    """Every password is a variable, and none has a default."""
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        for found in re.finditer(r"\$\{(\w*PASSWORD\w*)([^}]*)\}", line):
            assert found[2] == ":-", line
        if re.match(r"\s+\w*PASSWORD\w*:", line):
            assert "${" in line, line


def test_every_volume_is_declared_and_used() -> None:
    """A volume that is not declared stops compose; one that is not used hides a mistake."""
    used = {
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", ())
        if not mount.startswith(".")
    }

    assert used == set(COMPOSE["volumes"])


def test_only_the_loopback_is_published() -> None:
    """Whoever wants more puts TLS in front of it first."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_image_holds_every_package_and_runs_as_nobody_special() -> None:
    """A package that is forgotten there fails only when the container starts."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", text, flags=re.MULTILINE))
    folders = {name.rstrip("/") for line in copied for name in line.split()}

    assert set(PACKAGES) <= folders
    assert all((ROOT / name).exists() for name in folders)
    assert "--require-hashes" in text
    assert re.search(r"^USER effectmesh$", text, flags=re.MULTILINE)


def _expanded(value: str) -> str:
    """Return a value as compose makes it when no variable is set."""
    while EXPANDED.search(value):
        value = EXPANDED.sub(lambda found: found[2], value)
    return value
