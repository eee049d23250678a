"""Every stream and consumer of a broker, by name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from actors.runtime.memory.clock import VirtualClock
from actors.runtime.memory.consumers import Network, PullConsumer, PushConsumer
from actors.runtime.memory.faults import Faults
from actors.runtime.memory.matching import filters_of, overlap
from actors.runtime.memory.streams import MemoryStream, RefusedError, Say

AnyConsumer = PullConsumer | PushConsumer

NO_STREAM: Final = 10059
NO_CONSUMER: Final = 10014
NAME_TAKEN: Final = 10058
SUBJECTS_TAKEN: Final = 10065
NEEDS_ACK: Final = 10098
FILTER_TAKEN: Final = 10100


class Holdings:
    """What a broker keeps."""

    def __init__(
        self,
        *,
        network: Network,
        clock: VirtualClock,
        faults: Faults,
        dice: random.Random,
        say: Say,
    ) -> None:
        self._network = network
        self._clock = clock
        self._faults = faults
        self._dice = dice
        self._say = say
        self.streams: dict[str, MemoryStream] = {}
        self.consumers: dict[str, dict[str, AnyConsumer]] = {}

    # -- streams --------------------------------------------------------------------------------

    def stream(self, name: str) -> MemoryStream:
        """Return a stream.

        Raises:
            RefusedError: there is none of that name.
        """
        if name not in self.streams:
            raise RefusedError(NO_STREAM, "stream not found")
        self.streams[name].expire()
        return self.streams[name]

    def stream_for(self, subject: str) -> MemoryStream | None:
        """Return the stream that stores a subject."""
        return next((each for each in self.streams.values() if each.takes(subject)), None)

    def create_stream(self, config: dict[str, Any]) -> MemoryStream:
        """Make a stream; the same one again is no error.

        Raises:
            RefusedError: the name or a subject is taken.
        """
        name = config["name"]
        if name in self.streams:
            if self.streams[name].config != config:
                why = "stream name already in use with a different configuration"
                raise RefusedError(NAME_TAKEN, why)
            return self.streams[name]
        for other in self.streams.values():
            taken = other.config.get("subjects") or ()
            if any(overlap(ours, theirs) for ours in config["subjects"] for theirs in taken):
                raise RefusedError(SUBJECTS_TAKEN, "subjects overlap with an existing stream")
        self.streams[name] = MemoryStream(config=config, clock=self._clock, say=self._say)
        self.consumers[name] = {}
        return self.streams[name]

    def delete_stream(self, name: str) -> None:
        """Take a stream and its consumers away."""
        for consumer in self.consumers.pop(self.stream(name).name).values():
            consumer.close()
        del self.streams[name]

    # -- consumers ------------------------------------------------------------------------------

    def consumer(self, stream: str, name: str) -> AnyConsumer:
        """Return a consumer.

        Raises:
            RefusedError: there is no such stream, or no such consumer.
        """
        found = self.consumers[self.stream(stream).name].get(name)
        if found is None:
            raise RefusedError(NO_CONSUMER, "consumer not found")
        return found

    def find(self, stream: str, name: str) -> AnyConsumer | None:
        """Return a consumer, or nothing."""
        return self.consumers.get(stream, {}).get(name)

    def create_consumer(self, stream_name: str, config: dict[str, Any]) -> AnyConsumer:
        """Make a consumer; one of the same name takes over the configuration.

        Raises:
            RefusedError: a work queue has another consumer for some of the same messages.
        """
        stream = self.stream(stream_name)
        name = config.get("durable_name") or config.get("name") or self._some_name()
        config = config | {"name": name}
        self._check_queue(stream, config)
        known = self.consumers[stream_name]
        if name in known:
            known[name].configure(config)
            return known[name]
        known[name] = self._made(stream, config)
        return known[name]

    def delete_consumer(self, stream: str, name: str) -> None:
        """Take a consumer away."""
        self.consumer(stream, name).close()
        del self.consumers[stream][name]

    def wake(self, stream: str) -> None:
        """Let every consumer of a stream look for something new."""
        for consumer in tuple(self.consumers.get(stream, {}).values()):
            consumer.wake()

    # -- what a crash does ----------------------------------------------------------------------

    def restarted(self) -> None:
        """Lose what a server has in memory only: pull requests, and consumers without a name."""
        for stream, name, consumer in tuple(self._all()):
            if isinstance(consumer, PullConsumer):
                consumer.forget_pulls()
            else:
                self.delete_consumer(stream, name)

    def forget(self, stream: str) -> None:
        """Lose what a stream holds; it counts from one again, and its consumers start over."""
        self.stream(stream).forget()
        for consumer in self.consumers[stream].values():
            consumer.rewind()

    def _all(self) -> Iterator[tuple[str, str, AnyConsumer]]:
        for stream, consumers in self.consumers.items():
            for name, consumer in consumers.items():
                yield stream, name, consumer

    def _made(self, stream: MemoryStream, config: dict[str, Any]) -> AnyConsumer:
        if "deliver_subject" in config:
            return PushConsumer(
                stream=stream,
                config=config,
                network=self._network,
                clock=self._clock,
                gone=partial(self._gone, stream.name, config["name"]),
            )
        return PullConsumer(
            stream=stream,
            config=config,
            network=self._network,
            clock=self._clock,
            faults=self._faults,
        )

    def _gone(self, stream: str, name: str) -> None:
        if self.find(stream, name) is not None:
            self.delete_consumer(stream, name)

    def _check_queue(self, stream: MemoryStream, config: dict[str, Any]) -> None:
        """Refuse what would take messages of a work queue twice, or without acknowledgement."""
        if not stream.is_work_queue:
            return
        if config.get("ack_policy") != "explicit":
            raise RefusedError(NEEDS_ACK, "workqueue stream requires explicit ack")
        others = [
            each
            for name, consumer in self.consumers[stream.name].items()
            if name != config["name"]
            for each in filters_of(consumer.config)
        ]
        if any(overlap(ours, theirs) for ours in filters_of(config) for theirs in others):
            why = "filtered consumer not unique on workqueue stream"
            raise RefusedError(FILTER_TAKEN, why)

    def _some_name(self) -> str:
        return f"c{self._dice.getrandbits(40):010x}"
