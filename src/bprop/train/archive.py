"""Named arrays and a JSON record in one safetensors file. Every later change to the file is detected.

Any reader of the safetensors format opens the file: eight bytes with the length of the header, the header (JSON: dtype, shape
and offsets of every array, and strings under ``__metadata__``), the numbers. The metadata holds the record as JSON, the
SHA-256 of every array and of every field of the record, so that an error can name what was changed, and the SHA-256 of the
header itself, computed with zeros in its place.

Before an array is made, a reader checks all of this: the JSON is parsed within bounds, safetensors checks types, sizes and
offsets, and `Archive.verify` compares the digests.

**Source:** safetensors format, Hugging Face (2022); FIPS 180-4 (2015), Secure hash standard.
"""

import hashlib
import json
import os
from collections.abc import Mapping
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
_ENTRY_KEYS = {"dtype", "shape", "data_offsets"}
_RECORD, _DIGEST, _DIGESTS = "record", "sha256", "digests"
_BLANK_DIGEST = "0" * 64
_MAX_HEADER_BYTES = 100_000_000  # as in the reference implementation
_MAX_AXES = 64  # of a NumPy array
_MAX_SIZE = 2**53  # an integer that every reader of JSON reads exactly
_CHUNK_BYTES = 1 << 20


class ArrayEntry(NamedTuple):
    """Dtype and shape of an array, and where its bytes lie: offsets from the end of the header."""

    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    begin: int
    end: int


def write(path: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``record`` to ``path``, completely or not at all.

    Parameters
    ----------
    path
        The file; an existing one is replaced.
    arrays
        The arrays by name, of the dtypes in `KINDS`.
    record
        Plain JSON values; numbers are finite.

    Raises
    ------
    StorageError
        If the file cannot be written. The file that was there before is intact.
    DTypeError
        For a dtype that a safetensors file cannot hold.
    """
    buffers, header, digests, end = [], {}, {}, 0
    for name, array in sorted(arrays.items()):
        if array.dtype not in _CODES:
            raise DTypeError(f"{path}: {name} is {array.dtype}, which a safetensors file cannot hold")
        # Little-endian in the file; ascontiguousarray would turn a scalar into one axis.
        array = np.require(array, array.dtype.newbyteorder("<"), "C")
        buffer = array.reshape(-1).view(np.uint8).data
        begin, end = end, end + len(buffer)
        header[name] = {
            "dtype": _CODES[array.dtype.newbyteorder("=")],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        digests[name] = hashlib.sha256(buffer).hexdigest()
        buffers.append(buffer)
    all_digests = {"arrays": digests, "fields": {key: _digest_of(value) for key, value in record.items()}}
    metadata = {
        "format": "bprop",
        _DIGEST: _BLANK_DIGEST,
        _RECORD: _json_text(record),
        _DIGESTS: _json_text(all_digests),
    }
    raw_header = _json_text({"__metadata__": metadata, **header}).encode()
    raw_header += b" " * (-len(raw_header) % 8)  # so that the numbers are aligned
    length = len(raw_header).to_bytes(8, "little")
    digest = hashlib.sha256(length + raw_header).hexdigest()
    write_whole(path, length, raw_header.replace(_BLANK_DIGEST.encode(), digest.encode(), 1), *buffers)


class Archive:
    """A file written by `write`, open for reading. No array is made before `read`.

    Parameters
    ----------
    path
        The file; a link is followed, a pipe is refused.

    Attributes
    ----------
    record
        The record as plain JSON values.
    entries
        Dtype, shape and offsets of every array by name.

    Raises
    ------
    StorageError
        If the file cannot be opened, or its header is not valid. The message names the file and the field.
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
            self._check_layout()
            self.entries = {name: self._entry(name, value) for name, value in header.items()}
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
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def refuse(self, field: str, text: str) -> NoReturn:
        """Raise the `StorageError` for ``field`` of this file."""
        raise StorageError(printable(f"{self.path}: {field:.200}: {text}"))

    # --- the header ---
    def _header(self, size: int) -> dict[str, Any]:
        prefix = self._file.read(8)
        if len(prefix) < 8:
            self.refuse("header length", f"the file has {size} bytes and is no safetensors file: it was cut off")
        length = int.from_bytes(prefix, "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
            self.refuse(
                "header length",
                f"{length} bytes in a file of {size}: it was cut off, or is no safetensors file",
            )
        raw = self._file.read(length)
        self._data_start = 8 + length
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
        blanked = raw.replace(digest, _BLANK_DIGEST.encode())
        self._header_intact = hashlib.sha256(prefix + blanked).hexdigest().encode() == digest
        return header

    def _json(self, text: str | bytes, field: str) -> dict[str, Any]:
        try:
            value = strict_json(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        except ValueError as error:
            self.refuse(field, f"no valid JSON: {error}")
        if not isinstance(value, dict):
            self.refuse(field, f"a JSON object, not {type(value).__name__}")
        return value

    def _check_layout(self) -> None:
        """Let safetensors check types, sizes and offsets of all arrays: they cover the file without gap or overlap."""
        from safetensors import SafetensorError, safe_open  # here, because `import bprop` loads NumPy only

        try:
            with safe_open(self.path, framework="numpy"):
                pass
        except SafetensorError as error:
            self.refuse(
                "header",
                f"does not fit the file: it was cut off, something was added, or the header was changed ({error})",
            )

    def _entry(self, name: str, value: Any) -> ArrayEntry:
        """Return what the header says of an array. Refuses what safetensors accepts and NumPy or other readers do not."""
        if not isinstance(value, dict) or value.keys() != _ENTRY_KEYS:
            self.refuse(repr(name), "not just dtype, shape and data_offsets")
        code, shape = value["dtype"], value["shape"]
        if not isinstance(code, str) or code not in KINDS:
            self.refuse(f"{name!r}.dtype", f"{code!r:.40} is none of {', '.join(KINDS)}")
        if len(shape) > _MAX_AXES or max(shape, default=0) > _MAX_SIZE:
            self.refuse(f"{name!r}.shape", f"{shape!r:.60} is no list of sizes")
        return ArrayEntry(np.dtype(KINDS[code]), tuple(shape), *value["data_offsets"])

    # --- the numbers ---
    def verify(self) -> None:
        """Compare all digests.

        Raises
        ------
        StorageError
            If a byte of the file is not as it was written. The message names the field, the header or the array.
        """
        arrays, fields = (self._digests.get(key) for key in ("arrays", "fields"))
        if not isinstance(arrays, dict) or not isinstance(fields, dict) or arrays.keys() != self.entries.keys():
            self.refuse(f"__metadata__.{_DIGESTS}", "does not name the arrays of this file")
        changed = "was changed after the file was written (its SHA-256 is another)"
        for key in [*self.record, *(key for key in fields if key not in self.record)]:
            if key not in self.record or _digest_of(self.record[key]) != fields.get(key):
                self.refuse(f"record.{key}", changed)
        if not self._header_intact:
            self.refuse(f"__metadata__.{_DIGEST}", f"the header {changed}")
        for name, entry in self.entries.items():
            if self._digest_of_bytes(name, entry) != arrays[name]:
                self.refuse(repr(name), changed)

    def _digest_of_bytes(self, name: str, entry: ArrayEntry) -> str:
        digest, remaining = hashlib.sha256(), entry.end - entry.begin
        self._file.seek(self._data_start + entry.begin)
        while remaining:
            chunk = self._file.read(min(remaining, _CHUNK_BYTES))
            if not chunk:
                self.refuse(repr(name), "the file was cut off while it was read")
            digest.update(chunk)
            remaining -= len(chunk)
        return digest.hexdigest()

    def read(self, name: str) -> NDArray[Any]:
        """Return an array by its name, in the byte order of this machine."""
        entry = self.entries[name]
        array: NDArray[Any] = np.empty(entry.shape, entry.dtype.newbyteorder("<"))
        self._file.seek(self._data_start + entry.begin)
        if self._file.readinto(array.reshape(-1).view(np.uint8).data) != entry.end - entry.begin:  # type: ignore[attr-defined]
            self.refuse(repr(name), "the file was cut off while it was read")
        return array.astype(entry.dtype, copy=False)


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def _digest_of(value: Any) -> str:
    return hashlib.sha256(_json_text(value).encode()).hexdigest()
