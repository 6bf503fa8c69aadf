"""The files of runs: errors that say what helps, and the lock that makes a folder one training's alone."""

import contextlib
import os
import platform
import time
from pathlib import Path

from ..core import file
from ..core.error import BpropError
from ..core.file import create, discard, lock, open_plain, reason

LOCK = ".bprop.lock"
_TRIES = 100
LARGEST_RECORD = 64_000_000
"""Bytes of the largest JSON file of a run: a larger one is not read."""


class StorageError(BpropError, OSError):
    """A file or folder of a run cannot be read or written."""


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
    """Inside its ``with`` block a folder, once taken, is this training's alone; it ends with the process, however that ends.

    A locked file in the folder says so: by ``flock``, which network file systems pass on to their server (NFS since
    Linux 2.6.12) or refuse. Where there is no such lock, the folder is not guarded.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._descriptor = -1

    def __enter__(self) -> "Lock":
        return self

    def take(self, folder: Path) -> None:
        """Take a folder. Raises `StorageError` if another training has it, or it cannot be written.

        Nothing is written but to a file made here: what lies there under the lock's name is, once nobody holds it, replaced.
        """
        path = folder / LOCK
        for _ in range(_TRIES):
            descriptor, is_new = _opened(path)
            for _ in range(5):  # `held` looks by locking the file itself, for a moment
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
                _remove(path, descriptor)  # left by a process that was killed; whoever holds its lock may do that
            os.close(descriptor)
        else:
            raise StorageError(f"{path} was replaced again and again while the folder was taken: name another folder")
        self._path, self._descriptor = path, descriptor
        with contextlib.suppress(OSError):  # who it is, is only for the message above
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode("ascii", "replace"))

    def __exit__(self, *error: object) -> None:
        if self._path is not None:
            discard(self._path)  # before it is unlocked: whoever opened it meanwhile finds that it is gone
            os.close(self._descriptor)
            self._path = None


def _opened(path: Path) -> tuple[int, bool]:
    """Return a descriptor of the file at ``path``, and whether it was made now."""
    for _ in range(_TRIES):
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


def held(folder: Path) -> bool | None:
    """Return whether a training that lives has the folder, or ``None`` where that cannot be known."""
    try:
        descriptor = open_plain(folder / LOCK)
    except OSError:
        return None
    try:
        return lock(descriptor, exclusive=False)
    finally:
        os.close(descriptor)
