"""The table: NumPy's functions as users call them, on floating arguments that all carry a derivative."""

import numpy as np

from support.numpy_case import Case

V = np.array([0.5, 1.5, -2.0, 1.1, 0.25])
W = np.array([0.7, 0.2, 1.3, 0.4, 0.9])
M = np.array([[0.5, 1.5, 2.0, -0.3], [1.1, 0.25, 3.0, 0.8], [-0.7, 0.6, 0.1, 1.9]])
N = np.array([[1.4, -0.2, 0.3, 0.9], [0.15, 1.25, -0.6, 0.45], [0.35, 0.75, 2.1, -1.2]])
T = np.sin(np.arange(1.0, 25.0) * 1.7).reshape(2, 3, 4)
S = np.array(1.3)

SHAPE = {
    "atleast_1d": [(lambda s: np.atleast_1d(s), S), (lambda s, v: np.atleast_1d(s, v), S, V)],
    "atleast_2d": [(lambda v: np.atleast_2d(v), V), (lambda s, m: np.atleast_2d(s, m), S, M)],
    "atleast_3d": [(lambda m: np.atleast_3d(m), M), (lambda s, v, t: np.atleast_3d(s, v, t), S, V, T)],
    "reshape": [(lambda m: np.reshape(m, (4, 3), "F"), M), (lambda m: np.reshape(m, shape=(2, -1), order="A"), M)],
    "ravel": [(lambda m: np.ravel(m, order="F"), M), (lambda m: np.ravel(m), M)],
    "copy": [(lambda m: np.copy(m, order="F"), M)],
    "astype": [(lambda m: np.astype(m, np.float64, copy=False), M)],
    "real_if_close": [(lambda m: np.real_if_close(m, tol=10), M)],
    "rollaxis": [(lambda t: np.rollaxis(t, 2), T), (lambda t: np.rollaxis(t, 0, 3), T), (lambda t: np.rollaxis(t, -1, -2), T)],
    "rot90": [(lambda m: np.rot90(m), M), (lambda m: np.rot90(m, k=2), M), (lambda t: np.rot90(t, 3, axes=(1, 2)), T),
              (lambda m: np.rot90(m, -5), M), (lambda m: np.rot90(m, 4), M)],
    "resize": [(lambda m: np.resize(m, (3, 7)), M), (lambda m: np.resize(m, 5), M)],
    "trim_zeros": [(lambda v: np.trim_zeros(np.concatenate([np.zeros(2), v, np.zeros(1)])), V),
                   (lambda v: np.trim_zeros(np.concatenate([np.zeros(2), v, np.zeros(1)]), "b"), V)],
    "diagflat": [(lambda m: np.diagflat(m), M), (lambda v: np.diagflat(v, k=-1), V)],
    "trace": [(lambda m: np.trace(m), M), (lambda t: np.trace(t, -1, 2, 0), T), (lambda m: np.trace(m, dtype=np.float64, offset=1), M)],
    "apply_along_axis": [(lambda m: np.apply_along_axis(lambda row: np.sum(row * row[0]), 0, m), M),
                         (lambda t: np.apply_along_axis(lambda row: np.outer(row, row), 1, t), T)],
    "apply_over_axes": [(lambda t: np.apply_over_axes(np.sum, t**2, [0, 2]), T)],
}  # fmt: skip

EAGER_ONLY = {"trim_zeros"}
"""The shape of their results depends on the numbers."""

CASES = [
    Case(name, number, f, xs, name not in EAGER_ONLY)
    for table in (SHAPE,)
    for name, calls in table.items()
    for number, (f, *xs) in enumerate(calls)
]
