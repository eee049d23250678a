"""Files and hosts that the ``provider`` commands read, or end with what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from effectmesh.cli.console import USAGE, fail
from schemas.routing import ProviderRecord
from workflows import graphs

FILE_BYTES: Final = 8 * 1024 * 1024
"""No record and no graph is larger."""
OBJECT_INFO_BYTES: Final = 64 * 1024 * 1024
ASK_HOST_S: Final = 30.0

_HOST_HINT: Final = "give the address of a running ComfyUI, such as http://127.0.0.1:8188"


class Named(Struct, frozen=True, kw_only=True):
    """A record as a file holds it, and the revision it says it was made from."""

    record: ProviderRecord
    body: dict[str, Any]
    made_from: int


def read_json(path: Path) -> object:
    """Return the JSON of a file, or end with what is wrong with it."""
    try:
        if path.stat().st_size > FILE_BYTES:
            fail(f"{path} is larger than {FILE_BYTES} bytes", status=USAGE)
        return msgspec.json.decode(path.read_bytes())
    except OSError as absent:
        fail(f"{path} cannot be read: {absent.strerror}", status=USAGE)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        fail(
            f"{path} is no JSON: {wrong}", hint="NaN and infinity are no JSON either", status=USAGE
        )


def read_record(path: Path) -> Named:
    """Return the record in a file: alone, or as ``show --json`` and ``import --json`` print it."""
    given = read_json(path)
    body = given.get("record", given) if isinstance(given, dict) else given
    if not isinstance(body, dict):
        fail(f"{path} holds no provider record", status=USAGE)
    if is_graph(body):
        fail(
            f"{path} is a graph, not a provider record",
            hint=f"effectmesh provider import {path}",
            status=USAGE,
        )
    try:
        record = msgspec.convert(body, ProviderRecord)
    except msgspec.ValidationError as wrong:
        fail(f"{path} is no provider record: {wrong}", status=USAGE)
    made_from = body.get("revision", 0)
    return Named(record=record, body=body, made_from=made_from if record.revision > 0 else 0)


def is_graph(given: object) -> bool:
    """Tell a graph from a record: its values are nodes."""
    if not isinstance(given, dict) or "graph" in given or "record" in given:
        return False
    return any(isinstance(each, dict) for each in given.values())


async def object_info(comfyui: str, graph: object) -> dict[str, object]:
    """Return what a host says of a graph's classes, or end with why it does not."""
    url = comfyui.rstrip("/") + "/object_info"
    try:
        async with httpx.AsyncClient(timeout=ASK_HOST_S, trust_env=False) as http:
            answer = await http.get(url)
        if answer.status_code != httpx.codes.OK or len(answer.content) > OBJECT_INFO_BYTES:
            fail(f"{comfyui} answers {answer.status_code} to /object_info", hint=_HOST_HINT)
        info = msgspec.json.decode(answer.content, type=dict[str, object])
    except (httpx.HTTPError, httpx.InvalidURL) as away:
        fail(f"{comfyui} does not answer: {away or type(away).__name__}", hint=_HOST_HINT)
    except msgspec.MsgspecError:
        fail(f"{comfyui} is no ComfyUI: its /object_info cannot be read", hint=_HOST_HINT)
    inner = graph.get("prompt", graph) if isinstance(graph, dict) else {}
    nodes = inner if isinstance(inner, dict) else {}
    used = graphs.classes({name: node for name, node in nodes.items() if isinstance(node, dict)})
    return {name: about for name, about in info.items() if name in used}
