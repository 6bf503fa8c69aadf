"""Reading what a run stored: every field is looked at before it is used, and a wrong one is named."""

import json
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from .weight import StorageError


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
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path} is not text") from None
    try:
        return Field(json.loads(text), str(path))
    except json.JSONDecodeError as error:
        raise RecordError(f"{path}: line {error.lineno}: this is no JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:  # nested a thousand deep, or a number of ten thousand digits
        raise RecordError(f"{path}: this is no record of a run: {error}") from None
