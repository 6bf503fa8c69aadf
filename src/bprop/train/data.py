"""Batches and splits of data: index arrays, so that inputs and targets stay together."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import ArgumentError, ShapeError
from ..core.number import integer, whole
from ..core.value import refuse_masked
from ..ops import Generator

Indices = NDArray[np.int64]


def batches(count: int, batch_size: int, generator: Generator | None = None) -> Iterator[Indices]:
    """Yield index arrays that together visit 0 … count-1 once; the last may be shorter.

    Parameters
    ----------
    count
        The number of examples.
    batch_size
        How many of them a batch has.
    generator
        Draws a random order (reproducibly: a permutation is a function of seed and counter). By default the order rises.

    Raises
    ------
    ArgumentError
        Unless ``count`` is an integer, 0 or more, and ``batch_size`` a positive one.

    **Source:** Leibe (2016), gradient descent, mini-batches.

    >>> from bprop.train import batches
    >>> [batch.tolist() for batch in batches(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    if whole(count, 0) is None:
        raise ArgumentError(
            f"batches: count is the number of examples, an integer, not {type(count).__name__}: write `for rows in "
            f"batches(len(X), 64)`, and in it X[rows] and T[rows]"
        )
    batch_size = integer("batches", "batch_size", batch_size)
    order = np.arange(count) if generator is None else np.asarray(generator.permutation(count))
    return (order[start : start + batch_size] for start in range(0, count, batch_size))


def stratified_split(labels: Any, share: float, seed: int) -> tuple[Indices, Indices]:
    """Return index arrays (first, second): ``share`` of the examples of every class goes to the second.

    A class of n examples gives round(share · n), at least one and at most n - 1 of them (none if n = 1). Both arrays are sorted.

    Parameters
    ----------
    labels
        (N,), of any dtype that NumPy can compare.
    share
        A number between 0 and 1.
    seed
        Decides which examples are chosen.

    Raises
    ------
    ShapeError
        Unless labels have one axis.
    ArgumentError
        Unless 0 < share < 1.

    **Source:** Kohavi (1995), A study of cross-validation and bootstrap: stratified holdout.

    >>> from bprop.train import stratified_split
    >>> first, second = stratified_split([0, 0, 0, 0, 1, 1], 0.5, seed=0)
    >>> len(first), len(second), [int(i) >= 4 for i in second]
    (3, 3, [False, False, True])
    """
    refuse_masked("stratified_split", labels)
    y = np.asarray(labels)
    if y.ndim != 1:
        raise ShapeError(f"stratified_split: labels have one axis, not shape {y.shape}")
    if not 0 < share < 1:
        raise ArgumentError(f"stratified_split: share is between 0 and 1, not {share!r}")
    generator = Generator(seed)
    chosen = []
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        if len(members) > 1:
            number = min(max(round(share * len(members)), 1), len(members) - 1)
            chosen.append(members[np.asarray(generator.permutation(len(members)))[:number]])
    second = np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
    return np.setdiff1d(np.arange(len(y)), second), second
