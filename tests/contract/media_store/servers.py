"""S3 servers for the suite: moto in this process, and SeaweedFS, which checks signatures too."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from moto.server import ThreadedMotoServer

from effectmesh.embedded.process import ENVIRONMENT, Child
from media.s3_client import S3Settings, s3_client

KEY_ID, SECRET = "suite-key", "suite-secret"  # the servers are ours and gone in a minute
GRPC_OFFSET: Final = 10_000
"""SeaweedFS adds this to each port, and must stay below 65,536."""
PORTS: Final = range(20_000, 45_000)


@contextmanager
def moto_server() -> Iterator[S3Settings]:
    """Run moto in a thread. It believes every signature."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield settings_for(f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def seaweed_server() -> Iterator[S3Settings]:
    """Run SeaweedFS from its wheel, with its files in a folder of its own."""
    # a short name: its socket is in there too
    folder = Path(tempfile.mkdtemp(prefix="weed-"))
    port, command = _command(folder)
    child = Child(
        name="weed",
        command=command,
        log=folder / "server.log",
        environment=ENVIRONMENT | {"TMPDIR": str(folder), "HOME": str(folder)},
    )
    try:
        child.start()
        settings = settings_for(f"http://127.0.0.1:{port}")
        child.wait_until(lambda: _answers(settings))
        yield settings
    finally:
        child.kill()  # nobody needs what it has not written yet
        shutil.rmtree(folder, ignore_errors=True)


def settings_for(endpoint: str) -> S3Settings:
    """Return how to reach a server."""
    return S3Settings(
        bucket="suite", endpoint_url=endpoint, access_key_id=KEY_ID, secret_access_key=SECRET
    )


def with_own_bucket(server: S3Settings, client: Any = None) -> S3Settings:
    """Make an empty bucket that no other test uses."""
    settings = msgspec.structs.replace(server, bucket=f"suite-{uuid.uuid4().hex[:12]}")
    (client or s3_client(settings, connections=1)).create_bucket(Bucket=settings.bucket)
    return settings


def _command(folder: Path) -> tuple[int, list[str]]:
    (folder / "data").mkdir()
    config = folder / "s3.json"
    credentials = [{"accessKey": KEY_ID, "secretKey": SECRET}]
    identity = {"name": "suite", "credentials": credentials, "actions": ["Admin"]}
    config.write_text(json.dumps({"identities": [identity]}))
    # one volume for each bucket, not seven: every test has a bucket of its own
    (folder / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n")
    ports = dict(zip(("master", "volume", "filer", "s3"), _free_ports(), strict=False))
    program = Path(sys.executable).with_name("weed")
    return ports["s3"], [
        str(program),
        "-logtostderr",
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder / 'data'}",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=1000",
        "-volume.preStopSeconds=0",
        "-s3",
        f"-s3.config={config}",
        f"-s3.localSocket={folder / 's3.sock'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}.port={port}" for name, port in ports.items()),
    ]


def _free_ports() -> list[int]:
    free = (port for port in PORTS if _is_free(port) and _is_free(port + GRPC_OFFSET))
    return list(itertools.islice(free, 4))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(settings: S3Settings) -> bool | None:
    try:
        with_own_bucket(settings)
    except (BotoCoreError, ClientError):
        return None
    return True
