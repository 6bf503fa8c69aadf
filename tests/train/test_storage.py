"""The lock of a folder: who has it, what is left behind, what was planted; and files with their largest sizes."""

import contextlib
import errno
import fcntl
import gc
import os
import platform
import time
from pathlib import Path

import pytest

from bprop.train import StorageError, storage
from bprop.train.storage import LOCK, Lock, is_locked

pytestmark = pytest.mark.skipif(os.name == "nt", reason="flock")
OURS = f"process {os.getpid()} on {platform.node()}"


def descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture(autouse=True)
def nothing_stays_open():
    gc.collect()  # what earlier tests left open is closed now
    before = descriptors()
    yield
    assert descriptors() == before


def test_a_folder_is_taken_and_given_back(tmp_path):
    assert is_locked(tmp_path) is None
    with Lock() as lock:
        assert not (tmp_path / LOCK).exists()
        lock.take(tmp_path)
        assert (tmp_path / LOCK).read_text() == OURS
        assert is_locked(tmp_path) is True
        before = descriptors()
        with Lock() as other, pytest.raises(StorageError, match=rf"another training \({OURS}\) writes to this folder"):
            other.take(tmp_path)
        assert descriptors() == before
        assert is_locked(tmp_path) is True
    assert list(tmp_path.iterdir()) == []
    assert is_locked(tmp_path) is None
    with lock:
        lock.take(tmp_path)  # again
        assert is_locked(tmp_path) is True
    assert is_locked(tmp_path) is None


def test_what_a_killed_process_has_left_is_replaced_and_not_written_to(tmp_path):
    (tmp_path / LOCK).write_text("process 1 on another")
    os.link(tmp_path / LOCK, tmp_path / "second name")
    assert is_locked(tmp_path) is False
    with Lock() as lock:
        lock.take(tmp_path)
        assert (tmp_path / LOCK).read_text() == OURS
        assert is_locked(tmp_path) is True
    assert (tmp_path / "second name").read_text() == "process 1 on another"
    assert os.listdir(tmp_path) == ["second name"]


@pytest.mark.parametrize("owner", ["", "process 1 on ü"])
def test_an_owner_that_has_not_said_who_it_is(tmp_path, owner):
    (tmp_path / LOCK).write_bytes(owner.encode("latin-1"))
    said = "of an unknown process" if not owner else "process 1 on \ufffd"
    with open(tmp_path / LOCK, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with Lock() as lock, pytest.raises(StorageError, match=rf"another training \({said}\)"):
            lock.take(tmp_path)
    assert (tmp_path / LOCK).exists()


@pytest.mark.parametrize(("times", "fine"), [(1, True), (4, True), (5, False)])
def test_a_glance_at_the_lock_does_not_count(tmp_path, times, fine, monkeypatch):
    """`held` locks for a moment: it is tried again, five times in all."""
    glances, naps, flock = [True] * times, [], fcntl.flock

    def glanced(descriptor, how):
        if glances and glances.pop():
            raise BlockingIOError
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", glanced)
    monkeypatch.setattr(time, "sleep", naps.append)
    with Lock() as lock:
        with contextlib.nullcontext() if fine else pytest.raises(StorageError, match="another training"):
            lock.take(tmp_path)
        assert is_locked(tmp_path) is fine
    assert naps == [0.02] * times


def test_without_locks_nothing_is_guarded_and_nothing_left(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *arguments: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks")))
    with Lock() as first:
        first.take(tmp_path)
        assert list(tmp_path.iterdir()) == []
        with Lock() as second:
            second.take(tmp_path)
    assert is_locked(tmp_path) is None


def test_a_lock_that_is_always_another_file(tmp_path, monkeypatch):
    """Whenever it is locked, another file has just taken its name."""
    path, flock, locked = tmp_path / LOCK, fcntl.flock, []

    def late(descriptor, how):
        flock(descriptor, how)
        path.unlink()
        path.touch()
        locked.append(how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Lock() as lock, pytest.raises(StorageError, match="was replaced again and again while the folder was taken"):
        lock.take(tmp_path)
    assert len(locked) == 100


def test_a_lock_that_comes_and_goes(tmp_path, monkeypatch):
    """It is there whenever it should be made, and gone whenever it should be opened."""
    tried, open_file = [], os.open

    def absent(path, flags, *mode):
        if Path(path).name != LOCK:
            return open_file(path, flags, *mode)
        made = bool(flags & os.O_CREAT)
        tried.append("create" if made else "open")
        raise (FileExistsError if made else FileNotFoundError)

    monkeypatch.setattr(os, "open", absent)
    with Lock() as lock, pytest.raises(StorageError, match="comes and goes: the folder cannot be taken"):
        lock.take(tmp_path)
    assert tried == ["create", "open"] * 100


def test_what_stands_in_the_place_of_the_lock(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("keep me")
    folder = tmp_path / "folder"
    folder.mkdir()
    for plant in (lambda p: p.symlink_to(secret), lambda p: p.mkdir(), os.mkfifo):
        plant(folder / LOCK)
        with Lock() as lock, pytest.raises(StorageError, match="it is in the place of the folder's lock"):
            lock.take(folder)
        assert is_locked(folder) is None
        (folder / LOCK).rmdir() if (folder / LOCK).is_dir() else (folder / LOCK).unlink()
    assert secret.read_text() == "keep me"
    with Lock() as lock, pytest.raises(StorageError, match=r"the folder .*missing cannot be written: No such file"):
        lock.take(tmp_path / "missing")


def test_what_was_left_and_cannot_be_removed(tmp_path, monkeypatch):
    (tmp_path / LOCK).touch()
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: (_ for _ in ()).throw(PermissionError(13, "no")))
    with Lock() as lock, pytest.raises(StorageError, match="was left by another training, and cannot be removed: no"):
        lock.take(tmp_path)


def test_an_owner_that_cannot_be_written_matters_to_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", lambda *args: (_ for _ in ()).throw(OSError(28, "full")))
    with Lock() as lock:
        lock.take(tmp_path)
        assert is_locked(tmp_path) is True


def test_files_up_to_their_largest_size(tmp_path):
    path = tmp_path / "file"
    storage.write_whole(path, b"12", memoryview(b"345"))
    assert storage.read(path) == storage.read(path, 5) == b"12345"
    for call, text in (
        (lambda: storage.read(path, 4), "has 5 bytes, more than the 4 that such a file may have"),
        (lambda: storage.read(tmp_path / "none"), "No such file"),
        (lambda: storage.read(tmp_path), "is no file"),
        (lambda: storage.write_whole(tmp_path / "no" / "file", b"1"), "No such file"),
    ):
        with pytest.raises(StorageError, match=text) as caught:
            call()
        assert caught.value.message.startswith(str(tmp_path))
    assert storage.LARGEST_RECORD == 64_000_000
