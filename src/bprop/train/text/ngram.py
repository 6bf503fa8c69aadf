"""An n-gram model of characters: what a network has to beat."""

import numpy as np
from numpy.typing import NDArray

from ...core.error import ArgumentError
from .corpus import Ids


class NGram:
    """Probabilities of a character given the ``order`` - 1 before it, with interpolated Witten–Bell smoothing.

    p(c | h) = (n(hc) + d(h) p(c | h')) / (n(h) + d(h)): n counts in the text that is learned from, d(h) is how many different
    characters follow h there, h' is h without its first character; below the empty h lies 1/``vocabulary``.

    **Source:** Witten & Bell (1991), The zero-frequency problem; Chen & Goodman (1999), An empirical study of smoothing
    techniques for language modeling, section 2.5.

    >>> import numpy as np
    >>> from bprop.train.text.ngram import NGram
    >>> model = NGram(np.array([0, 1, 0, 1, 0, 1]), 2, order=2)
    >>> model.bits(np.array([0, 1, 0]), 1) < 0.5
    True
    """

    def __init__(self, ids: Ids, vocabulary: int, order: int = 3) -> None:
        if vocabulary**order > 2**62:
            raise ArgumentError(f"NGram: {vocabulary} characters to the power of {order} are too many to count")
        self.vocabulary, self.order = vocabulary, order
        self._tables = []
        for size in range(1, order + 1):
            grams, counts = np.unique(self._codes(ids, size), return_counts=True)
            contexts, first = np.unique(grams // vocabulary, return_index=True)
            followers = np.diff(first, append=len(grams))
            totals = np.add.reduceat(counts, first) if len(grams) else counts
            self._tables.append((grams, counts, contexts, totals, followers))

    def _codes(self, ids: Ids, size: int) -> Ids:
        """Return a number for every run of ``size`` characters in ``ids``: its digits are their numbers."""
        count = max(len(ids) - size + 1, 0)
        codes = np.zeros(count, np.int64)
        for offset in range(size):
            codes = codes * self.vocabulary + ids[offset : offset + count]
        return codes

    def probabilities(self, ids: Ids, first: int) -> NDArray[np.float64]:
        """Return the probability of each character of ``ids`` from position ``first`` on, given all before it."""
        p = np.full(len(ids) - first, 1 / self.vocabulary)
        for size, (grams, counts, contexts, totals, followers) in enumerate(self._tables, 1):
            if not len(grams):
                break
            start = max(first, size - 1)  # before it there are not enough characters
            codes = self._codes(ids, size)[start - size + 1 :]
            n_gram, n, d = (
                _looked_up(keys, values, wanted)
                for keys, values, wanted in (
                    (grams, counts, codes),
                    (contexts, totals, codes // self.vocabulary),
                    (contexts, followers, codes // self.vocabulary),
                )
            )
            part = p[start - first :]
            p[start - first :] = np.where(n > 0, (n_gram + d * part) / np.maximum(n + d, 1), part)
        return p

    def bits(self, ids: Ids, first: int) -> float:
        """Return the mean of -log₂ p over the characters from position ``first`` on: bits per character."""
        return float(-np.mean(np.log2(self.probabilities(ids, first))))


def _looked_up(keys: Ids, values: Ids, wanted: Ids) -> Ids:
    """Return the value of each key that is wanted, 0 where there is none; ``keys`` are sorted."""
    positions = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[positions] == wanted, values[positions], 0)


__all__ = ["NGram"]
