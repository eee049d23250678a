"""Folders and small secret files of the embedded servers: who owns them and who may enter."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from effectmesh.embedded.errors import HomeInUseError, UnreachableFolderError, UnsafeFolderError
from effectmesh.embedded.process import ENVIRONMENT, GRACE_S, Account

MAX_SOCKET_BYTES: Final = 100
"""The kernel's limit is 104 (macOS) or 108, with the closing zero."""
_SECRET_BYTES: Final = 24
_CHECK_WITHIN_S: Final = 10.0
_DYING_WITHIN_S: Final = GRACE_S + 5.0
_POLL_S: Final = 0.02
_MAX_PID_BYTES: Final = 20
_ROOT_HOME: Final = Path("/var/tmp/effectmesh-0")  # noqa: S108 - guarded by own_folder


def default_home(environ: Mapping[str, str]) -> Path:
    """Return where the servers keep their data when nobody says where.

    For root that is below /var/tmp, since the database runs as another user, who cannot enter
    root's own folder.
    """
    if os.geteuid() == 0:
        return _ROOT_HOME
    state = environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "effectmesh"


def own_folder(folder: Path, *, mode: int = 0o700, account: Account | None = None) -> Path:
    """Make a folder that is ours (or the account's), or make sure that it is.

    A folder that exists keeps its rights, whoever made it may have had a reason.

    Raises:
        UnsafeFolderError: it is a link, no folder, somebody else's, or open to everybody.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        _must_be_ours(folder, account)
    else:
        folder.chmod(mode)  # the umask may have taken some of it
    if account and folder.lstat().st_uid != account.uid:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    return folder


def _must_be_ours(folder: Path, account: Account | None) -> None:
    found = folder.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFolderError(folder, "is a link")
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFolderError(folder, "is not a folder")
    owners = {os.geteuid(), account.uid if account else os.geteuid()}
    if found.st_uid not in owners:
        raise UnsafeFolderError(folder, f"belongs to user {found.st_uid}")
    if found.st_mode & stat.S_IWOTH:
        raise UnsafeFolderError(folder, "can be written by everybody")


def blocked_at(path: Path, account: Account | None) -> Path | None:
    """Return the first folder on the way to ``path`` that the account cannot enter.

    Asked of the kernel as that user, so that groups and access lists count as they do.
    """
    if account is None:
        return None
    ways = [str(way) for way in (*reversed(path.absolute().parents), path.absolute())]
    asked = subprocess.run(
        [
            "/bin/sh",
            "-c",
            'for d; do test -x "$d" || { printf %s "$d"; exit 0; }; done',
            "-",
            *ways,
        ],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        env=ENVIRONMENT,
        capture_output=True,
        timeout=_CHECK_WITHIN_S,
        check=True,
    )
    return Path(os.fsdecode(asked.stdout)) if asked.stdout else None


def must_reach(path: Path, account: Account | None) -> None:
    """Make sure that the account can enter a folder.

    Raises:
        UnreachableFolderError: it cannot; the folder in the way is named.
    """
    blocked = blocked_at(path, account)
    if blocked is not None:
        assert account is not None
        raise UnreachableFolderError(blocked, account.name)


def socket_folder(preferred: Path, file_name: str, account: Account | None, short: Path) -> Path:
    """Return a folder for a socket: the preferred one, or one below ``short`` where that must be.

    It must when the path is too long for the kernel or holds a comma, which clients read as a list.

    Raises:
        UnsafeFolderError: somebody else got there first.
    """
    if len(os.fsencode(preferred / file_name)) > MAX_SOCKET_BYTES or "," in str(preferred):
        mark = hashlib.sha256(os.fsencode(preferred)).hexdigest()[:12]
        preferred = short / f"effectmesh-{os.geteuid()}-{mark}"
    return own_folder(preferred, account=account)


def secret(path: Path) -> str:
    """Return the secret kept in a file only we can read; the first call makes it."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(_SECRET_BYTES))
    return path.read_text(encoding="ascii")


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, whole or not at all, and have it on the disk."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(path)


def is_held(home: Path) -> bool:
    """Tell whether somebody runs servers in a home."""
    lock = HomeLock(home)
    try:
        lock.take()
    except FileNotFoundError:
        return False
    except HomeInUseError:
        return True
    lock.release()
    return False


class HomeLock:
    """Keeps a second stack out of a home.

    The servers hold its file too, so the home stays locked until the last of them is gone, even
    when the process that started them was killed: two brokers on one store would ruin it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file = -1

    @property
    def files(self) -> Sequence[int]:
        """What a server has to hold."""
        return () if self._file < 0 else (self._file,)

    def take(self) -> None:
        """Take the lock; wait for the servers of a dead holder, who are on their way out.

        Raises:
            HomeInUseError: somebody has it.
        """
        file = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + _DYING_WITHIN_S
        while not _locked(file):
            holder = os.pread(file, _MAX_PID_BYTES, 0).strip()
            pid = int(holder) if holder.isdigit() else None
            if pid is None or _alive(pid) or time.monotonic() > deadline:
                os.close(file)
                raise HomeInUseError(self._home, pid)
            time.sleep(_POLL_S)
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
        self._file = file

    def release(self) -> None:
        """Let go of it. Does nothing the second time."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
