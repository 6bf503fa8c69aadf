"""The files of runs: their errors, and the lock on a folder."""

import contextlib
import os
import platform
import time
from pathlib import Path

from ..core import file
from ..core.error import BpropError
from ..core.file import create, discard, lock, open_plain, reason

LOCK = ".bprop.lock"
_MAX_TRIES = 100
LARGEST_RECORD = 64_000_000
"""Bytes of the largest JSON file of a run: a larger one is not read."""


class StorageError(BpropError, OSError):
    """A file or folder of a run cannot be read or written."""


def run_folder(path: str | os.PathLike[str]) -> Path:
    """Return the path of a folder that is there; raises `StorageError` saying how to find one else."""
    folder = Path(path)
    if not folder.is_dir():
        raise StorageError(f"{folder} is no folder of a run: `bprop runs` lists those there are")
    return folder


def write_whole(path: Path, *buffers: bytes | memoryview) -> None:
    """Write a file as `bprop.core.file.write_whole` does. Raises `StorageError`, and the old content is still there."""
    try:
        file.write_whole(path, *buffers)
    except OSError as error:
        raise StorageError(f"{path}: {reason(error)}") from None


def read(path: Path, most: int = LARGEST_RECORD) -> bytes:
    """Return the content of a file of at most ``most`` bytes. Raises `StorageError`; a pipe is not waited for."""
    try:
        return file.read(path, most)
    except OSError as error:
        raise StorageError(f"{path}: {reason(error)}") from None


class Lock:
    """A lock on the folder of a run, so that only one training writes to it. Use it in a ``with`` block, and call `take`.

    It is an ``flock`` on a file in the folder, which ends with the process, however that ends. Network file systems pass it on to
    their server (NFS since Linux 2.6.12) or refuse it. Without such locks the folder is not protected.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._descriptor = -1

    def __enter__(self) -> "Lock":
        return self

    def take(self, folder: Path) -> None:
        """Lock a folder. Raises `StorageError` if another training has locked it, or it cannot be written.

        Only a new file is written to. A file that is already there under the lock's name is replaced once nobody holds its lock.
        """
        path = folder / LOCK
        for _ in range(_MAX_TRIES):
            descriptor, is_new = _open_lock_file(path)
            for _ in range(5):  # `is_locked` locks the file itself for a moment
                locked = lock(descriptor, exclusive=True)
                if not locked:
                    break
                time.sleep(0.02)
            if locked:
                owner = os.read(descriptor, 100).decode("ascii", "replace")
                os.close(descriptor)
                raise StorageError(
                    f"{folder}: another training ({owner or 'of an unknown process'}) writes to this folder: wait for it to "
                    f"end, or name another folder"
                ) from None
            if locked is None:
                os.close(descriptor)
                discard(path)
                return
            if _names(path, descriptor):  # another file by now, if the last owner has just removed it
                if is_new:
                    break
                _remove(path, descriptor)  # of a process that was killed; its lock is ours now
            os.close(descriptor)
        else:
            raise StorageError(f"{path} was replaced again and again while the folder was taken: name another folder")
        self._path, self._descriptor = path, descriptor
        with contextlib.suppress(OSError):  # the owner is only for the message above
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode("ascii", "replace"))

    def __exit__(self, *error: object) -> None:
        if self._path is not None:
            discard(self._path)  # before it is unlocked: a process that has opened it meanwhile notices that it is gone
            os.close(self._descriptor)
            self._path = None


def _open_lock_file(path: Path) -> tuple[int, bool]:
    """Return a descriptor of the lock file, and whether it is new."""
    for _ in range(_MAX_TRIES):
        try:
            return create(path), True
        except FileExistsError:
            pass
        except OSError as error:
            raise StorageError(f"the folder {path.parent} cannot be written: {reason(error)}") from None
        try:
            return open_plain(path, write=True), False
        except FileNotFoundError:  # removed by its owner just now
            continue
        except OSError as error:
            raise StorageError(f"{path}: {reason(error)}: it is in the place of the folder's lock") from None
    raise StorageError(f"{path} comes and goes: the folder cannot be taken")


def _remove(path: Path, descriptor: int) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"{path} was left by another training, and cannot be removed: {reason(error)}") from None


def _names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def is_locked(folder: Path) -> bool | None:
    """Return whether a running training has locked the folder, or ``None`` if that cannot be known."""
    try:
        descriptor = open_plain(folder / LOCK)
    except OSError:
        return None
    try:
        return lock(descriptor, exclusive=False)
    finally:
        os.close(descriptor)
