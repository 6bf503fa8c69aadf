"""Files that appear whole or not at all, whatever happens while they are written."""

import contextlib
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path

from ..core.error import BpropError

LOCK = ".bprop.lock"


class StorageError(BpropError, OSError):
    """A file or folder of a run cannot be read or written."""


def write_whole(path: Path, *parts: bytes | memoryview) -> None:
    """Write ``parts`` to a temporary file in the same folder, flush it to disk and rename it to ``path``.

    Whoever reads ``path``, even after the process was killed or the power failed, finds the old content or the new one.
    Raises `StorageError`, and the old content is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            write_all(descriptor, parts)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        _discard(temporary)
        raise StorageError(f"{path}: {reason(error)}") from None
    except BaseException:
        _discard(temporary)
        raise


def write_all(descriptor: int, parts: Iterable[bytes | memoryview]) -> None:
    """Write every byte of ``parts``, however few the system takes at a time."""
    for part in parts:
        rest = memoryview(part).cast("B") if len(part) else memoryview(b"")
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to disk, so that a rename outlives a power failure."""
    if os.name == "nt":  # folders cannot be opened there, and renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        """Take a folder. Raises `StorageError` if another training has it, or it cannot be written."""
        path = folder / LOCK
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise StorageError(f"the folder {folder} cannot be written: {reason(error)}") from None
            for _ in range(5):  # `held` looks by locking the file itself, for a moment
                locked = _locked(descriptor, exclusive=True)
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
                _discard(path)
                return
            with contextlib.suppress(OSError):  # the file may be another by now, if its last owner has just removed it
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    break
            os.close(descriptor)
        self._path, self._descriptor = path, descriptor
        with contextlib.suppress(OSError):  # who it is, is only for the message above
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode("ascii", "replace"))

    def __exit__(self, *error: object) -> None:
        if self._path is not None:
            _discard(self._path)  # before it is unlocked: whoever opened it meanwhile finds that it is gone
            os.close(self._descriptor)
            self._path = None


def held(folder: Path) -> bool | None:
    """Return whether a training that lives has the folder, or ``None`` where that cannot be known."""
    try:
        with open(folder / LOCK, "rb") as file:
            return _locked(file.fileno(), exclusive=False)
    except OSError:
        return None


def _locked(descriptor: int, exclusive: bool) -> bool | None:
    """Lock a file; return true if that was impossible since another process has, ``None`` if there are no locks."""
    try:
        import fcntl
    except ImportError:  # no POSIX
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def discard_leftovers(folder: Path, name: str) -> None:
    """Remove temporary files of ``name`` that a killed process has left in ``folder``."""
    for path in folder.glob(f".{name}.*"):
        _discard(path)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """Return why the system refused, and what helps where it is known."""
    import errno

    advice = {
        errno.ENOSPC: ": free some space, or choose a folder on another disk",
        errno.EDQUOT: ": free some space, or choose a folder outside the quota",
        errno.EFBIG: ": the file may not become as large as that here (ulimit -f)",
        errno.EROFS: ": choose a folder on a disk that can be written",
        errno.EACCES: ": choose a folder that you may write",
    }
    return f"{error.strerror or error}{advice.get(error.errno or 0, '')}"
