"""Whom an agent drives, and what it lets a graph do there."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import pytest

from actors.provider_registry.shipped import shipped
from gpu_agent.address import check_address, is_private
from gpu_agent.attempt import check
from gpu_agent.errors import Fault, RenderFailedError, UnsafeHostError
from gpu_agent.providers.adapter import ClipInfo
from gpu_agent.providers.declarative import DeclarativeProvider
from gpu_agent.providers.graphs import Graph
from tests.builders import execution_task

RECORD = next(each for each in shipped() if each.provider_id == "fx-warm-grade-v1")
CLIP, PREFIX = "jobs/1.mp4", "jobs/1/out"
NAMES = {
    "comfy.lan": ["192.168.1.5", "fd00::5"],
    "half.example": ["10.0.0.1", "93.184.216.34"],
    "world.example": ["93.184.216.34"],
    "empty.example": [],
}


async def resolve(name: str) -> Sequence[str]:
    """Return what a name server would say."""
    if name not in NAMES:
        raise OSError(name)
    return NAMES[name]


def graph() -> Graph:
    """Return what is sent for a usual task."""
    info = ClipInfo(file=CLIP, width=64, height=64, frames=5, fps=25.0)
    return DeclarativeProvider(RECORD).compile(execution_task(), clip=info, prefix=PREFIX)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8188",
        "http://[::1]:8188",
        "http://10.1.2.3:8188",
        "http://172.31.0.9",
        "http://169.254.7.7:80",
        "http://[fe80::1%25eth0]:8188",
        "https://comfy.lan:8188",
    ],
)
async def test_a_host_that_nobody_outside_reaches_is_driven(url: str) -> None:
    """Loopback, private, link-local, unique local, or a name of such."""
    await check_address(url, resolve=resolve)


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8:8188",
        "http://172.32.0.1",
        "http://0.0.0.0:8188",
        "http://[2001:db8::1]:8188",
        "http://[::ffff:8.8.8.8]:8188",
        "http://world.example:8188",
        "http://half.example:8188",
        "http://unknown.example",
        "http://empty.example",
        "http://user:secret@127.0.0.1:8188",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "127.0.0.1:8188",
        "http://127.0.0.1:99999",
        "http://[::1",
        "",
    ],
)
async def test_any_other_address_is_refused(url: str) -> None:
    """Whoever reaches a ComfyUI runs what he likes and reads every job."""
    with pytest.raises(UnsafeHostError) as refused:
        await check_address(url, resolve=resolve)

    assert "secret" not in str(refused.value)


async def test_an_operator_may_mean_it() -> None:
    """Behind a firewall that the agent does not know, for instance."""
    await check_address("http://8.8.8.8:8188", allow_public=True, resolve=resolve)


def test_an_address_inside_another_is_seen() -> None:
    """An IPv4 address may be written as an IPv6 one."""
    assert is_private("::ffff:127.0.0.1")
    assert not is_private("::ffff:1.1.1.1")


def test_a_graph_that_is_as_it_should_be_is_sent() -> None:
    """The other tests must fail for what they change."""
    check(graph(), RECORD, clip=CLIP, prefix=PREFIX)


@pytest.mark.parametrize(
    "change",
    [
        {"1": {"class_type": "LoadVideo", "inputs": {"file": "other/x.mp4 [output]"}}},
        {"66": {"class_type": "LoadVideo", "inputs": {"file": "../../etc/passwd"}}},
        {"67": {"class_type": "EvilCustomNode", "inputs": {"command": "id"}}},
        {"68": {"class_type": "SaveVideo", "inputs": {"filename_prefix": "jobs/2/out"}}},
        {"69": {"inputs": {}}},
        {"70": {"class_type": "SaveVideo"}},
    ],
    ids=["other clip", "second clip", "class", "other place", "no class", "no inputs"],
)
def test_a_graph_that_does_anything_else_is_not_sent(change: Graph) -> None:
    """Whoever put it together, this is the last look."""
    spoiled = deepcopy(graph()) | change
    with pytest.raises(RenderFailedError) as refused:
        check(spoiled, RECORD, clip=CLIP, prefix=PREFIX)

    assert refused.value.code is Fault.GRAPH_REFUSED
