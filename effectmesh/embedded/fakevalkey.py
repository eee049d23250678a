"""A stand-in for Valkey in Python, for machines whose wheels hold no server. Run as a script.

It listens on a socket in a folder only we can enter, since ``fakeredis`` accepts the password but
does not insist on it. It forgets everything when it ends.
"""

import signal
import socket
import sys
from pathlib import Path

from fakeredis import FakeServer, TcpFakeServer


class _SocketServer(TcpFakeServer):  # type: ignore[misc]  # fakeredis is not read by mypy
    """The stand-in on a Unix socket."""

    address_family = socket.AF_UNIX

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Return the next client under a number: by socket all clients have the same address."""
        request, _ = super().get_request()
        return request, ("client", next(self.client_ids))


def main(path: Path, password: str) -> None:
    """Serve until SIGTERM."""
    path.unlink(missing_ok=True)
    server = _SocketServer(str(path))
    server.daemon_threads = True  # or an open connection keeps us alive
    server.fake_server = FakeServer(
        server_type="valkey", config={b"requirepass": password.encode()}
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).read_text(encoding="ascii"))
