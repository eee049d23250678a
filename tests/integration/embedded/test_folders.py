"""Who owns the folders and the secrets of the embedded servers."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from effectmesh.embedded.errors import HomeInUseError, UnsafeFolderError
from effectmesh.embedded.folders import (
    MAX_SOCKET_BYTES,
    HomeLock,
    default_home,
    own_folder,
    secret,
    socket_folder,
)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_and_only_we_can_read_it(tmp_path: Path) -> None:
    """A restart that changed it would lock out every client that is still there."""
    first = secret(tmp_path / "password")

    assert secret(tmp_path / "password") == first
    assert len(first) >= 32
    assert _mode(tmp_path / "password") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


def test_two_homes_have_different_secrets(tmp_path: Path) -> None:
    """A constant would not be one."""
    assert secret(tmp_path / "one") != secret(tmp_path / "two")


def test_the_umask_does_not_change_what_a_folder_allows(tmp_path: Path) -> None:
    """Root's home must let the database's user pass, whatever the shell's habits."""
    before = os.umask(0o077)
    try:
        own_folder(tmp_path / "home", mode=0o711)
    finally:
        os.umask(before)

    assert _mode(tmp_path / "home") == 0o711


def test_a_folder_that_exists_keeps_its_rights(tmp_path: Path) -> None:
    """Somebody may have had a reason."""
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o750)

    own_folder(there, mode=0o711)

    assert _mode(there) == 0o750


def test_a_folder_open_to_everybody_is_refused(tmp_path: Path) -> None:
    """Anybody could put another database in place of ours."""
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o777)

    with pytest.raises(UnsafeFolderError, match="can be written by everybody"):
        own_folder(there)


def test_a_link_and_a_file_are_refused(tmp_path: Path) -> None:
    """Below /var/tmp anybody may have put them there before us."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_text("")

    with pytest.raises(UnsafeFolderError, match="is a link"):
        own_folder(tmp_path / "link")
    with pytest.raises(UnsafeFolderError, match="is not a folder"):
        own_folder(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    """A folder prepared by another user is a trap."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12_345, 12_345)

    with pytest.raises(UnsafeFolderError, match="belongs to user 12345"):
        own_folder(theirs)


@pytest.mark.parametrize("name", ["deep" * 30, "a,b"])
def test_a_socket_moves_where_its_path_would_not_do(tmp_path: Path, name: str) -> None:
    """The kernel limits its length, and clients read a comma as two hosts."""
    unfit = tmp_path / name / "socket"

    folder = socket_folder(unfit, ".s.PGSQL.5432", None, Path("/var/tmp"))
    again = socket_folder(unfit, ".s.PGSQL.5432", None, Path("/var/tmp"))
    folder.rmdir()

    assert folder == again
    assert len(os.fsencode(folder / ".s.PGSQL.5432")) <= MAX_SOCKET_BYTES
    assert "," not in str(folder)


def test_a_lock_knows_its_holder_and_can_be_taken_after_it_was_released(tmp_path: Path) -> None:
    """The message must say whom to stop."""
    first, second = HomeLock(tmp_path), HomeLock(tmp_path)
    first.take()

    with pytest.raises(HomeInUseError) as refused:
        second.take()
    first.release()
    second.take()
    second.release()

    assert refused.value.pid == os.getpid()


def test_the_default_home_is_one_the_database_can_reach() -> None:
    """Root's own folder is closed to the user the database runs as."""
    home = default_home({"XDG_STATE_HOME": "/state"})

    assert home == Path("/var/tmp/effectmesh-0" if os.geteuid() == 0 else "/state/effectmesh")
