"""Compiled code on disk, found again by the fingerprint of what it was made from.

An entry is one file: a mark, the SHA-256 of all that follows, a header and an object file. Native code is trusted with
everything, so an entry is used only if the folder and the file belong to this user and nobody else may write to them, and
if it is, byte for byte, what was written under its name; any other is as good as none. Whatever the file system does, a
program is compiled: the worst that can happen is that it is not kept.
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
from pathlib import Path
from typing import Any, NamedTuple

from ...core.file import is_temporary, open_plain, write_whole

MARK = b"bprop code 1\n"
LIMIT = 256.0
"""Megabytes that are kept if ``BPROP_CACHE_SIZE`` does not say."""
LARGEST = 10**9
"""Bytes of the largest entry: a file of more is none, and is not read."""
FORGOTTEN = 3600.0
"""Seconds after which a temporary file has no writer any more."""
_NAME = re.compile(r"[0-9a-f]{64}\.code")
_said: set[str] = set()


class Entry(NamedTuple):
    """A compiled program: its object file and what must be known to run it.

    ``symbols``: functions of the C library that it calls; ``facts``: numbers that whoever calls it needs; ``about``: what
    `bprop cache` shows of it.
    """

    code: bytes
    symbols: tuple[str, ...]
    facts: dict[str, int]
    about: dict[str, Any]


class Listed(NamedTuple):
    """A file of the store as it is listed; ``about`` is ``None`` where it is damaged."""

    path: Path
    size: int
    used: float
    about: dict[str, Any] | None


class Store:
    """A folder of compiled programs of at most ``limit`` bytes; what was used longest ago goes first.

    >>> from bprop.compile.runtime.object_cache import Entry, Store
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store(Path(folder) / "cache")
    ...     store.put("0" * 64, Entry(b"code", ("expf",), {"arena": 128}, {"name": "step"}))
    ...     store.get("0" * 64).code, store.get("1" * 64)
    (b'code', None)
    """

    def __init__(self, folder: Path, limit: int = int(LIMIT * 10**6)) -> None:
        self.folder = folder
        self.limit = limit

    def get(self, key: str) -> Entry | None:
        """Return what is kept under ``key``, or ``None``."""
        path = self._path(key)
        try:
            if not self._safe():
                return None
            found = _read(path, key)
        except OSError:
            return None
        if found is None:
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            with contextlib.suppress(OSError):
                os.utime(path)
        return found

    def put(self, key: str, entry: Entry) -> None:
        """Keep ``entry`` under ``key``, if the file system allows it."""
        header = {"key": key, **{name: value for name, value in entry._asdict().items() if name != "code"}}
        text = json.dumps(header).encode()
        body = len(text).to_bytes(4, "little") + text + entry.code
        whole = MARK + hashlib.sha256(body).digest() + body
        if len(whole) > min(self.limit, LARGEST):
            return
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
            if not self._safe():
                return
            write_whole(self._path(key), whole, mode=0o600, lasting=False)  # what a power failure damages is noticed
            self._prune()
        except OSError:  # a full disk, a folder that cannot be written: then nothing is kept
            pass

    def entries(self) -> list[Listed]:
        """Return what the folder holds, the last used first."""
        found = []
        for path, state in self._files():
            with contextlib.suppress(OSError):
                entry = _read(path, path.stem)
                found.append(Listed(path, state.st_size, state.st_mtime, entry.about if entry else None))
        return sorted(found, key=lambda one: -one.used)

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
        """Return why the folder is not used, or nothing: others may have put something into it, or made the link to it."""
        try:
            link, folder = os.lstat(self.folder), os.stat(self.folder)
        except OSError:  # there is none, so nobody put anything there
            return ""
        if stat.S_ISLNK(link.st_mode) and _foreign(link):
            return "is a link that belongs to another user"
        reason = _refusal(folder) if stat.S_ISDIR(folder.st_mode) else ""
        return f"{reason} (chmod go-w makes it usable)" if reason and not _foreign(folder) else reason

    def _safe(self) -> bool:
        """Return whether there is a folder, and nobody else can have put something into it."""
        reason = self.refusal()
        if reason:
            _say(f"compiled code is not kept in {self.folder}: the folder {reason}")
        return not reason and self.folder.is_dir()

    def _files(self, temporary: bool = False) -> Iterator[tuple[Path, os.stat_result]]:
        with contextlib.suppress(OSError):
            for one in os.scandir(self.folder):
                if _NAME.fullmatch(one.name) or (temporary and is_temporary(one.name)):
                    with contextlib.suppress(OSError):
                        yield Path(one.path), one.stat(follow_symlinks=False)

    def _prune(self) -> None:
        files = sorted(self._files(temporary=True), key=lambda one: -one[1].st_mtime)
        total, now = 0, time.time()
        for path, state in files:
            total += state.st_size
            stale = is_temporary(path.name) and now - state.st_mtime > FORGOTTEN
            if total > self.limit or stale:
                with contextlib.suppress(OSError):
                    path.unlink()


def store() -> Store | None:
    """Return the store that the environment names, or ``None`` where code is not to be kept.

    ``BPROP_CACHE=0`` (or empty) switches it off, ``BPROP_CACHE_DIR`` moves it (else it is in ``XDG_CACHE_HOME`` or
    ``~/.cache``), and ``BPROP_CACHE_SIZE`` says how many megabytes it may take.
    """
    if os.environ.get("BPROP_CACHE", "1").strip().lower() in ("", "0", "off", "no", "false"):
        return None
    text = os.environ.get("BPROP_CACHE_SIZE", "").strip()
    try:
        limit = float(text or LIMIT)
        if not 0 <= limit < 10**12:
            raise ValueError
    except ValueError:
        _say(f"BPROP_CACHE_SIZE={text!r} is not a number of megabytes: {LIMIT:.0f} are kept")
        limit = LIMIT
    folder = folder_of_store()
    return Store(folder, int(limit * 10**6)) if folder is not None and limit > 0 else None


def folder_of_store() -> Path | None:
    """Return where compiled code is kept, or ``None`` where this user has no place for it."""
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
    """Return the entry in a file, or ``None`` if it is not what was written under ``key``."""
    with open(open_plain(path), "rb") as file:
        state = os.fstat(file.fileno())
        reason = _refusal(state)
        if reason:
            _say(f"compiled code in {path} is not used: it {reason}")
            return None
        if state.st_size > LARGEST:
            return None
        whole = file.read()
    place = len(MARK) + 32
    body = whole[place:]
    if whole[:place] != MARK + hashlib.sha256(body).digest():
        return None
    try:
        start = 4 + int.from_bytes(body[:4], "little")
        header = json.loads(body[4:start])
        if header.pop("key") != key:
            return None
        return Entry(body[start:], **{**header, "symbols": tuple(header["symbols"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _foreign(state: os.stat_result) -> bool:
    """Return whether something belongs to another user; where there are no owners, a user's own folders are theirs."""
    return hasattr(os, "geteuid") and state.st_uid != os.geteuid()


def _refusal(state: os.stat_result) -> str:
    """Return why something is not to be trusted, or nothing."""
    if _foreign(state):
        return "belongs to another user"
    if hasattr(os, "geteuid") and state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):  # elsewhere there are access lists
        return "can be written by others"
    return ""


_lock = threading.Lock()


def _say(message: str) -> None:
    """Warn, once for every message."""
    with _lock:
        if message in _said:
            return
        _said.add(message)
    warnings.warn(message, RuntimeWarning, stacklevel=2)
