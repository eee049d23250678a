"""One copy or three: the declaration, the files of the cluster, and a broker that has too few."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from actors.provider_registry.shipped import shipped
from actors.runtime import provision
from actors.runtime.bus import connected
from actors.runtime.provision import TooFewServersError, bucket_config, stream_config
from effectmesh.embedded.binaries import find_nats
from effectmesh.embedded.process import ENVIRONMENT
from effectmesh.prepare import topology_for
from subjects.topology import BUCKETS, STREAMS
from tests.integration.cluster.nodes import FILES, NAMES, Cluster

ONE = topology_for(shipped())
THREE = topology_for(shipped(), replicas=3)


def test_three_copies_are_never_written_late() -> None:
    """A server refuses that, and a copy that is not on the disk is no copy."""
    for stream in STREAMS:
        config = stream_config(stream, replicas=3)
        assert config["num_replicas"] == 3
        assert "persist_mode" not in config
    assert any("persist_mode" in stream_config(stream) for stream in STREAMS)
    assert {bucket_config(each, replicas=3)["num_replicas"] for each in BUCKETS} == {3}


async def test_a_single_server_cannot_keep_three_copies(nats_server: str) -> None:
    """One sentence says what is wrong and what to set."""
    async with connected(nats_server, name="test") as bus:
        with pytest.raises(TooFewServersError, match="EFFECTMESH_REPLICAS=1"):
            await provision.apply(bus, THREE)


async def test_another_number_of_copies_is_drift(nats_server: str) -> None:
    """Else a cluster with one copy of everything would look like a safe one."""
    async with connected(nats_server, name="test") as bus:
        await provision.apply(bus, ONE)
        found = await provision.plan(bus, THREE)

    wrong = {each.name for each in found if each.field == "num_replicas"}
    assert wrong == {each.name for each in (*STREAMS, *BUCKETS)}


@pytest.mark.parametrize("name", NAMES)
def test_a_server_takes_its_file_and_misses_every_variable(tmp_path: Path, name: str) -> None:
    """A forgotten password would be none, and a forgotten route a server on its own."""
    variables = dict(Cluster(tmp_path).variables(name, tmp_path, 1))

    assert _check(name, variables).returncode == 0
    for variable in ("NATS_LISTEN", "NATS_CLUSTER_LISTEN", "NATS_ROUTE_N2", "NATS_PASSWORD_ROUTE"):
        without = {key: value for key, value in variables.items() if key != variable}
        said = _check(name, without)
        assert said.returncode != 0
        assert variable in said.stderr


def _check(name: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(find_nats().path), "-t", "-c", str(FILES / f"{name}.conf")],
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
