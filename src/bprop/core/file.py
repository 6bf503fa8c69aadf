"""Files, made in one place: never through a link that someone planted, and under their names whole or not at all.

Whoever may write in a folder can plant something under a name that is about to be used there: a link to another file, a
second name of that file (a hard link), a pipe that is waited for. So a file is only ever made new (``O_EXCL``), under a name
that nobody can guess, and then renamed; and what is opened to be read, or to be locked, has to be a plain file.

A folder or file that the caller names may be reached through links, as in any program. A name that is chosen here, inside a
folder, is never followed. The permissions are those of any new file (0666 without the bits of the umask), or, where a file of
this user is replaced, those that it had.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .error import ArgumentError

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{32}\.part", re.DOTALL)
_BINARY, _NOFOLLOW, _NONBLOCK = (getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))


def create(path: Path, mode: int = 0o666) -> int:
    """Make a file that is not there yet, and return its descriptor. Raises `OSError` where the name is taken, by a link too."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _BINARY, mode)


def open_plain(path: Path, *, write: bool = False, follow: bool = False) -> int:
    """Open a file that is there and return its descriptor. Raises `OSError` for what is no plain file, and waits for none.

    A link is an error unless ``follow``.
    """
    flags = (os.O_RDWR if write else os.O_RDONLY) | (0 if follow else _NOFOLLOW) | _NONBLOCK | _BINARY
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK) and os.path.islink(path):
            raise OSError(errno.ELOOP, "is a link, which is not followed: remove it", str(path)) from None
        if error.errno == errno.ENXIO:  # a pipe or a socket
            raise OSError(errno.EINVAL, "is no file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no file", str(path))
    return descriptor


def read(path: Path, most: int, *, follow: bool = True) -> bytes:
    """Return the content of a plain file of at most ``most`` bytes. Raises `OSError`."""
    with open(open_plain(path, follow=follow), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    if size > most or len(content) > most:
        raise OSError(errno.EFBIG, f"has {size:,} bytes, more than the {most:,} that such a file may have", str(path))
    return content


def write_whole(path: Path, *parts: bytes | memoryview, mode: int | None = None, lasting: bool = True) -> None:
    """Write ``parts`` to a new file in the same folder, and rename it to ``path``, replacing what is there.

    Whoever reads ``path``, even after the process was killed, finds the old content or the new one; and ``lasting`` after a
    power failure, too: file and folder are flushed to disk. ``mode``: the permissions, else those of a file that is replaced
    or of any new one. Raises `OSError`, and the old content is still there.
    """
    os.close(_write(path, parts, mode, lasting, os.replace))


def rewrite(path: Path, *parts: bytes | memoryview) -> int:
    """Do as `write_whole`, and return the descriptor of the new file, at its end: what is written next is appended."""
    return _write(path, parts, None, True, os.replace)


def write_new(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file as `write_whole` does, but replace none: raises `FileExistsError` where the name is taken."""
    os.close(_write(path, parts, None, True, _rename_new))


def _write(
    path: Path,
    parts: Iterable[bytes | memoryview],
    mode: int | None,
    lasting: bool,
    rename: Callable[[Path, Path], None],
) -> int:
    temporary = _temporary(path)
    descriptor = create(temporary, 0o666 if mode is None else mode)
    try:
        lock(descriptor, exclusive=True)  # nobody takes it for what a killed process has left
        if mode is None:
            _keep_mode(path, descriptor)
        write_all(descriptor, parts)
        if lasting:
            os.fsync(descriptor)
        if os.name == "nt":  # an open file cannot be renamed there
            os.close(descriptor)
            rename(temporary, path)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | _BINARY)
        else:
            rename(temporary, path)
        if lasting:
            sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        discard(temporary)
        raise
    return descriptor


def _rename_new(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # fails where the name is taken; a rename would replace the file
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.rename(temporary, path)
    else:
        discard(temporary)


def _keep_mode(path: Path, descriptor: int) -> None:
    """Give a new file the permissions of the user's own file that it is going to replace."""
    if hasattr(os, "fchmod"):
        with contextlib.suppress(OSError):
            old = os.lstat(path)
            if stat.S_ISREG(old.st_mode) and old.st_uid == os.geteuid():
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)


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


def lock(descriptor: int, exclusive: bool) -> bool | None:
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


def _temporary(path: Path) -> Path:
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.with_name(f".{path.name[:50]}.{os.urandom(16).hex()}.part")  # a name has at most 255 bytes


def is_temporary(name: str) -> bool:
    """Return whether a file of this name was made by `write_whole` and its kin, and not yet renamed."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove the files that killed processes have left in ``folder`` half written; what is being written stays."""
    for entry in os.scandir(folder):
        if not is_temporary(entry.name):
            continue
        path = Path(entry.path)
        with contextlib.suppress(OSError):  # a link or a folder of that name is nobody's temporary file
            descriptor = open_plain(path, write=True)
            try:
                if not lock(descriptor, exclusive=True):
                    discard(path)
            finally:
                os.close(descriptor)


def try_writing(folder: Path) -> None:
    """Make a file in ``folder`` and remove it. Raises `OSError` where that is impossible."""
    probe = _temporary(folder / "probe")
    os.close(create(probe))
    probe.unlink()


def discard(path: Path) -> None:
    """Remove a file, if it is there and can be removed."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def as_path(value: Any, what: str) -> Path:
    """Return the path that a caller gave; `ArgumentError`, beginning with ``what``, for what names no file.

    >>> from bprop.core.file import as_path
    >>> as_path("runs/first", "fit: out").name
    'first'
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise ArgumentError(f"{what} is a path, not {value!r:.60}")
    try:
        if b"\0" in os.fsencode(text):
            raise ArgumentError(f"{what} is a path, and {text!r:.60} has a zero byte, which no path has")
    except UnicodeEncodeError:
        raise ArgumentError(f"{what} is a path, and {text!r:.60} has a character that no path has here") from None
    return Path(text)


def reason(error: OSError) -> str:
    """Return why the system refused, and what helps where it is known."""
    advice = {
        errno.ENOSPC: ": free some space, or choose a folder on another disk",
        errno.EDQUOT: ": free some space, or choose a folder outside the quota",
        errno.EFBIG: ": the file may not become as large as that here (ulimit -f)",
        errno.EROFS: ": choose a folder on a disk that can be written",
        errno.EACCES: ": choose a folder that you may write",
    }
    text = error.strerror or str(error)
    from_system = not error.errno or text == os.strerror(error.errno)
    return f"{text}{advice.get(error.errno or 0, '') if from_system else ''}"
