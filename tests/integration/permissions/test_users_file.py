"""The file that gives each module a user: who connects as whom, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from actors.runtime.errors import NotPermittedError
from effectmesh.settings import Settings, read
from effectmesh.users import User, UsersFileError, connected_as, read_users, url_as
from schemas.base import Module
from subjects import build
from tests.integration.permissions.conftest import Broker

GALLERY: Any = {"gallery": {"user": "g", "password": "p"}}


def _written(folder: Path, content: object, mode: int = 0o600) -> Path:
    path = folder / "users.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def _settings(broker: Broker, users: Path | str) -> Settings:
    return structs.replace(read({}), nats_url=broker.url("effectmesh"), nats_users_file=str(users))


async def test_every_module_has_a_connection_of_its_own(broker: Broker) -> None:
    """And with it no more than its own rights."""
    settings = _settings(broker, broker.users_file)
    async with connected_as(settings, Module.GALLERY, Module.APPROVAL, name="actors") as buses:
        gallery, approval = buses[Module.GALLERY], buses[Module.APPROVAL]
        assert gallery is not approval
        await gallery.publish(build.dead_letter(Module.GALLERY), b"{}", {})
        with pytest.raises(NotPermittedError):
            await approval.publish(build.dead_letter(Module.GALLERY), b"{}", {})


async def test_without_a_file_all_share_one_connection(broker: Broker) -> None:
    """As a single machine has it."""
    async with connected_as(_settings(broker, ""), *Module, name="actors") as buses:
        assert len(set(buses.values())) == 1
        assert set(buses) == set(Module)


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (GALLERY, 0o644, "chmod 600"),
        ("{", 0o600, "truncated"),
        ({"galery": GALLERY["gallery"]}, 0o600, "Invalid enum value"),
        ({"gallery": {"user": "g", "pasword": "p"}}, 0o600, "pasword"),
        ({}, 0o600, "no user for gallery"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, content: object, mode: int, why: str
) -> None:
    """One sentence names the file and what is wrong with it."""
    path = _written(tmp_path, content, mode)

    with pytest.raises(UsersFileError, match=why) as refused:
        read_users(path, [Module.GALLERY])

    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The alternative would be to connect as somebody else."""
    with pytest.raises(UsersFileError, match="No such file"):
        read_users(tmp_path / "users.json", [Module.GALLERY])


def test_a_login_is_put_into_every_address() -> None:
    """A cluster has several; whatever a password holds, the address stays one."""
    user = User(user="gallery", password="p@ss/w:rd")

    assert url_as("nats://a:b@h1:4222,nats://h2:4222", user) == (
        "nats://gallery:p%40ss%2Fw%3Ard@h1:4222,nats://gallery:p%40ss%2Fw%3Ard@h2:4222"
    )
