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

JOIN = {
    "concatenate": [(lambda m, n: np.concatenate([m, n], 1), M, N), (lambda m, n: np.concatenate((m, n), axis=None), M, N),
                    (lambda m, n: np.concatenate([m, n], dtype=np.float64, casting="unsafe"), M, N)],
    "stack": [(lambda m, n: np.stack([m, n], axis=-1), M, N), (lambda m, n: np.stack([m, n], 1, dtype=np.float64), M, N)],
    "vstack": [(lambda v, m: np.vstack([v[:4], m]), V, M), (lambda t: np.vstack(t), T)],
    "hstack": [(lambda v, w: np.hstack([v, w]), V, W), (lambda m, n: np.hstack((m, n), dtype=np.float64), M, N)],
    "dstack": [(lambda v, w: np.dstack([v, w]), V, W), (lambda m, n: np.dstack((m, n)), M, N)],
    "column_stack": [(lambda v, w: np.column_stack([v, w]), V, W), (lambda v, m: np.column_stack((v[:3], m)), V, M)],
    "append": [(lambda v, w: np.append(v, w), V, W), (lambda v: np.append(v, 3.0), V), (lambda m, n: np.append(m, n, axis=0), M, N),
               (lambda m, s: np.append(m, s), M, S)],
    "insert": [(lambda v, s: np.insert(v, 2, s), V, S), (lambda v: np.insert(v, [0, 3], [7.0, 8.0]), V),
               (lambda m, v: np.insert(m, 1, v[:3], axis=1), M, V), (lambda m, n: np.insert(m, [1], n[:, :2], axis=1), M, N),
               (lambda m, v: np.insert(m, slice(0, 2), v[:4], 0), M, V), (lambda v: np.insert(v, -1, 9.0), V),
               (lambda v, w: np.insert(v, [4, 1, 1], w[:3]), V, W), (lambda m: np.insert(m, 5, 2.0), M),
               (lambda v: np.insert(v, np.array([True, False, False, True, False]), 1.5), V)],
    "delete": [(lambda v: np.delete(v, 1), V), (lambda m: np.delete(m, [0, 2], axis=1), M), (lambda m: np.delete(m, slice(None, None, 2)), M),
               (lambda v: np.delete(v, np.array([True, False, False, True, False])), V), (lambda m: np.delete(m, -1, 0), M)],
    "block": [(lambda m, n: np.block([[m, n], [n, m]]), M, N), (lambda v, w: np.block([v, w]), V, W), (lambda m: np.block(m), M),
              (lambda m, s: np.block([[m, np.ones((3, 1)) * s], [np.zeros((1, 4)), s]]), M, S)],
    "vsplit": [(lambda t: np.vsplit(t, 2), T), (lambda m: np.vsplit(m, [1]), M)],
    "hsplit": [(lambda m: np.hsplit(m, 2), M), (lambda v: np.hsplit(v, [1, 3]), V)],
    "dsplit": [(lambda t: np.dsplit(t, 2), T)],
    "ediff1d": [(lambda v: np.ediff1d(v), V), (lambda m, s: np.ediff1d(m, to_end=s, to_begin=[1.0, 2.0]), M, S)],
}  # fmt: skip

POSITIVE = M > 0.2
ROW = np.array([True, False, True, True])
REDUCTION = {
    "sum": [(lambda m: np.sum(m, where=POSITIVE), M), (lambda m, s: np.sum(m, 0, initial=s, where=ROW), M, S),
            (lambda m: np.sum(m, (0, 1), np.float64, None, True), M)],
    "prod": [(lambda m: np.prod(m, 1, where=POSITIVE, initial=2.0), M), (lambda m: np.prod(m, dtype=np.float64, keepdims=True), M)],
    "max": [(lambda m: np.max(m, axis=1, where=POSITIVE, initial=0.7), M), (lambda m, s: np.max(m, 0, None, True, s), M, S)],
    "min": [(lambda m: np.min(m, axis=1, where=POSITIVE, initial=0.7), M), (lambda m: np.amin(m, keepdims=True), M)],
    "ptp": [(lambda m: np.ptp(m), M), (lambda m: np.ptp(m, 1, keepdims=True), M)],
    "mean": [(lambda m: np.mean(m, 0, where=POSITIVE), M), (lambda m: np.mean(m, dtype=np.float64), M),
             (lambda m: np.mean(m, axis=(0, 1), keepdims=True, where=ROW), M)],
    "var": [(lambda m: np.var(m, 1, where=POSITIVE, ddof=1), M), (lambda m: np.var(m, 0, np.float64, None, 1, True), M),
            (lambda m: np.var(m, axis=0, correction=1, mean=np.mean(m, axis=0, keepdims=True)), M)],
    "std": [(lambda m: np.std(m, 1, where=POSITIVE | (M < 0)), M), (lambda m: np.std(m, ddof=1), M),
            (lambda m: np.std(m, axis=0, correction=1, mean=np.mean(m, axis=0, keepdims=True)), M)],
    "any": [(lambda m: np.any(m > 2, 1, where=ROW), M)],
    "all": [(lambda m: np.all(m > 0, axis=0, keepdims=True, where=POSITIVE), M)],
    "median": [(lambda m: np.median(m, 0, overwrite_input=True), M), (lambda m: np.median(m, axis=(0, 1), keepdims=True), M)],
    "cumsum": [(lambda m: np.cumsum(m), M), (lambda m: np.cumsum(m, 1, np.float64), M)],
    "cumprod": [(lambda m: np.cumprod(m), M), (lambda m: np.cumprod(m, axis=0), M)],
}  # fmt: skip

GAPS = np.where(np.array([[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]) == 1, np.nan, M)
NAN = {
    "nansum": [(lambda m: np.nansum(m), GAPS), (lambda m: np.nansum(m, 1, where=ROW, initial=1.0), GAPS)],
    "nanprod": [(lambda m: np.nanprod(m, axis=0), GAPS)],
    "nanmax": [(lambda m: np.nanmax(m, 0), GAPS), (lambda m: np.nanmax(m, 1, initial=0.4, where=ROW), GAPS)],
    "nanmin": [(lambda m: np.nanmin(m, 0, keepdims=True), GAPS)],
    "nanmean": [(lambda m: np.nanmean(m, axis=1), GAPS), (lambda m: np.nanmean(m, 0, np.float64, where=POSITIVE), GAPS)],
    "nanvar": [(lambda m: np.nanvar(m, axis=1, ddof=1), GAPS), (lambda m: np.nanvar(m, correction=1), GAPS)],
    "nanstd": [(lambda m: np.nanstd(m, axis=1), GAPS)],
    "nancumsum": [(lambda m: np.nancumsum(m), GAPS), (lambda m: np.nancumsum(m, 1), GAPS)],
    "nancumprod": [(lambda m: np.nancumprod(m, axis=0), GAPS)],
    "nan_to_num": [(lambda m: np.nan_to_num(m), GAPS), (lambda m, s: np.nan_to_num(m / (GAPS != 2.0), nan=s, posinf=9.0), GAPS, S)],
}  # fmt: skip

EAGER_ONLY = {"trim_zeros"}
"""The shape of their results depends on the numbers."""

CASES = [
    Case(name, number, f, xs, name not in EAGER_ONLY)
    for table in (SHAPE, JOIN, REDUCTION, NAN)
    for name, calls in table.items()
    for number, (f, *xs) in enumerate(calls)
]
