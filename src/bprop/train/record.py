"""Reading the JSON files of a run: every field is validated before it is used, and a wrong one is named."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import inf, isfinite
from pathlib import Path
from typing import Any, TypeVar

from .storage import StorageError, read

_T = TypeVar("_T")
_MAX_VALUES = 4_000_000  # in a JSON text
_MAX_DIGITS = 300  # of an integer, which can then be converted to a float
_MAX_DEPTH = 100  # lists and objects inside each other
_INTEGERS_END = 2**63


class RecordError(StorageError):
    """A record was changed or damaged: the message names the file and the field."""


class Field:
    """A value in a JSON file, with the path that leads to it. It validates itself, and errors name the path.

    Parameters
    ----------
    value
        What the JSON says.
    file
        The name of the file, for messages.
    path
        Keys and positions that lead to the value, as in ``size[1]``.

    >>> from bprop.train.record import Field
    >>> field = Field({"size": [3, "x"]}, "run.json")
    >>> field["size"][0].integer()
    3
    >>> try:
    ...     field["size"][1].integer()
    ... except StorageError as error:
    ...     print(error.message)
    run.json: size[1] is a whole number, not 'x'
    """

    def __init__(self, value: Any, file: str, path: str = "") -> None:
        self.value, self.file, self.path = value, file, path

    def error(self, text: str) -> RecordError:
        """Return an error that names this field."""
        return RecordError(f"{self.file}: {self.path or 'the record'}: {text}")

    def _wrong(self, wanted: str) -> RecordError:
        return RecordError(f"{self.file}: {self.path or 'the record'} is {wanted}, not {self.value!r:.60}")

    def __getitem__(self, key: str | int) -> "Field":
        if isinstance(key, int):
            if not isinstance(self.value, list):
                raise self._wrong("a list")
            return Field(self.value[key], self.file, f"{self.path}[{key}]")
        path = f"{self.path}.{key}" if self.path else key
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        if key not in self.value:
            raise RecordError(f"{self.file}: {path} is not there")
        return Field(self.value[key], self.file, path)

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def items(self) -> Iterator["Field"]:
        """Return the entries of a list."""
        if not isinstance(self.value, list):
            raise self._wrong("a list")
        return (self[position] for position in range(len(self.value)))

    def entries(self) -> Iterator[tuple[str, "Field"]]:
        """Return the entries of an object."""
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        return ((key, self[key]) for key in self.value)

    def exactly(self, *keys: str) -> Iterator["Field"]:
        """Return the entries of an object that has these keys and no others."""
        if not isinstance(self.value, dict) or self.value.keys() != set(keys):
            raise self._wrong(f"an object with just {', '.join(keys)}")
        return (self[key] for key in keys)

    def optional(self, read: Callable[["Field"], _T]) -> _T | None:
        """Return ``None`` for null, else what ``read`` returns for this field."""
        return None if self.value is None else read(self)

    def text(self) -> str:
        """Return a text."""
        if not isinstance(self.value, str):
            raise self._wrong("a text")
        return self.value

    def texts(self) -> list[str]:
        """Return a list of texts."""
        return [field.text() for field in self.items()]

    def choice(self, choices: Sequence[str]) -> str:
        """Return a text that is one of ``choices``."""
        if self.value not in choices:
            raise self._wrong(" or ".join(map(repr, choices)))
        return str(self.value)

    def truth(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self._wrong("true or false")
        return self.value

    def integer(self, least: int = 0, most: int = _INTEGERS_END - 1) -> int:
        """Return an integer from ``least`` to ``most``."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self._wrong("a whole number")
        if not least <= self.value <= most:
            raise self._wrong(f"a whole number from {least} to {most}")
        return self.value

    def number(self, *, least: float = -inf, above: float = -inf) -> float:
        """Return a finite number, at least ``least`` and larger than ``above``; an integer has at most 64 bits."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise self._wrong("a finite number")
        if isinstance(value, int) and abs(value) >= _INTEGERS_END:
            raise self._wrong("a number of at most 64 bits")
        if not value > above:
            raise self._wrong(f"a number above {above:g}")
        if value < least:
            raise self._wrong(f"a number from {least:g}")
        return float(value)


def read_json(path: Path) -> Field:
    """Return the content of a JSON file.

    Raises
    ------
    StorageError
        If the file cannot be read.
    RecordError
        If it holds no JSON, or JSON that bprop never writes (see `strict_json`).
    """
    try:
        return Field(strict_json(read(path)), str(path))
    except json.JSONDecodeError as error:
        raise RecordError(f"{path}: line {error.lineno}: this is no JSON: {error.msg}") from None
    except ValueError as error:
        raise RecordError(f"{path}: this is no record of a run: {error}") from None


def read_lines(content: bytes, path: Path) -> list[dict[str, Any]]:
    """Return the records of epochs in a file of JSON lines.

    Parameters
    ----------
    content
        The bytes of the file: one JSON object per line, with the number of the epoch under ``epoch``.
    path
        Its path, for messages.

    Raises
    ------
    RecordError
        For a line that is no such object. The message names the line.
    """
    records = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            fields = Field(strict_json(line), f"{path}: line {number}")
        except ValueError as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise RecordError(f"{path}: line {number} is no JSON: {what}") from None
        fields["epoch"].integer()
        records.append({name: field.value for name, field in fields.entries()})
    return records


def strict_json(text: bytes) -> Any:
    """Parse JSON within bounds, so that a hostile file costs neither much time nor much memory.

    Raises `ValueError` for what is no JSON, and for JSON that bprop never writes: a key that occurs twice, NaN and infinities,
    numbers of hundreds of digits, deep nesting, millions of values. The bounds are checked before and during parsing.

    >>> from bprop.train.record import strict_json
    >>> strict_json(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    values = sum(map(text.count, (b",", b"[", b"{")))  # an upper bound, since texts may hold these characters, too
    if values > _MAX_VALUES:
        raise ValueError(f"{values:,} values, of at most {_MAX_VALUES:,}")
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite, parse_int=_integer
        )
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    except RecursionError:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep") from None
    level, depth = [value], 0
    while level and depth <= _MAX_DEPTH:  # without recursion
        containers = [
            node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)
        ]
        level, depth = [child for children in containers for child in children], depth + 1
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        key = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {key!r:.60} occurs twice")
    return mapping


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError(f"{digits:.40} is too large a number")
    return number


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def json_bytes(value: Any, indent: int | None = None) -> bytes:
    """Return plain values as JSON in UTF-8, with a line feed at the end.

    Half of a surrogate pair, which UTF-8 cannot encode, is written as JSON's escape.

    >>> from bprop.train.record import json_bytes
    >>> json_bytes({"größe": chr(0xD800)}).decode() == '{"größe": "' + "\\\\" + 'ud800"}' + chr(10)
    True
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")
