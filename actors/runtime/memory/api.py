"""The JetStream API over what a broker holds: as much of it as the runtime calls."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from actors.runtime.memory.clock import EPOCH
from actors.runtime.memory.consumers import Arrived, told
from actors.runtime.memory.holdings import Holdings
from actors.runtime.memory.streams import Kept, MemoryStream, RefusedError

NO_MESSAGE: Final = 10037
NOT_DELETED: Final = 10057
NOT_SUPPORTED: Final = 10025
PAGE: Final = 1024

Answer = dict[str, Any]
Call = Callable[[list[str], Any], Answer]


class Api:
    """Answers one call after the other."""

    def __init__(self, *, holdings: Holdings) -> None:
        self._holdings = holdings
        self._calls: Mapping[tuple[str, ...], Call] = {
            ("INFO",): self._info,
            ("STREAM", "CREATE"): self._stream_create,
            ("STREAM", "UPDATE"): self._stream_update,
            ("STREAM", "INFO"): self._stream_info,
            ("STREAM", "NAMES"): self._stream_names,
            ("STREAM", "PURGE"): self._stream_purge,
            ("STREAM", "DELETE"): self._stream_delete,
            ("STREAM", "MSG", "GET"): self._message_get,
            ("STREAM", "MSG", "DELETE"): self._message_delete,
            ("CONSUMER", "CREATE"): self._consumer_create,
            ("CONSUMER", "INFO"): self._consumer_info,
            ("CONSUMER", "NAMES"): self._consumer_names,
            ("CONSUMER", "DELETE"): self._consumer_delete,
        }

    def answer(self, call: str, data: bytes) -> bytes:
        """Do what is asked and tell about it as JSON."""
        try:
            body = msgspec.json.decode(data) if data else {}
            return msgspec.json.encode(self._do(call.split("."), body))
        except RefusedError as refused:
            return refusal(refused)

    def direct(self, inbox: str, stream_name: str, subject: str) -> Arrived | None:
        """Return the newest message of a subject, or that there is none; nothing if unasked for."""
        stream = self._holdings.streams.get(stream_name)
        if stream is None or not stream.config.get("allow_direct"):
            return None
        kept = stream.newest(subject)
        if kept is None:
            return told(inbox, "404", "Message Not Found")
        headers = kept.headers | {
            "Nats-Stream": stream_name,
            "Nats-Subject": kept.subject,
            "Nats-Sequence": str(kept.sequence),
            "Nats-Time-Stamp": _stamp(kept.at_ns),
        }
        return Arrived(inbox, data=kept.data, headers=headers)

    def _do(self, tokens: list[str], body: Any) -> Answer:
        for length in (3, 2, 1):
            if (found := self._calls.get(tuple(tokens[:length]))) is not None:
                return found(tokens[length:], body)
        unknown = ".".join(tokens)
        raise RefusedError(NOT_SUPPORTED, f"{unknown} is not known to the broker in memory")

    def _info(self, _: list[str], __: Any) -> Answer:
        consumers = sum(len(each) for each in self._holdings.consumers.values())
        return {"streams": len(self._holdings.streams), "consumers": consumers}

    # -- streams --------------------------------------------------------------------------------

    def _stream_create(self, _: list[str], config: Any) -> Answer:
        return self._told(self._holdings.create_stream(config))

    def _stream_update(self, names: list[str], config: Any) -> Answer:
        stream = self._holdings.stream(names[0])
        stream.config = stream.config | config
        stream.expire()
        return self._told(stream)

    def _stream_info(self, names: list[str], _: Any) -> Answer:
        return self._told(self._holdings.stream(names[0]))

    def _stream_names(self, _: list[str], __: Any) -> Answer:
        return {"streams": sorted(self._holdings.streams), "limit": PAGE}

    def _stream_purge(self, names: list[str], body: Any) -> Answer:
        purged = self._holdings.stream(names[0]).purge(body.get("filter") or ">")
        return {"success": True, "purged": purged}

    def _stream_delete(self, names: list[str], _: Any) -> Answer:
        self._holdings.delete_stream(names[0])
        return {"success": True}

    def _message_get(self, names: list[str], body: Any) -> Answer:
        stream = self._holdings.stream(names[0])
        kept = (
            stream.newest(body["last_by_subj"])
            if "last_by_subj" in body
            else stream.kept.get(body.get("seq", 0))
        )
        if kept is None:
            raise RefusedError(NO_MESSAGE, "no message found")
        return {"message": _shown(kept)}

    def _message_delete(self, names: list[str], body: Any) -> Answer:
        stream = self._holdings.stream(names[0])
        if stream.config.get("deny_delete"):
            raise RefusedError(NOT_DELETED, "message delete not permitted")
        if not stream.remove(body["seq"]):
            raise RefusedError(NOT_DELETED, "no message found")
        return {"success": True}

    def _told(self, stream: MemoryStream) -> Answer:
        state = {
            "messages": len(stream.kept),
            "bytes": stream.bytes,
            "first_seq": stream.first,
            "last_seq": stream.last,
            "num_subjects": len(stream.subjects),
            "consumer_count": len(self._holdings.consumers[stream.name]),
        }
        return {"config": stream.config, "state": state}

    # -- consumers ------------------------------------------------------------------------------

    def _consumer_create(self, names: list[str], body: Any) -> Answer:
        consumer = self._holdings.create_consumer(names[0], body["config"])
        told_of = self._consumer_info([names[0], consumer.config["name"]], None)
        consumer.wake()
        return told_of

    def _consumer_info(self, names: list[str], _: Any) -> Answer:
        consumer = self._holdings.consumer(names[0], names[1])
        name = consumer.config["name"]
        about = {"stream_name": names[0], "name": name, "config": consumer.config}
        return about | consumer.info()

    def _consumer_names(self, names: list[str], _: Any) -> Answer:
        stream = self._holdings.stream(names[0]).name
        return {"consumers": sorted(self._holdings.consumers[stream]), "limit": PAGE}

    def _consumer_delete(self, names: list[str], _: Any) -> Answer:
        self._holdings.delete_consumer(names[0], names[1])
        return {"success": True}


def refusal(refused: RefusedError) -> bytes:
    """Return what the server says instead of doing it."""
    error = {"code": 400, "err_code": refused.code, "description": str(refused)}
    return msgspec.json.encode({"error": error})


def _shown(kept: Kept) -> Answer:
    shown: Answer = {
        "subject": kept.subject,
        "seq": kept.sequence,
        "data": b64encode(kept.data).decode(),
        "time": _stamp(kept.at_ns),
    }
    if kept.headers:
        lines = "".join(f"{name}: {text}\r\n" for name, text in kept.headers.items())
        shown["hdrs"] = b64encode(f"NATS/1.0\r\n{lines}\r\n".encode()).decode()
    return shown


def _stamp(at_ns: int) -> str:
    at = EPOCH + timedelta(microseconds=at_ns // 1000)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
