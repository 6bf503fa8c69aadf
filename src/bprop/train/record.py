"""Reading what a run stored: every field is looked at before it is used, and a wrong one is named."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from .storage import StorageError, read

_MOST = 4_000_000  # values in a JSON text
_DIGITS = 300  # of an integer, which is then a float, too
_DEEPEST = 100  # lists and objects in one another


class RecordError(StorageError):
    """A record was changed or damaged: the message names the file and the field."""


class Field:
    """A value in a JSON file together with its path, so that what is wrong with it can be said.

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

    def text(self) -> str:
        """Return a text."""
        if not isinstance(self.value, str):
            raise self._wrong("a text")
        return self.value

    def choice(self, choices: Sequence[str]) -> str:
        """Return one of the given texts."""
        if self.value not in choices:
            raise self._wrong(" or ".join(map(repr, choices)))
        return str(self.value)

    def truth(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self._wrong("true or false")
        return self.value

    def integer(self, least: int = 0, most: int = 2**63) -> int:
        """Return a whole number from ``least`` to ``most``."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self._wrong("a whole number")
        if not least <= self.value <= most:
            raise self._wrong(f"a whole number from {least} to {most}")
        return self.value

    def number(self, above: float = float("-inf")) -> float:
        """Return a finite number larger than ``above``."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not isfinite(self.value):
            raise self._wrong("a finite number")
        if not self.value > above:
            raise self._wrong(f"a number above {above:g}")
        return float(self.value)


def read_json(path: Path) -> Field:
    """Return the content of a JSON file. Raises `StorageError` where it cannot be read, `RecordError` if it is no JSON."""
    try:
        return Field(strict_json(read(path)), str(path))
    except json.JSONDecodeError as error:
        raise RecordError(f"{path}: line {error.lineno}: this is no JSON: {error.msg}") from None
    except ValueError as error:
        raise RecordError(f"{path}: this is no record of a run: {error}") from None


def read_lines(content: bytes, path: Path) -> list[dict[str, Any]]:
    """Return the records of epochs in the ``content`` of ``path``, one per line. Raises `RecordError` naming the line."""
    made = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            fields = Field(strict_json(line), f"{path}: line {number}")
        except ValueError as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise RecordError(f"{path}: line {number} is no JSON: {what}") from None
        fields["epoch"].integer()
        made.append({name: one.value for name, one in fields.entries()})
    return made


def strict_json(text: bytes) -> Any:
    """Return what a JSON text says. Raises `ValueError` for what bprop never writes.

    That is: a key that occurs twice, NaN and infinities, numbers of hundreds of digits, and what would take much time or
    memory, lists in one another and millions of values. Everything is decided before or while it is read.

    >>> from bprop.train.record import strict_json
    >>> strict_json(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    values = sum(map(text.count, (b",", b"[", b"{")))  # in texts, too: never less than there are
    if values > _MOST:
        raise ValueError(f"{values:,} values, of at most {_MOST:,}")
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite, parse_int=_integer
        )
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    except RecursionError:
        raise ValueError(f"nested more than {_DEEPEST} deep") from None
    level, depth = [value], 0
    while level and depth <= _DEEPEST:  # without recursion
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level, depth = [one for values in inside for one in values], depth + 1
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        key = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {key!r:.60} occurs twice")
    return made


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError(f"{digits:.40} is too large a number")
    return number


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def json_bytes(value: Any, indent: int | None = None) -> bytes:
    """Return plain values as JSON, with a line feed; half of a surrogate pair, which UTF-8 has not, is written as JSON's escape.

    >>> from bprop.train.record import json_bytes
    >>> json_bytes({"größe": chr(0xD800)}).decode() == '{"größe": "' + "\\\\" + 'ud800"}' + chr(10)
    True
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")
