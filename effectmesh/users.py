"""A user of the broker for each module, read from one JSON file, and the connections they make.

``EFFECTMESH_NATS_USERS_FILE`` names the file: ``{"gallery": {"user": "gallery", "password": …}}``.
Without it everybody connects as the user in ``EFFECTMESH_NATS_URL``, over one connection a process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from actors.runtime.bus import Bus, connected
from actors.runtime.errors import BusError
from effectmesh.settings import Settings
from schemas.base import Module
from subjects import build

_OTHERS: Final = 0o077


class UsersFileError(BusError):
    """The file cannot be used; the message says why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"EFFECTMESH_NATS_USERS_FILE: {path}: {why}")


class User(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who a module is to the broker."""

    user: str
    password: str


def read_users(path: Path, wanted: Collection[Module]) -> Mapping[Module, User]:
    """Return the users of the wanted modules. Others may stand in the file, or not.

    Raises:
        UsersFileError: it is missing, malformed, readable by others, or names a module not.
    """
    try:
        if path.stat().st_mode & _OTHERS:
            raise UsersFileError(path, "others may read the passwords; chmod 600 it")
        users = msgspec.json.decode(path.read_bytes(), type=dict[Module, User])
    except OSError as absent:
        raise UsersFileError(path, absent.strerror or "cannot be read") from absent
    except msgspec.DecodeError as wrong:
        raise UsersFileError(path, str(wrong)) from wrong
    if missing := [module for module in wanted if module not in users]:
        raise UsersFileError(path, f"no user for {', '.join(missing)}")
    return {module: users[module] for module in wanted}


@asynccontextmanager
async def connected_as(
    settings: Settings, *modules: Module, name: str
) -> AsyncIterator[Mapping[Module, Bus]]:
    """Yield the connection of each module: its own, or one that all share without a users file.

    ``name`` is what the broker calls the connection; one of its own has the module's name, unless
    there is only one.

    Raises:
        UsersFileError: there is a file, and it cannot be used.
        CannotConnectError: the broker lets somebody not in.
    """
    if not settings.nats_users_file:
        async with connected(settings.nats_url, name=name) as shared:
            yield dict.fromkeys(modules, shared)
        return
    users = read_users(Path(settings.nats_users_file), modules)
    async with AsyncExitStack() as opened:
        yield {
            module: await opened.enter_async_context(
                connected(
                    url_as(settings.nats_url, user),
                    name=name if len(users) == 1 else module,
                    inbox_prefix=build.inbox_prefix(module),
                )
            )
            for module, user in users.items()
        }


def url_as(url: str, user: User) -> str:
    """Return the address of one or several servers, to be reached as another user."""
    login = f"{quote(user.user, safe='')}:{quote(user.password, safe='')}@"
    return ",".join(_with_login(each, login) for each in url.split(","))


def _with_login(url: str, login: str) -> str:
    scheme, mark, rest = url.rpartition("://")
    return scheme + mark + login + rest.rpartition("@")[2]
