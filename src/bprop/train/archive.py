"""Named arrays and a JSON record in one safetensors file that notices every change made to it afterwards.

The file is a safetensors file that any reader of that format opens: eight bytes with the length of the header, the header
(JSON: dtype, shape and place of every array, and under ``__metadata__`` strings), the numbers. The metadata holds the record
as JSON, the SHA-256 of every array and of every field of the record, so that what was changed can be named, and the SHA-256
of the header itself, computed with zeros in its place. Reading looks at all of this before an array is made.

**Source:** safetensors format, Hugging Face (2022); FIPS 180-4 (2015), Secure hash standard.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..core.error import DTypeError
from ..core.file import open_plain, reason
from ..core.printable import printable
from .record import strict_json
from .storage import StorageError, write_whole

KINDS = {
    "BOOL": np.bool_, "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "U8": np.uint8,
    "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "F16": np.float16, "F32": np.float32, "F64": np.float64,
}  # fmt: skip
_CODES = {np.dtype(kind): code for code, kind in KINDS.items()}
_RECORD, _DIGEST, _DIGESTS = "record", "sha256", "digests"
_ZEROS = "0" * 64
_LONGEST = 100_000_000  # bytes of header, as in the reference implementation
_LARGEST = 2**53  # an integer that every reader of JSON knows exactly
_CHUNK = 1 << 20


class Entry(NamedTuple):
    """Where an array stands in the file, and what it is."""

    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    begin: int
    end: int


def write(path: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``record`` (plain values with finite numbers) to ``path``, whole or not at all.

    Raises `StorageError` where that is impossible, `DTypeError` for numbers that such a file cannot hold.
    """
    parts, header, digests, place = [], {}, {}, 0
    for name, array in sorted(arrays.items()):
        if array.dtype not in _CODES:
            raise DTypeError(f"{path}: {name} is {array.dtype}, which a safetensors file cannot hold")
        # Little-endian in the file; ascontiguousarray would turn a scalar into one axis.
        array = np.require(array, array.dtype.newbyteorder("<"), "C")
        part = array.reshape(-1).view(np.uint8).data
        header[name] = {
            "dtype": _CODES[array.dtype.newbyteorder("=")],
            "shape": list(array.shape),
            "data_offsets": [place, place + len(part)],
        }
        digests[name] = hashlib.sha256(part).hexdigest()
        place += len(part)
        parts.append(part)
    known = {"arrays": digests, "fields": {key: _digest_of(value) for key, value in record.items()}}
    metadata = {"format": "bprop", _DIGEST: _ZEROS, _RECORD: _text(record), _DIGESTS: _text(known)}
    head = _text({"__metadata__": metadata, **header}).encode()
    head += b" " * (-len(head) % 8)  # so that the numbers are aligned
    length = len(head).to_bytes(8, "little")
    digest = hashlib.sha256(length + head).hexdigest()
    write_whole(path, length, head.replace(_ZEROS.encode(), digest.encode(), 1), *parts)


class Archive:
    """A file written by `write`, open for reading: ``record`` and ``entries`` are known and checked, no array is made.

    Raises `StorageError` naming the file and what in it is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = open(open_plain(path, follow=True), "rb")  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise StorageError(f"{path}: {reason(error)}") from None
        try:
            size = os.fstat(self._file.fileno()).st_size
            header = self._header(size)
            metadata = header.pop("__metadata__")
            self.entries = self._table(header, size - self._start)
            self.record = self._json(metadata[_RECORD], f"__metadata__.{_RECORD}")
            self._digests = self._json(metadata[_DIGESTS], f"__metadata__.{_DIGESTS}")
        except OSError as error:
            self._file.close()
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"{path}: {reason(error)}") from None
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def refuse(self, field: str, text: str) -> NoReturn:
        """Raise the `StorageError` for ``field`` of this file."""
        raise StorageError(printable(f"{self.path}: {field:.200}: {text}"))

    # --- the header ---
    def _header(self, size: int) -> dict[str, Any]:
        first = self._file.read(8)
        if len(first) < 8:
            self.refuse("header length", f"the file has {size} bytes and is no safetensors file: it was cut off")
        length = int.from_bytes(first, "little")
        if not 2 <= length <= min(size - 8, _LONGEST):
            self.refuse(
                "header length",
                f"{length} bytes in a file of {size}: it was cut off, or is no safetensors file",
            )
        raw = self._file.read(length)
        self._start = 8 + length
        header = self._json(raw, "header")
        metadata = header.get("__metadata__")
        if not isinstance(metadata, dict) or metadata.get("format") != "bprop":
            self.refuse("__metadata__.format", "not 'bprop': the file was written by another program")
        for key in (_DIGEST, _RECORD, _DIGESTS):
            if not isinstance(metadata.get(key), str):
                self.refuse(f"__metadata__.{key}", "missing")
        digest = metadata[_DIGEST].encode("ascii", "replace")
        if len(digest) != 64 or raw.count(digest) != 1:
            self.refuse(f"__metadata__.{_DIGEST}", "no SHA-256 in hexadecimal digits")
        blank = raw.replace(digest, _ZEROS.encode())
        self._intact = hashlib.sha256(first + blank).hexdigest().encode() == digest
        return header

    def _json(self, text: str | bytes, field: str) -> dict[str, Any]:
        try:
            value = strict_json(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        except json.JSONDecodeError as error:
            self.refuse(field, f"no valid JSON ({error})")
        except ValueError as error:
            self.refuse(field, f"no valid JSON: {error}")
        if not isinstance(value, dict):
            self.refuse(field, f"a JSON object, not {type(value).__name__}")
        return value

    def _table(self, header: Mapping[str, Any], size: int) -> dict[str, Entry]:
        entries = {name: self._entry(name, value, size) for name, value in header.items()}
        place = 0
        for name, entry in sorted(entries.items(), key=lambda pair: pair[1][2:]):
            if entry.begin != place:
                what = "overlaps the array before it" if entry.begin < place else "leaves a gap before it"
                self.refuse(f"{name!r}.data_offsets", f"begins at {entry.begin}, not {place}: it {what}")
            place = entry.end
        if place != size:
            what = "it was cut off" if size < place else "something was added"
            self.refuse("file length", f"{size} bytes of numbers where the header says {place}: {what}")
        return entries

    def _entry(self, name: str, value: Any, size: int) -> Entry:
        if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
            self.refuse(repr(name), "not just dtype, shape and data_offsets")
        code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
        if not isinstance(code, str) or code not in KINDS:
            self.refuse(f"{name!r}.dtype", f"{code!r:.40} is none of {', '.join(KINDS)}")
        if not isinstance(shape, list) or len(shape) > 64 or not all(_is_count(n) for n in shape):
            self.refuse(f"{name!r}.shape", f"{shape!r:.60} is no list of sizes")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_count(n) for n in offsets):
            self.refuse(f"{name!r}.data_offsets", f"{offsets!r:.60} is no pair of places")
        dtype = np.dtype(KINDS[code])
        needed = prod(shape) * dtype.itemsize
        if offsets[1] - offsets[0] != needed:
            self.refuse(f"{name!r}.data_offsets", f"{offsets!r} for {needed} bytes of shape {shape!r:.60}")
        if offsets[1] > size:
            self.refuse(f"{name!r}.data_offsets", f"{offsets!r} in a file with {size} bytes of numbers: it was cut off")
        return Entry(dtype, tuple(shape), *offsets)

    # --- the numbers ---
    def verify(self) -> None:
        """Raise `StorageError` if a byte of the file is not as it was written: names the array, or the header."""
        arrays, fields = (self._digests.get(key) for key in ("arrays", "fields"))
        if not isinstance(arrays, dict) or not isinstance(fields, dict) or arrays.keys() != self.entries.keys():
            self.refuse(f"__metadata__.{_DIGESTS}", "does not name the arrays of this file")
        changed = "was changed after the file was written (its SHA-256 is another)"
        for key in [*self.record, *(key for key in fields if key not in self.record)]:
            if key not in self.record or _digest_of(self.record[key]) != fields.get(key):
                self.refuse(f"record.{key}", changed)
        if not self._intact:
            self.refuse(f"__metadata__.{_DIGEST}", f"the header {changed}")
        for name, entry in self.entries.items():
            digest, rest = hashlib.sha256(), entry.end - entry.begin
            self._file.seek(self._start + entry.begin)
            while rest:
                part = self._file.read(min(rest, _CHUNK))
                if not part:
                    self.refuse(repr(name), "the file was cut off while it was read")
                digest.update(part)
                rest -= len(part)
            if digest.hexdigest() != arrays[name]:
                self.refuse(repr(name), changed)

    def read(self, name: str) -> NDArray[Any]:
        """Return an array."""
        entry = self.entries[name]
        array: NDArray[Any] = np.empty(entry.shape, entry.dtype.newbyteorder("<"))
        self._file.seek(self._start + entry.begin)
        if self._file.readinto(array.reshape(-1).view(np.uint8).data) != entry.end - entry.begin:  # type: ignore[attr-defined]
            self.refuse(repr(name), "the file was cut off while it was read")
        return array.astype(entry.dtype, copy=False)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def _digest_of(value: Any) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()
