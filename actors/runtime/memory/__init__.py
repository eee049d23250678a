"""The broker in memory: the bus without a server, in virtual time, with faults on demand.

``clock``      time that moves only when told to, and calls whoever waits for it
``streams``    what a stream does with a message: limits, duplicates, sequences, schedules
``cursor``     which message of a stream comes next for a reader
``consumers``  pull and push consumers: requests, acknowledgements, redeliveries
``faults``     what goes wrong, each a number of times
``broker``     subscriptions, streams and consumers together, and the API of them
``listeners``  who waits for one answer, or hears a subject
``bus``        a connection, with the promises of ``actors.runtime.bus``

Build a ``MemoryBroker``, open connections with ``connected``, give them to workers, feeds and
everything else that takes a ``Transport``, and move the time with ``VirtualClock.advance``. What
the twin and a nats-server have in common is in ``tests/contract/runtime``; where they differ, in
``broker``.
"""

from actors.runtime.memory.broker import MemoryBroker
from actors.runtime.memory.bus import MemoryBus, connected
from actors.runtime.memory.clock import VirtualClock

__all__ = ["MemoryBroker", "MemoryBus", "VirtualClock", "connected"]
