"""Which addresses of a ComfyUI an agent may drive.

A ComfyUI knows no users: whoever reaches its port runs graphs, reads every job's files and prompts,
and takes over streams. So it stands on this machine or on a private link, and an agent that is
pointed at a public address refuses, unless told that the operator means it.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

import anyio

from gpu_agent.errors import UnsafeHostError

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Turns a name into addresses; raises ``OSError`` when it has none."""

PRIVATE: Final = tuple(
    ip_network(each)
    for each in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    )
)
"""Loopback, RFC 1918, link-local, unique local."""


async def check_address(
    url: str, *, allow_public: bool = False, resolve: Resolve | None = None
) -> None:
    """Refuse an address that is none, carries a password, or is public.

    A name is as good as the worst address it resolves to.

    Raises:
        UnsafeHostError: with what to do instead.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as wrong:
        raise UnsafeHostError(f"not an address of a ComfyUI: {wrong}") from wrong
    if parts.scheme not in {"http", "https"} or not host:
        raise UnsafeHostError("the address of a ComfyUI begins with http:// or https://")
    if parts.username or parts.password:
        raise UnsafeHostError("the address of a ComfyUI has no user: it does not know any")
    if allow_public:
        return
    for each in await _addresses(host, resolve or resolved):
        if not is_private(each):
            raise UnsafeHostError(
                f"{host} is {each}, a public address: everybody who reaches it can run graphs and "
                "read every job; put it on a private link, or give --allow-public-host"
            )


def is_private(address: str) -> bool:
    """Return whether nobody outside can reach an address.

    >>> is_private("192.168.7.20"), is_private("::ffff:8.8.8.8"), is_private("fd00::1")
    (True, False, True)
    """
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in PRIVATE if network.version == found.version)


async def resolved(name: str) -> Sequence[str]:
    """Return every address of a name."""
    found = await anyio.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


async def _addresses(host: str, resolve: Resolve) -> Sequence[str]:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        return [host]
    try:
        found = await resolve(host)
    except OSError as unknown:
        raise UnsafeHostError(f"{host} does not resolve to an address") from unknown
    if not found:
        raise UnsafeHostError(f"{host} does not resolve to an address")
    return found
