"""Every setting, read once from the environment into one frozen struct.

A variable ``EFFECTMESH_X`` sets the field ``x``. One that no field has stops the start-up, so that
a misspelt name is never silently the default.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from effectmesh.embedded.folders import default_home

PREFIX: Final = "EFFECTMESH_"
ONLY_FOR_TESTS: Final = frozenset({"EFFECTMESH_TEST_CLIP"})

_FILES: Final = {
    "nats_users_file",
    "hash_list",
    "tenant_limits",
    "captioner_key_file",
    "rewriter_key_file",
}
"""Settings that name a file, which children read from wherever they start."""

Port = Annotated[int, Meta(ge=0, le=65535)]


class SettingError(Exception):
    """A setting cannot be used; the message names it, and what would do."""


class Settings(Struct, frozen=True, kw_only=True):
    """What may be set, with its default."""

    home: Path
    """Where the embedded servers, the media and the secrets live."""
    nats_url: str = ""
    """A broker of your own, ``nats://user:password@host:4222``; empty starts the embedded one."""
    nats_users_file: str = ""
    """A JSON file that gives each module a user of its own, see ``nats/README.md``."""
    replicas: Literal[1, 3] = 1
    """How many servers of the broker's cluster keep each message."""
    postgres_url: str = ""
    """A database of your own, ``postgresql://…``; empty starts the embedded one."""
    redis_url: str = ""
    """A Redis or Valkey of your own, ``redis://…``; empty starts the embedded one."""
    nats_bin: str = ""
    """A nats-server to use instead of the packaged one."""
    postgres_bin: str = ""
    """A folder with postgres and initdb to use instead of the packaged ones."""
    valkey_bin: str = ""
    """A valkey-server or redis-server to use instead of the packaged one."""
    postgres_user: str = "nobody"
    """Who runs the embedded database when we are root."""
    http_host: str = "127.0.0.1"
    http_port: Port = 8787
    """0 takes any free port."""
    gateway_url: str = ""
    """Where people reach the gateway, when that is not where it listens."""
    token: str = ""
    """A bearer token for the command line, instead of the local ones."""
    allowed_origins: str = ""
    """Web origins, apart from our own, that may open a WebSocket; separated by commas."""
    health_port: Port = 0
    """Where one process answers ``/livez`` and ``/readyz``, on this machine only; 0 is nowhere."""
    comfyui_urls: str = ""
    """ComfyUI hosts, separated by commas, an agent for each. Empty starts embedded renderers."""
    renderers: Annotated[int, Meta(ge=0, le=16)] = 2
    """How many embedded renderers, when there is no ComfyUI. Each may take about 1 GB."""
    renderer_switches: str = ""
    """For tests: faults of the embedded renderers as JSON, named in their `behaviour.py`."""
    policy_interval_s: Annotated[int, Meta(ge=1)] = 900
    """How often a new routing manifest is considered."""
    scaler: Literal["none", "aws"] = "none"
    """Who starts hosts when work waits: nobody, who lets advise, or an AWS Auto Scaling group."""
    scaler_group: str = ""
    """The Auto Scaling group, one GPU host an instance; region and keys are found as usual."""
    least_hosts: Annotated[int, Meta(ge=0, le=1000)] = 0
    most_hosts: Annotated[int, Meta(ge=1, le=1000)] = 16
    """Between which numbers hosts are asked for."""
    welcome_tokens: Annotated[int, Meta(ge=0)] = 1000
    """What the demo tenant's wallet is given once."""
    max_upload_mb: Annotated[int, Meta(ge=1)] = 500
    max_duration_s: Annotated[int, Meta(ge=1)] = 60
    uploads_per_hour: Annotated[int, Meta(ge=1)] = 120
    """How many clips one tenant may bring within an hour."""
    tenant_limits: str = ""
    """A JSON file of tenants with other limits on what they bring, see ``docs/video.md``."""
    raw_days: Annotated[int, Meta(ge=0)] = 30
    """How long an upload stays as it came; 0 is for ever."""
    derived_days: Annotated[int, Meta(ge=0)] = 0
    """How long what intake made of it stays; 0 is for ever."""
    refused_days: Annotated[int, Meta(ge=0)] = 7
    """How long an upload stays that was rejected or blocked; 0 is for ever."""
    hash_list: str = ""
    """A file of clips that nobody may use: a SHA-256 or fingerprint and a label on each line."""
    hold_unscreened: bool = False
    """Whether a clip that no model looked at waits for an admin."""
    s3_bucket: str = ""
    """Where media are kept, in S3 or what speaks its protocol; empty: below ``home``."""
    s3_endpoint_url: Annotated[str, Meta(pattern=r"^(https?://[^/\s]+\S*)?$")] = ""
    """A server of your own; empty is AWS."""
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: str = ""
    """Without keys they are looked for where AWS's tools look."""
    captioner_url: Annotated[str, Meta(pattern=r"^(https?://[^/\s]+\S*)?$")] = ""
    """A model that describes pictures, an OpenAI-compatible ``…/v1``; empty: none."""
    captioner_model: str = ""
    """What that server calls the model."""
    captioner_key: str = ""
    captioner_key_file: str = ""
    """A file with the server's key, which is then in no process's environment."""
    rewriter_url: Annotated[str, Meta(pattern=r"^(https?://[^/\s]+\S*)?$")] = ""
    """A language model that rewrites prompts, an OpenAI-compatible ``…/v1``; empty: none."""
    rewriter_model: str = ""
    """What that server calls the model."""
    rewriter_key: str = ""
    rewriter_key_file: str = ""
    """A file with the server's key, which is then in no process's environment."""
    log_level: str = "INFO"
    otlp_endpoint: Annotated[str, Meta(pattern=r"^(https?://[^/\s]+\S*)?$")] = ""
    """A collector of traces, such as ``http://127.0.0.1:4318``, by OTLP/HTTP; empty: none."""

    @property
    def public_url(self) -> str:
        """Where people reach the gateway."""
        return self.gateway_url or f"http://{self.http_host}:{self.http_port}"

    @property
    def logs(self) -> Path:
        """Where every process writes its log."""
        return self.home / "logs"

    @property
    def media(self) -> Path:
        """Where the local media store is."""
        return self.home / "media"


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings of an environment.

    Raises:
        SettingError: a variable is unknown or its value does not fit.
    """
    known = get_type_hints(Settings)
    values: dict[str, Any] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in ONLY_FOR_TESTS:
            continue
        field = name.removeprefix(PREFIX).lower()
        if field not in known:
            near = difflib.get_close_matches(field, known, n=1)
            hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
            raise SettingError(f"unknown setting {name}{hint}")
        if value:
            values[field] = value
    values["home"] = str(Path(values.get("home", default_home(environ))).expanduser().absolute())
    for name in _FILES & values.keys():
        values[name] = str(Path(values[name]).expanduser().absolute())
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as wrong:
        field = str(wrong).rpartition("$.")[2].rstrip("`")
        raise SettingError(f"{PREFIX}{field.upper()}: {wrong}") from None


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that ``read`` makes the same settings of, for a child process."""
    return {
        PREFIX + name.upper(): str(value)
        for name, value in msgspec.structs.asdict(settings).items()
        if value != ""
    }


def _path(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)
