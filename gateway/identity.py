"""Who a bearer token belongs to. Only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.errors import Refusal
from gateway.ids import is_id
from schemas.asks import ANY_TENANT
from schemas.base import TenantId, UserId


class Role(StrEnum):
    """What a caller may do; an admin may do all that a user may."""

    USER = "user"
    ADMIN = "admin"


class TokenEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the token file."""

    name: str
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    tenant_id: TenantId
    user_id: UserId
    role: Role


class Caller(Struct, frozen=True, kw_only=True):
    """Who makes a request. The tenant comes from the token and from nowhere else."""

    name: str
    tenant_id: TenantId
    user_id: UserId
    role: Role

    @property
    def is_admin(self) -> bool:
        """Tell whether the caller may see costs and decide approvals."""
        return self.role is Role.ADMIN

    @property
    def is_operator(self) -> bool:
        """Tell whether the caller runs the platform and sees every tenant."""
        return self.is_admin and self.tenant_id == ANY_TENANT


class InvalidTokenFileError(ValueError):
    """The token file cannot be used, so nobody could sign in, or the wrong one could."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the token file cannot be used: {why}")


class Tokens:
    """Every token there is, frozen."""

    def __init__(self, entries: Iterable[TokenEntry]) -> None:
        self._entries = tuple(entries)
        for entry in self._entries:
            _check(entry)
        if len({entry.sha256 for entry in self._entries}) < len(self._entries):
            raise InvalidTokenFileError("one token stands twice")

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Read the JSON list of entries.

        Raises:
            InvalidTokenFileError: not such a list, or an entry that makes no sense.
        """
        try:
            return cls(msgspec.json.decode(path.read_bytes(), type=list[TokenEntry]))
        except msgspec.MsgspecError as error:
            raise InvalidTokenFileError(str(error)) from error

    def whose(self, token: str) -> Caller | None:
        """Return who the token belongs to. Takes as long for a wrong token as for a right one."""
        digest = hash_of(token)
        found = None
        for entry in self._entries:
            if hmac.compare_digest(entry.sha256, digest):
                found = entry
        if found is None:
            return None
        return Caller(
            name=found.name, tenant_id=found.tenant_id, user_id=found.user_id, role=found.role
        )


def hash_of(token: str) -> str:
    """Return what the token file holds in place of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer(header: str | None) -> str:
    """Return the token of an Authorization header, empty when it holds none.

    >>> bearer("Bearer abc"), bearer("bearer  abc"), bearer("Basic abc"), bearer(None)
    ('abc', 'abc', '', '')
    """
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def unknown_caller() -> Refusal:
    """Return the refusal of a request without a token, or with a wrong one."""
    return Refusal(
        401,
        "UNAUTHENTICATED",
        detail="the request carries no token that is known here",
        hint="send the header 'Authorization: Bearer <token>'",
        headers={"WWW-Authenticate": 'Bearer realm="effectmesh"'},
    )


def own_tenant(caller: Caller) -> TenantId:
    """Return the tenant a caller creates things for.

    Raises:
        Refusal: the platform operator, who has none.
    """
    if caller.tenant_id == ANY_TENANT:
        raise Refusal(
            403,
            "NO_TENANT",
            detail="the platform operator has no tenant of its own",
            hint="use a token of the tenant this is for",
        )
    return caller.tenant_id


def _check(entry: TokenEntry) -> None:
    if not is_id(entry.user_id):
        raise InvalidTokenFileError(f"not a user id: {entry.user_id!r}")
    if entry.tenant_id == ANY_TENANT:
        if entry.role is not Role.ADMIN:
            raise InvalidTokenFileError(f"{entry.name!r} has every tenant but is no admin")
        return
    if not is_id(entry.tenant_id):
        raise InvalidTokenFileError(f"not a tenant id: {entry.tenant_id!r}")
