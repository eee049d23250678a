"""How the server behaves, and how much it takes on.

The defaults are the good behaviour. The switches bring back what real servers were seen to do,
or provoke a fault, so that a client can be tested against it without a broken server.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class Behaviour(Struct, frozen=True, kw_only=True):
    """Switches for what a client must survive."""

    deaf_socket: bool = False
    """A closing socket takes the newer one with the same client id off the list."""
    late_history_lookups: int = 0
    """So many times the history, and the job, of a finished prompt are answered as not there."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Class of node -> how many times it fails before it works."""
    stuck_at: frozenset[str] = frozenset()
    """Classes of nodes that do not end before somebody interrupts the run."""
    node_errors_on_accept: bool = False
    """Every accepted prompt is answered 200 with an entry in ``node_errors``."""
    silent_nodes: bool = False
    """Only ColorTransfer reports progress, as on a real server."""
    interrupt_between_nodes: bool = False
    """A request to stop is looked at between nodes only."""
    stale_names: bool = False
    """A cached output is named again although its file is gone or another's."""
    unchecked_combos: bool = False
    """Dynamic combos are not validated; a wrong choice fails when the node runs."""


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of the server."""

    memory_bytes: int = 4 << 30
    """Images of one run, the cache included."""
    cache_bytes: int = 1 << 30
    cache_entries: int = 512
    queue: int = 256
    history: int = 1000
    upload_bytes: int = 100 << 20
    """The whole request body, as on a real server."""
    json_bytes: int = 16 << 20
    graph_nodes: int = 200
    """Validation and cache keys walk a graph recursively."""
    sockets: int = 64
    messages_waiting: int = 20_000
    """A socket that falls so far behind is closed."""
