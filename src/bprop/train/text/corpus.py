"""`Corpus`: a text as numbers, one for each character, and the part of it that is held out."""

import hashlib
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError, BpropError
from ...core.file import as_path
from ..storage import read

Ids = NDArray[np.int64]
_MAX_BYTES = 1_000_000_000


class TextError(BpropError, ValueError):
    """A text cannot be read or used: the message names the file, the number, and what is allowed."""


class Corpus:
    """A text: its characters as numbers. The last tenth is held out, and nothing is learned or chosen from it.

    Parameters
    ----------
    text
        What is learned from. Raises `TextError` for an empty one.
    name
        What messages call it.

    Attributes
    ----------
    vocabulary
        The different characters of the whole text, sorted: the number of a character is its position here.
    ids
        The text as numbers, (n,).
    learned
        How many characters are learned from; the others are held out.

    >>> from bprop.train.text.corpus import Corpus
    >>> corpus = Corpus("abracadabra" * 2, "a spell")
    >>> corpus.vocabulary, corpus.ids[:5], corpus.learned
    ('abcdr', array([0, 1, 4, 0, 2]), 20)
    """

    def __init__(self, text: str, name: str) -> None:
        if not text:
            raise TextError(f"{name} is empty: there is nothing to learn from")
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        letters, ids = np.unique(points, return_inverse=True)
        self.name = name
        self.vocabulary = "".join(map(chr, letters))
        self.ids: Ids = ids.reshape(-1).astype(np.int64)
        self.learned = len(ids) - held_out(len(ids))
        self.digest = hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def check_length(self, window: int) -> None:
        """Raise `TextError` unless there is a window, with the character after it, in the part that is learned from."""
        if self.learned <= window:
            least = window + 1
            while least - held_out(least) <= window:
                least += 1
            raise TextError(
                f"{self.name} has {len(self):,} characters; with windows of {window} it has {least:,} or more (a tenth is held "
                f"out, and a window and the character after it lie in the rest): take a longer text, or a window of "
                f"1 … {max(self.learned - 1, 1)}"
            )

    def streams(self, window: int, count: int) -> tuple[Ids, Ids]:
        """Return windows (N, window) of the part that is learned from, and for every character the next one.

        The text is cut into ``count`` streams of equal length (fewer, if it is short). Row w · streams + s is window w of stream
        s, so that each batch of ``streams`` rows goes on where the last one ended.
        """
        self.check_length(window)
        count = min(count, (self.learned - 1) // window)
        steps = (self.learned - 1) // (count * window)
        first = np.arange(count)[None, :] * (steps * window) + np.arange(steps)[:, None] * window
        rows = first.reshape(-1, 1) + np.arange(window)
        return self.ids[rows], self.ids[rows + 1]

    def held_out_windows(self, window: int) -> tuple[Ids, Ids]:
        """Return windows (N, window) of the held-out part, and for every character the next one."""
        size = min(window, len(self) - self.learned)
        count = (len(self) - self.learned) // size
        rows = self.learned - 1 + np.arange(count * size).reshape(count, size)
        return self.ids[rows], self.ids[rows + 1]


def held_out(count: int) -> int:
    """Return how many characters of a text are held out: a tenth, at least one."""
    return max(count // 10, 1)


def read_text(path: str | PathLike[str]) -> Corpus:
    """Return the text in a file, which is UTF-8. Raises `TextError` naming the byte that is not, `StorageError` without file.

    >>> import pathlib, tempfile
    >>> from bprop.train.text.corpus import read_text
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "a.txt"
    ...     _ = path.write_text("a café", encoding="utf-8")
    ...     read_text(path).vocabulary
    ' acfé'
    """
    file: Path = as_path(path, "the text")
    content = read(file, _MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content.count(b"\n", 0, start) + 1
        raise TextError(
            f"{fspath(file)} is not UTF-8: byte {start:,} of {len(content):,}, counted from 0 (line {line:,}), is "
            f"0x{content[start]:02x}: {error.reason}; save it as UTF-8, say with iconv -f LATIN1 -t UTF-8"
        ) from None
    return Corpus(text, fspath(file))


def encoded(text: str, vocabulary: str, what: str) -> Ids:
    """Return the numbers of the characters of ``text``. Raises `ArgumentError` for those that the vocabulary has not."""
    numbers: dict[str, Any] = {letter: number for number, letter in enumerate(vocabulary)}
    for position, letter in enumerate(text):
        if letter not in numbers:
            shown = vocabulary if len(vocabulary) <= 200 else f"{vocabulary[:200]}…"
            raise ArgumentError(
                f"{what}: character {position} is {letter!r} (U+{ord(letter):04X}), which the text that was learned has not; "
                f"its {len(vocabulary)} characters are {shown!r}"
            )
    return np.array([numbers[letter] for letter in text], np.int64)


__all__ = ["Corpus", "Ids", "TextError", "encoded", "held_out", "read_text"]
