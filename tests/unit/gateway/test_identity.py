"""Tokens: who they belong to, and which files are refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.errors import Refusal
from gateway.identity import (
    Caller,
    InvalidTokenFileError,
    Role,
    TokenEntry,
    Tokens,
    bearer,
    hash_of,
    own_tenant,
)
from schemas.asks import ANY_TENANT
from schemas.base import TenantId, UserId


def entry(**changes: object) -> dict[str, object]:
    """Return a line of the token file."""
    known: dict[str, object] = {
        "name": "ann",
        "sha256": hash_of("secret"),
        "tenant_id": "tnt_1",
        "user_id": "usr_1",
        "role": "user",
    }
    return known | changes


def written(folder: Path, *entries: dict[str, object]) -> Path:
    """Write a token file."""
    path = folder / "tokens.json"
    path.write_bytes(msgspec.json.encode(entries))
    return path


def test_a_token_is_recognised_and_another_is_not(tmp_path: Path) -> None:
    """The file holds hashes only, so who reads it cannot sign in."""
    path = written(tmp_path, entry(), entry(name="bob", sha256=hash_of("other"), role="admin"))
    tokens = Tokens.read(path)

    ann, bob = tokens.whose("secret"), tokens.whose("other")
    assert ann is not None
    assert bob is not None
    assert (ann.name, ann.is_admin, bob.is_admin, bob.is_operator) == ("ann", False, True, False)
    assert tokens.whose("") is tokens.whose("Secret") is tokens.whose(hash_of("secret")) is None


@pytest.mark.parametrize(
    "wrong",
    [
        entry(sha256="secret"),
        entry(sha256=hash_of("secret").upper()),
        entry(role="root"),
        entry(tenant_id="a.b"),
        entry(tenant_id=""),
        entry(user_id="usr/../1"),
        entry(tenant_id=ANY_TENANT),
        entry(scope="all"),
        {"name": "ann"},
    ],
)
def test_a_file_that_would_let_in_the_wrong_one_is_refused(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    """A slip in this file is found at the start, not by whoever profits from it."""
    with pytest.raises(InvalidTokenFileError):
        Tokens.read(written(tmp_path, wrong))


def test_one_token_for_two_people_is_refused(tmp_path: Path) -> None:
    """Which of them would it be?"""
    with pytest.raises(InvalidTokenFileError):
        Tokens.read(written(tmp_path, entry(), entry(name="bob", user_id="usr_2")))


def test_only_an_admin_of_every_tenant_is_the_operator() -> None:
    """And the operator has no tenant to create anything for."""
    line = TokenEntry(
        name="ops",
        sha256=hash_of("x"),
        tenant_id=ANY_TENANT,
        user_id=UserId("usr_ops"),
        role=Role.ADMIN,
    )
    operator = Tokens([line]).whose("x")

    assert operator is not None
    assert operator.is_operator
    with pytest.raises(Refusal, match="NO_TENANT"):
        own_tenant(operator)
    admin = Caller(name="a", tenant_id=TenantId("tnt_1"), user_id=UserId("usr_1"), role=Role.ADMIN)
    assert not admin.is_operator


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer   abc ", "abc"),
        ("Basic abc", ""),
        ("Bearer", ""),
        ("abc", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_the_token_is_read_from_a_bearer_header_only(header: str | None, token: str) -> None:
    """An empty one is no token."""
    assert bearer(header) == token
