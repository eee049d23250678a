"""What may be printed of an address."""

from __future__ import annotations

import pytest

from effectmesh.embedded.stack import without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://user:canary@broker:4222", "nats://broker:4222"),
        ("postgresql://u:can%40ary@/effectmesh?host=/run/pg", "postgresql:///effectmesh"),
        ("postgresql://db/x?user=u&password=canary", "postgresql://db/x"),
        ("unix://:canary@/run/valkey.sock?db=0", "unix:///run/valkey.sock"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("nats://a:canary@one:4222,nats://b:canary@two:4222", "nats://one:4222,nats://two:4222"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    """``up`` and ``doctor`` print it, and people paste that into tickets."""
    assert without_password(url) == shown
