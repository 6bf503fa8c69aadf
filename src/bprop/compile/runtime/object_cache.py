"""Object files on disk, under the fingerprint of what they were compiled from.

An entry is one file: a mark, the SHA-256 of all that follows, a header and object files. Native code can do everything
that this user can. So an entry is used only if the folder and the file belong to this user and nobody else may write to
them, and if its bytes have the digest that was written with them; any other is treated as absent. A fault of the file
system is never an error: the program is compiled, and at worst not stored.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import threading
import time
import warnings
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ...core.file import is_temporary, open_plain, write_whole

MARK = b"bprop code 2\n"
DEFAULT_MEGABYTES = 256.0
"""How much is stored unless ``BPROP_CACHE_SIZE`` says otherwise."""
MAX_ENTRY_BYTES = 10**9
"""A larger file is not read, and treated as absent."""
STALE_SECONDS = 3600.0
"""The age from which a temporary file is taken for left behind by a process that was killed."""
_NAME = re.compile(r"[0-9a-f]{64}\.code")
_warned: set[str] = set()


class Entry(NamedTuple):
    """A compiled program: its object files and what is needed to run it.

    ``symbols``: functions of the C library that it calls; ``facts``: numbers that the caller needs; ``about``: what
    `bprop cache` shows.
    """

    code: tuple[bytes, ...]
    symbols: tuple[str, ...]
    facts: dict[str, int]
    about: dict[str, Any]


class Listed(NamedTuple):
    """A file of the store, for a listing. ``about`` is ``None`` where it is damaged."""

    path: Path
    size: int
    used: float
    about: dict[str, Any] | None


class Store:
    """A folder of compiled programs of at most ``limit`` bytes. The least recently used are removed first.

    >>> from bprop.compile.runtime.object_cache import Entry, Store
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store(Path(folder) / "cache")
    ...     store.put("0" * 64, Entry((b"code",), ("expf",), {"arena": 128}, {"name": "step"}))
    ...     store.get("0" * 64).code, store.get("1" * 64)
    ((b'code',), None)
    """

    def __init__(self, folder: Path, limit: int = int(DEFAULT_MEGABYTES * 10**6)) -> None:
        self.folder = folder
        self.limit = limit

    def get(self, key: str) -> Entry | None:
        """Return the entry under ``key``, or ``None``."""
        path = self._path(key)
        try:
            if not self._is_trusted():
                return None
            entry = _read(path, key)
        except OSError:
            return None
        if entry is None:
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            with contextlib.suppress(OSError):
                os.utime(path)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Store ``entry`` under ``key``, if the file system allows it."""
        header = {"key": key, **entry._asdict(), "code": [len(part) for part in entry.code]}
        text = json.dumps(header).encode()
        body = b"".join([len(text).to_bytes(4, "little"), text, *entry.code])
        content = MARK + hashlib.sha256(body).digest() + body
        if len(content) > min(self.limit, MAX_ENTRY_BYTES):
            return
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
            if not self._is_trusted():
                return
            write_whole(self._path(key), content, mode=0o600, lasting=False)  # damage by a power failure is noticed
            self._prune()
        except OSError:  # a full disk, a folder that cannot be written: nothing is stored
            pass

    def entries(self) -> list[Listed]:
        """Return what the folder holds, the most recently used first."""
        result = []
        for path, state in self._files():
            with contextlib.suppress(OSError):
                entry = _read(path, path.stem)
                result.append(Listed(path, state.st_size, state.st_mtime, entry.about if entry else None))
        return sorted(result, key=lambda listed: -listed.used)

    def clear(self) -> tuple[int, int]:
        """Remove every entry; return how many there were and their bytes."""
        number = total = 0
        for path, state in self._files(temporary=True):
            with contextlib.suppress(OSError):
                path.unlink()
                number += bool(_NAME.fullmatch(path.name))
                total += state.st_size
        return number, total

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.code"

    def refusal(self) -> str:
        """Return why the folder is not trusted, or nothing: others can write into it, or made the link to it."""
        try:
            link, folder = os.lstat(self.folder), os.stat(self.folder)
        except OSError:  # it does not exist, so nobody can have written into it
            return ""
        if stat.S_ISLNK(link.st_mode) and _foreign(link):
            return "is a link that belongs to another user"
        reason = _refusal(folder) if stat.S_ISDIR(folder.st_mode) else ""
        return f"{reason} (chmod go-w makes it usable)" if reason and not _foreign(folder) else reason

    def _is_trusted(self) -> bool:
        """Return whether the folder exists and nobody else can have written into it."""
        reason = self.refusal()
        if reason:
            _warn_once(f"compiled code is not kept in {self.folder}: the folder {reason}")
        return not reason and self.folder.is_dir()

    def _files(self, temporary: bool = False) -> Iterator[tuple[Path, os.stat_result]]:
        with contextlib.suppress(OSError):
            for file in os.scandir(self.folder):
                if _NAME.fullmatch(file.name) or (temporary and is_temporary(file.name)):
                    with contextlib.suppress(OSError):
                        yield Path(file.path), file.stat(follow_symlinks=False)

    def _prune(self) -> None:
        files = sorted(self._files(temporary=True), key=lambda pair: -pair[1].st_mtime)
        total, now = 0, time.time()
        for path, state in files:
            total += state.st_size
            stale = is_temporary(path.name) and now - state.st_mtime > STALE_SECONDS
            if total > self.limit or stale:
                with contextlib.suppress(OSError):
                    path.unlink()


def store() -> Store | None:
    """Return the store that the environment names, or ``None`` where it switches storing off.

    ``BPROP_CACHE=0`` (or empty) switches it off, ``BPROP_CACHE_DIR`` moves it (else it is in ``XDG_CACHE_HOME`` or
    ``~/.cache``), and ``BPROP_CACHE_SIZE`` says how many megabytes it may take.
    """
    if os.environ.get("BPROP_CACHE", "1").strip().lower() in ("", "0", "off", "no", "false"):
        return None
    text = os.environ.get("BPROP_CACHE_SIZE", "").strip()
    try:
        limit = float(text or DEFAULT_MEGABYTES)
        if not 0 <= limit < 10**12:
            raise ValueError
    except ValueError:
        _warn_once(f"BPROP_CACHE_SIZE={text!r} is not a number of megabytes: {DEFAULT_MEGABYTES:.0f} are kept")
        limit = DEFAULT_MEGABYTES
    folder = folder_of_store()
    return Store(folder, int(limit * 10**6)) if folder is not None and limit > 0 else None


def folder_of_store() -> Path | None:
    """Return the folder of compiled code, or ``None`` where this user has no folder for it."""
    chosen = os.environ.get("BPROP_CACHE_DIR", "").strip()
    if chosen:
        return Path(chosen).absolute()
    for variable, below in (("XDG_CACHE_HOME", ""), ("LOCALAPPDATA" if os.name == "nt" else "HOME", ".cache")):
        base = os.environ.get(variable, "")
        if os.path.isabs(base):
            return Path(base, below, "bprop")
    try:
        import pwd

        home = pwd.getpwuid(os.geteuid()).pw_dir
    except (ImportError, KeyError):
        return None
    return Path(home, ".cache", "bprop") if os.path.isabs(home) else None


def _read(path: Path, key: str) -> Entry | None:
    """Return the entry in a file, or ``None`` if it is not what was written for ``key``."""
    with open(open_plain(path), "rb") as file:
        state = os.fstat(file.fileno())
        reason = _refusal(state)
        if reason:
            _warn_once(f"compiled code in {path} is not used: it {reason}")
            return None
        if state.st_size > MAX_ENTRY_BYTES:
            return None
        content = file.read()
    start_of_body = len(MARK) + 32
    body = content[start_of_body:]
    if content[:start_of_body] != MARK + hashlib.sha256(body).digest():
        return None
    try:
        start = 4 + int.from_bytes(body[:4], "little")
        header = json.loads(body[4:start])
        if header.pop("key") != key:
            return None
        ends = accumulate(header["code"], initial=start)
        code = tuple(body[begin:end] for begin, end in pairwise(ends))
        return Entry(**{**header, "code": code, "symbols": tuple(header["symbols"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _foreign(state: os.stat_result) -> bool:
    """Return whether something belongs to another user. Where files have no owners, a user's folders are taken for theirs."""
    return hasattr(os, "geteuid") and state.st_uid != os.geteuid()


def _refusal(state: os.stat_result) -> str:
    """Return why something is not to be trusted, or nothing."""
    if _foreign(state):
        return "belongs to another user"
    if hasattr(os, "geteuid") and state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):  # elsewhere there are access lists
        return "can be written by others"
    return ""


_lock = threading.Lock()


def _warn_once(message: str) -> None:
    """Warn, but only once with the same message."""
    with _lock:
        if message in _warned:
            return
        _warned.add(message)
    warnings.warn(message, RuntimeWarning, stacklevel=2)
