"""Comparisons of results, each with the meaning of its tolerance in its name."""

import numpy as np

from bprop.core.tree import flatten


def assert_trees_close(actual, expected, rtol=1e-12, atol=1e-12):
    """Assert that two trees have as many leaves, of equal shapes and, within the tolerances, equal entries."""
    actual, expected = ([np.asarray(leaf) for leaf in flatten(tree)[0]] for tree in (actual, expected))
    assert [leaf.shape for leaf in actual] == [leaf.shape for leaf in expected]
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def assert_close_to_largest(actual, expected, tolerance, least=0.0):
    """Assert that no entry is off by more than ``tolerance`` times the largest of both arrays, or times ``least``."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    largest = max(float(np.abs(x).max(initial=0)) for x in (actual, expected))
    atol = tolerance * max(largest, least)
    np.testing.assert_allclose(actual.astype(float), expected.astype(float), rtol=0, atol=atol)
