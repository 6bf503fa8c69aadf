"""Files that appear whole or not at all, whatever happens while they are written."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from ..core.error import BpropError


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


def hold(descriptor: int) -> bool:
    """Mark an open file as this process's own until it is closed, be it by a kill; false if another process holds it.

    Where the system or the file's disk has no such marks, nothing is known and the answer is true.
    """
    for _ in range(5):  # `held` looks by holding the file itself, for a moment
        if not _locked(descriptor, exclusive=True):
            return True
        time.sleep(0.02)
    return False


def held(path: Path) -> bool | None:
    """Return whether a process that lives holds the file at ``path``, or ``None`` where that cannot be known."""
    try:
        with open(path, "rb") as file:
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
