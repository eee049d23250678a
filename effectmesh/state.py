"""What a running stack leaves in its home for other commands: addresses, tokens, secrets."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from effectmesh.embedded.folders import is_held, secret, write_private
from effectmesh.settings import Settings
from schemas.asks import ANY_TENANT
from schemas.base import TenantId, UserId

DEMO_TENANT: Final = TenantId("tnt_demo")
DEMO_USER: Final = UserId("usr_demo")
ADMIN_USER: Final = UserId("usr_admin")
TOKEN_BYTES: Final = 24


class Running(Struct, frozen=True, kw_only=True):
    """A stack that is up."""

    pid: int
    gateway_url: str
    nats_url: str
    postgres_url: str
    children: dict[str, int] = {}
    """Process ids by name, for people and for tests that kill one."""


class Tokens(Struct, frozen=True, kw_only=True):
    """The bearer tokens of the local user and the local admin."""

    user: str
    admin: str


class TokenEntry(Struct, frozen=True, kw_only=True):
    """What the gateway keeps of a token: never the token."""

    name: str
    sha256: str
    tenant_id: TenantId
    user_id: UserId
    role: str


def running(settings: Settings) -> Running | None:
    """Return the stack that is up in this home, or nothing."""
    try:
        found = msgspec.json.decode(_running_file(settings).read_bytes(), type=Running)
        os.kill(found.pid, 0)
    except (FileNotFoundError, ProcessLookupError, msgspec.DecodeError):
        return None
    except PermissionError:
        return found
    # A killed stack leaves its file behind, and its number may be somebody else's by now: who
    # is really up holds the lock of the home.
    return found if is_held(settings.home) else None


def announce(settings: Settings, now: Running) -> None:
    """Tell other commands that the stack is up."""
    write_private(_running_file(settings), msgspec.json.encode(now).decode())


def withdraw(settings: Settings) -> None:
    """Tell other commands that it is no more."""
    _running_file(settings).unlink(missing_ok=True)


def tokens(settings: Settings) -> Tokens:
    """Return the local tokens; the first call makes them and what the gateway knows of them."""
    path = settings.home / "credentials.json"
    if not path.exists():
        fresh = Tokens(user=_new_token(), admin=_new_token())
        entries = (
            _entry("local user", fresh.user, DEMO_TENANT, DEMO_USER, "user"),
            _entry("local admin", fresh.admin, ANY_TENANT, ADMIN_USER, "admin"),
        )
        write_private(tokens_file(settings), msgspec.json.encode(entries).decode())
        write_private(path, msgspec.json.encode(fresh).decode())
    return msgspec.json.decode(path.read_bytes(), type=Tokens)


def add_token(settings: Settings, *, name: str, tenant: TenantId, user: UserId, role: str) -> str:
    """Make a token for somebody, and return it; it is shown this once."""
    tokens(settings)
    path = tokens_file(settings)
    entries = msgspec.json.decode(path.read_bytes(), type=tuple[TokenEntry, ...])
    fresh = _new_token()
    grown = (*entries, _entry(name, fresh, tenant, user, role))
    write_private(path, msgspec.json.encode(grown).decode())
    return fresh


def tokens_file(settings: Settings) -> Path:
    """Return where the gateway reads its tokens."""
    return settings.home / "tokens.json"


def routing_key(settings: Settings) -> bytes:
    """Return the key of the exploration draw. It must never change, or decisions would."""
    return secret(settings.home / "routing.key").encode()


def media_key(settings: Settings) -> bytes:
    """Return the key that signs the addresses of media."""
    return secret(settings.home / "media.key").encode()


def _running_file(settings: Settings) -> Path:
    return settings.home / "running.json"


def _new_token() -> str:
    return "em_" + secrets.token_urlsafe(TOKEN_BYTES)


def _entry(name: str, token: str, tenant: TenantId, user: UserId, role: str) -> TokenEntry:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return TokenEntry(name=name, sha256=digest, tenant_id=tenant, user_id=user, role=role)
