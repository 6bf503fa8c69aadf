"""The table: NumPy's functions as users call them, on floating arguments that all carry a derivative."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

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
    "sliding_window_view": [
        (lambda v: sliding_window_view(v, 3), V), (lambda m: sliding_window_view(m, (2, 3))[::2], M),
        (lambda t: sliding_window_view(t, window_shape=2, axis=-1), T), (lambda m: sliding_window_view(m, (2, 2), axis=(1, 1)), M),
        (lambda m: np.median(sliding_window_view(m, (3, 3)), axis=(-2, -1)), M), (lambda v: sliding_window_view(v, 5) * v, V)],
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

Q = np.array([0.1, 0.35, 0.8])
METHODS = ["inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
           "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest"]  # fmt: skip
STATISTICS = {
    "average": [(lambda m: np.average(m), M), (lambda m, w: np.average(m, 1, w[:4]), M, W),
                (lambda m, n: np.average(m, weights=np.exp(n), axis=0, keepdims=True), M, N),
                (lambda m, n: np.average(m, None, np.exp(n), True), M, N), (lambda m: np.average(m, axis=1, returned=True), M),
                (lambda t, m: np.average(t, axis=(2, 1), weights=np.exp(m).T), T, M)],
    "cov": [(lambda m: np.cov(m), M), (lambda v, w: np.cov(v, w, bias=True), V, W), (lambda m: np.cov(m, rowvar=False, ddof=0), M),
            (lambda m, w: np.cov(m, aweights=w[:4]), M, W), (lambda m, w: np.cov(m, None, True, False, None, [1, 2, 1, 3], w[:4]), M, W),
            (lambda v: np.cov(v), V), (lambda m, w: np.cov(m, aweights=w[:4], ddof=0), M, W), (lambda m: np.cov(m, fweights=[1, 2, 1, 3], ddof=2), M)],
    "corrcoef": [(lambda m: np.corrcoef(m), M), (lambda v, w: np.corrcoef(v, w), V, W), (lambda m, n: np.corrcoef(m, n, rowvar=False), M, N)],
    "bincount": [(lambda w: np.bincount([0, 2, 2, 1, 4], weights=w), W), (lambda w: np.bincount(np.array([0, 2, 2, 1, 1]), w, 6), W)],
    "quantile": [(lambda m: np.quantile(m, 0.3), M), (lambda m, q: np.quantile(m, q, axis=1), M, Q), (lambda t: np.quantile(t, [0.2, 0.9], (0, 2), keepdims=True), T),
                 *((lambda v, method=method: np.quantile(v, [0.0, 0.17, 0.4, 0.5, 0.63, 1.0], method=method), V) for method in METHODS),
                 (lambda v: np.quantile(v, Q, weights=[1.0, 2.0, 0.0, 3.0, 1.0], method="inverted_cdf"), V),
                 (lambda t: np.quantile(t, 0.4, axis=(1, 2), weights=np.exp(M), method="inverted_cdf"), T)],
    "percentile": [(lambda m: np.percentile(m, 30, axis=0), M), (lambda m, q: np.percentile(m, 100 * q, None, None, False, "hazen"), M, Q),
                   (lambda m: np.percentile(m, [25, 50, 75]), M)],
    "nanquantile": [(lambda m: np.nanquantile(m, 0.3, axis=1), GAPS), (lambda m, q: np.nanquantile(m, q, axis=0, keepdims=True), GAPS, Q),
                    *((lambda m, method=method: np.nanquantile(m, [0.0, 0.17, 0.4, 0.5, 0.63, 1.0], 1, method=method), GAPS) for method in METHODS)],
    "nanpercentile": [(lambda m: np.nanpercentile(m, 30), GAPS), (lambda m: np.nanpercentile(m, [30, 70], axis=1, method="weibull"), GAPS)],
    "nanmedian": [(lambda m: np.nanmedian(m, axis=1), GAPS), (lambda m: np.nanmedian(m, keepdims=True), GAPS)],
}  # fmt: skip

POINTS = np.array([-0.3, 0.2, 0.9, 1.7, 3.9, 2.2])
NODES = np.array([0.0, 0.7, 1.6, 2.9, 3.3])
SIGNAL = {
    "convolve": [(lambda v, w: np.convolve(v, w), V, W), *((lambda v, m, mode=mode: np.convolve(v, m[0], mode), V, M) for mode in ("same", "valid", "full")),
                 *((lambda v, m, mode=mode: np.convolve(m[:, 0], v, mode=mode), V, M) for mode in ("same", "valid"))],
    "correlate": [(lambda v, w: np.correlate(v, w), V, W), *((lambda v, m, mode=mode: np.correlate(v, m[0], mode), V, M) for mode in ("same", "valid", "full")),
                  *((lambda v, m, mode=mode: np.correlate(m[:, 0], v, mode=mode), V, M) for mode in ("same", "valid", "full")),
                  *((lambda v, m, mode=mode: np.correlate(m[0], v, mode=mode), V, M) for mode in ("same", "full"))],
    "interp": [(lambda x, xp, fp: np.interp(x, xp, fp), POINTS, NODES, V), (lambda x, xp, fp, s: np.interp(x, xp, fp, s, s**2), POINTS, NODES, V, S),
               (lambda x, xp, fp: np.interp(x, xp, fp, period=2.5), POINTS, NODES, V), (lambda s, fp: np.interp(s, NODES, fp), S, V),
               (lambda x, xp, fp, s: np.interp(x, xp, fp, period=2.3 * s), POINTS, NODES, V, S)],
    "gradient": [(lambda v: np.gradient(v), V), (lambda m: np.gradient(m), M), (lambda m, s: np.gradient(m, s, axis=1, edge_order=2), M, S),
                 (lambda v, x: np.gradient(v, x), V, NODES), (lambda v, x: np.gradient(v, x, edge_order=2), V, NODES),
                 (lambda m, x: np.gradient(m, 0.5, x[:4], edge_order=2), M, NODES), (lambda t: np.gradient(t, axis=(2, 1)), T),
                 (lambda v: np.gradient(v, np.arange(5.0)), V)],
    "trapezoid": [(lambda v: np.trapezoid(v), V), (lambda v, x: np.trapezoid(v, x), V, NODES), (lambda m, s: np.trapezoid(m, dx=s, axis=0), M, S),
                  (lambda m, n: np.trapezoid(m, n, 1.0, 1), M, N), (lambda m, x: np.trapezoid(m, x[:3], axis=0), M, NODES)],
    "unwrap": [(lambda v: np.unwrap(4 * v), V), (lambda m: np.unwrap(5 * m, axis=0), M), (lambda v, s: np.unwrap(v, period=s), V, S),
               (lambda v: np.unwrap(v, 0.9, period=1.5), V)],
}  # fmt: skip

POLYNOMIAL = {
    "polyval": [(lambda p, x: np.polyval(p, x), V, M), (lambda x: np.polyval([1.0, -2.0, 0.5], x), M), (lambda p, s: np.polyval(p, s), V, S)],
    "polyadd": [(lambda p, q: np.polyadd(p, q[0]), V, M), (lambda p: np.polyadd([1.0, 2.0], p), V)],
    "polysub": [(lambda p, q: np.polysub(q[0], p), V, M)],
    "polymul": [(lambda p, q: np.polymul(p, q[0]), V, M), (lambda p: np.polymul([0.0, 1.0], p), V)],
    "polydiv": [(lambda p, q: np.polydiv(p, q[0][:3]), V, M), (lambda p, q: np.polydiv(q[0][:2], p), V, M)],
    "polyder": [(lambda p: np.polyder(p), V), (lambda p: np.polyder(p, m=2), V), (lambda p: np.polyder(p, 0), V)],
    "polyint": [(lambda p: np.polyint(p), V), (lambda p, s: np.polyint(p, 2, s), V, S), (lambda p, w: np.polyint(p, m=2, k=w[:2]), V, W)],
    "poly": [(lambda v: np.poly(v), V), (lambda m: np.poly(m[0]), M)],
    "vander": [(lambda v: np.vander(v), V), (lambda v: np.vander(v, 3, increasing=True), V), (lambda v: np.vander(v, N=1), V)],
    "roots": [(lambda v: np.abs(np.roots(v)), V), (lambda v: np.real(np.roots(v[:4] * (1 - 0.5j))), V), (lambda m: np.real(np.roots(m[2])), M)],
    "polyfit": [(lambda x, y: np.polyfit(x, y, 2), NODES, V), (lambda x, y, w: np.polyfit(x, y, 1, w=w), NODES, V, W),
                (lambda x, m: np.polyfit(x[:3], m, 1), NODES, M), (lambda x, y: np.polyfit(x, y, 1, cov=True), NODES, V),
                (lambda x, y: np.polyfit(x, y, deg=2, cov="unscaled"), NODES, V)],
}  # fmt: skip

CHOICE = {
    "where": [(lambda m, n: np.where(POSITIVE, m, n), M, N), (lambda m: m[np.where(POSITIVE)], M)],
    "select": [(lambda m, n: np.select([M > 1, M > 0], [m**2, n], 0.5), M, N), (lambda m, s: np.select([m > 1.4, m < 0.2], [m, np.sin(m)], default=s), M, S),
               (lambda m: np.select([POSITIVE], [m]), M)],
    "piecewise": [(lambda m: np.piecewise(m, [M > 1, M < 0.2], [lambda t: t**2, lambda t: 3 * t, 0.5]), M), (lambda v: np.piecewise(v, [v < 0, v >= 0], [-1.0, np.exp]), V),
                  (lambda v: np.piecewise(v, V > 0.4, [lambda t, a: a * t, lambda t, a: t - a], 3.0), V), (lambda s: np.piecewise(s, [s > 0, s > 1], [np.sin, np.cos]), S)],
    "choose": [(lambda v, w: np.choose([0, 1, 1, 0, 2], [v, w, v * w]), V, W), (lambda v, w: np.choose([0, 3, -1, 0, 2], [v, w], mode="wrap"), V, W),
               (lambda m, s: np.choose(np.array([[5], [0], [-2]]), (m, s), mode="clip"), M, S)],
    "compress": [(lambda m: np.compress([True, False, True], m, axis=0), M), (lambda m: np.compress(np.array([False, True, True]), m), M)],
    "extract": [(lambda m: np.extract(m > 0.55, m), M), (lambda m: np.extract(POSITIVE, m), M)],
    "take": [(lambda m: np.take(m, [7, 0]), M), (lambda m: np.take(m, [[5, -9]], 1, mode="wrap"), M), (lambda m: np.take(m, [5, -9], axis=0, mode="clip"), M)],
}  # fmt: skip

A = np.array([[2.0, 0.3, -0.4], [0.1, 1.5, 0.2], [0.6, -0.7, 3.0]])
PRODUCT = {
    "dot": [(lambda t, n: np.dot(t, np.stack([n.T, N.T])), T, N), (lambda m, t: np.dot(m, t.mT), M, T),
            (lambda v, w: np.dot(v, w), V, W), (lambda m, s: np.dot(m, s), M, S)],
    "vdot": [(lambda v, w: np.vdot(v, w), V, W), (lambda m, n: np.vdot(m, n.T), M, N)],
    "outer": [(lambda m, v: np.outer(m, v), M, V)],
    "inner": [(lambda m, n: np.inner(m, n), M, N), (lambda t, m: np.inner(t, m), T, M), (lambda m, s: np.inner(m, s), M, S)],
    "kron": [(lambda m, a: np.kron(m, a), M, A), (lambda v, m: np.kron(v, m), V, M)],
    "matvec": [(lambda t, v: np.matvec(t, v[:4]), T, V)],
    "vecmat": [(lambda v, t: np.vecmat(v[:3], t), V, T)],
    "cross": [(lambda a, b: np.cross(a, b), A, A.T + 0.3), (lambda m, n: np.cross(m, n, axisa=0, axisb=0), M, N), (lambda a, b: np.cross(a, b, axisc=0), A, A.T + 0.3),
              (lambda m, n: np.cross(m, n, axis=0), M, N), (lambda m, v: np.cross(m, v[:3], 0, -1, 0), M, V)],
    "einsum": [(lambda m, n: np.einsum(m, [0, 1], n, [2, 1], [0, 2]), M, N), (lambda m, n: np.einsum(m, [0, 1], n, [2, 1]), M, N),
               (lambda m, n, a: np.einsum("ij,kj,kl->il", m, n, a, optimize=True), M, N, A), (lambda m, n, a: np.einsum("ij,kj,kl", m, n, a, optimize="optimal"), M, N, A),
               (lambda m, n, a: np.einsum("ij,kj,kl->li", m, n, a, optimize=["einsum_path", (1, 2), (0, 1)]), M, N, A),
               (lambda t, m: np.einsum("...ij,ij->...", t, m, dtype=np.float64, order="C", casting="same_kind"), T, M),
               (lambda t: np.einsum(t, [..., 0, 1], [..., 1, 0]), T), (lambda a: np.einsum("ii->i", a), A), (lambda m, n, a: np.einsum("ij,kj,kk->i", m, n, a, optimize="greedy"), M, N, A)],
    "tensordot": [(lambda t, m: np.tensordot(t, m, axes=((1, 2), (0, 1))), T, M), (lambda t, m: np.tensordot(t, m, ([2], [1])), T, M)],
}  # fmt: skip

SYMMETRIC = lambda a: a + a.T
LINALG = {
    "linalg.svd": [(lambda m: np.linalg.svd(m, full_matrices=False)[1], M), (lambda m: np.linalg.svd(m, False, False), M), (lambda a: np.linalg.svd(SYMMETRIC(a), compute_uv=False, hermitian=True), A),
                   (lambda a: (lambda u, s, vh: (u * s) @ vh * A)(*np.linalg.svd(SYMMETRIC(a) - 3.3 * np.eye(3), hermitian=True)), A),
                   (lambda m: (lambda u, s, vh: u**2 @ np.diag(s) @ vh**2)(*np.linalg.svd(m, full_matrices=False)), M)],
    "linalg.cond": [(lambda a: np.linalg.cond(a), A), *((lambda a, p=p: np.linalg.cond(a, p), A) for p in (1, -1, -2, "fro", np.inf, "nuc"))],
    "linalg.norm": [(lambda m: np.linalg.norm(m), M), *((lambda m, p=p: np.linalg.norm(m, p, axis=(0, 1)), M) for p in (1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc")),
                    *((lambda m, p=p: np.linalg.norm(m, ord=p, axis=1, keepdims=True), M) for p in (0, 1, 2, 3, 0.5, -1, np.inf, -np.inf)), (lambda v: np.linalg.norm(v, 3), V)],
    "linalg.pinv": [(lambda m: np.linalg.pinv(m), M), (lambda a: np.linalg.pinv(SYMMETRIC(a), 1e-10, True), A), (lambda m: np.linalg.pinv(m, rtol=1e-9), M)],
    "linalg.matrix_rank": [(lambda m: np.linalg.matrix_rank(m), M), (lambda a: np.linalg.matrix_rank(SYMMETRIC(a), 3.5, True), A), (lambda v: np.linalg.matrix_rank(v), V),
                           (lambda t: np.linalg.matrix_rank(t, rtol=0.3), T)],
    "linalg.lstsq": [(lambda m, v: np.linalg.lstsq(m.T, v[:4])[:2], M, V), (lambda m, v: np.linalg.lstsq(m, v[:3], rcond=1e-8)[0], M, V)],
    "linalg.tensorsolve": [(lambda t, v: np.tensordot(1.0, np.linalg.tensorsolve(np.reshape(np.kron(t, np.eye(2)) + np.eye(6), (2, 3, 6)), v), 0), A, M[:2, :3]),
                           (lambda t, v: np.linalg.tensorsolve(np.reshape(np.kron(t, np.eye(2)) + np.eye(6), (6, 2, 3)), v, axes=(0,)), A, M[:2, :3])],
    "linalg.tensorinv": [(lambda t: np.linalg.tensorinv(np.reshape(np.kron(t, np.eye(2)) + np.eye(6), (2, 3, 6))), A), (lambda t: np.linalg.tensorinv(np.reshape(np.kron(t, np.eye(2)) + np.eye(6), (6, 2, 3)), ind=1), A)],
    "linalg.qr": [(lambda m: np.linalg.qr(m.T), M), (lambda m: np.linalg.qr(m.T, "r"), M), (lambda a: np.linalg.qr(a, mode="complete"), A)],
    "linalg.multi_dot": [(lambda m, n, a: np.linalg.multi_dot([m, n.T, a]), M, N, A)],
    "linalg.eigh": [(lambda a: np.linalg.eigh(a, UPLO="U")[0], A), (lambda a: (lambda w, v: v**2 * w)(*np.linalg.eigh(a, "L")), A)],
    "linalg.eigvalsh": [(lambda a: np.linalg.eigvalsh(a, "U"), A)],
    "linalg.eig": [(lambda a: (lambda w, v: [np.abs(w), np.abs(v) ** 3])(*np.linalg.eig(a)), A), (lambda a: np.abs(np.linalg.eig(a * 1j + a.T)[1]) ** 2, A),
                   (lambda a: np.abs(np.linalg.eig(np.stack([a, a.T @ a])).eigenvectors) ** 2, A)],
    "linalg.eigvals": [(lambda a: np.max(np.abs(np.linalg.eigvals(a))), A), (lambda a: np.real(np.linalg.eigvals(np.stack([a, a[::-1]]) + 0j) ** 2), A)],
    "linalg.cholesky": [(lambda a: np.linalg.cholesky(SYMMETRIC(a), upper=True), A)],
    "linalg.solve": [(lambda a, v: np.linalg.solve(a, v[:3]), A, V)], "linalg.inv": [(lambda a: np.linalg.inv(a=a), A)],
    "linalg.det": [(lambda a: np.linalg.det(a), A)], "linalg.slogdet": [(lambda a: np.linalg.slogdet(a), A)],
    "linalg.matrix_power": [(lambda a: np.linalg.matrix_power(a, 3), A), (lambda a: np.linalg.matrix_power(a, n=-2), A)],
}  # fmt: skip

CREATION = {
    "linspace": [(lambda s: np.linspace(s, 2 * s, 4), S), (lambda v, w: np.linspace(v, w, 3, endpoint=False, retstep=True), V, W), (lambda v, s: np.linspace(v, s, num=3, axis=1), V, S),
                 (lambda s: np.linspace(0, s, 1), S), (lambda v: np.linspace(v, 9.5, 4, dtype=np.int64), V)],
    "logspace": [(lambda s: np.logspace(s, 2 * s, 4), S), (lambda v, w: np.logspace(v, w, 3, False, base=2.0), V, W), (lambda s, w: np.logspace(s, 2.0, 3, base=w, axis=-1), S, W)],
    "geomspace": [(lambda s: np.geomspace(s, 5 * s, 4), S), (lambda w: np.geomspace(w, -w * 0 + 2 * w, 4, endpoint=False, axis=1), W), (lambda w: np.geomspace(-w, -3.0, num=3), W)],
    "meshgrid": [(lambda v, w: np.meshgrid(v, w), V, W), (lambda v, w: np.meshgrid(v, w, sparse=True, indexing="ij"), V, W), (lambda v, s: np.meshgrid(v, s, copy=False), V, S)],
    "full_like": [(lambda m, s: np.full_like(m, s), M, S), (lambda m, v: np.full_like(m, v, shape=(2, 5), dtype=np.float64), M, V), (lambda m: np.full_like(m, 2.5), M)],
    "zeros_like": [(lambda m: np.zeros_like(m, shape=(2,), order="C"), M)], "ones_like": [(lambda m: np.ones_like(m, np.float32), M)],
}  # fmt: skip

ELEMENTWISE = {
    "deg2rad": [(lambda v: np.deg2rad(v), V)], "radians": [(lambda v: np.radians(v), V)], "rad2deg": [(lambda v: np.rad2deg(v), V)],
    "degrees": [(lambda v: np.degrees(v), V)],
    "fmax": [(lambda m, n: np.fmax(m, n), GAPS, N), (lambda n, m: np.fmax(n, m), N, GAPS), (lambda m: np.fmax(m, 0.7), GAPS)],
    "fmin": [(lambda m, n: np.fmin(m, n), GAPS, N), (lambda n, m: np.fmin(n, m), N, GAPS)],
    "heaviside": [(lambda v, s: np.heaviside(V * (V > 0.3), s), V, S), (lambda v: np.heaviside(v, 0.5), V)],
    "float_power": [(lambda w, v: np.float_power(w, v), W, V)], "ldexp": [(lambda v: np.ldexp(v, 3), V), (lambda v: np.ldexp(v, np.arange(-2, 3)), V)],
    "frexp": [(lambda m: np.frexp(m), M * 7)], "modf": [(lambda m: np.modf(m), M * 7)], "sinc": [(lambda m: np.sinc(m), M), (lambda v: np.sinc(0 * v + v**3), V)],
    "logaddexp2": [(lambda m, n: np.logaddexp2(m, n), M, N)], "fix": [(lambda m: np.fix(m * 1.3) * m, M)], "round": [(lambda m: np.round(m * 1.3, decimals=0) * m, M)],
    "clip": [(lambda m, s: np.clip(m, -s / 9, a_max=s), M, S), (lambda m: np.clip(m, max=1.2, min=None), M), (lambda m: np.clip(m, 0.3, None), M)],
}  # fmt: skip

SETS = {
    "unique": [(lambda v: np.unique(np.append(v, v)), V), (lambda m: np.unique(np.concatenate([m, m]), axis=0, return_index=True, return_inverse=True, return_counts=True), M)],
    "unique_all": [(lambda v: np.unique_all(v), V)], "unique_values": [(lambda v: np.unique_values(v), V)], "unique_counts": [(lambda v: np.unique_counts(v), V)],
    "unique_inverse": [(lambda v: np.unique_inverse(v), V)],
    "union1d": [(lambda v, w: np.union1d(v, w), V, W)], "intersect1d": [(lambda v: np.intersect1d(v, v[::-1][:3]), V), (lambda v: np.intersect1d(v, V, return_indices=True, assume_unique=True)[1], V)],
    "setdiff1d": [(lambda v, w: np.setdiff1d(v, w), V, W), (lambda v: np.setdiff1d(v, v[1:3], assume_unique=True), V)],
    "setxor1d": [(lambda v: np.setxor1d(v, v[1:3]), V), (lambda v, w: np.setxor1d(v, w, assume_unique=True), V, W)],
    "sort": [(lambda m: np.sort(m, axis=None), M), (lambda m: np.sort(m, 0, "stable"), M)], "argsort": [(lambda m: np.argsort(m, 0) * m, M)],
    "sort_complex": [(lambda m: np.real(np.sort_complex(m)), M), (lambda m, n: (lambda z: [np.real(z), np.imag(z)])(np.sort_complex(m + 1j * n)), M, N)],
    "partition": [(lambda v: np.sort(np.partition(v, 2)[:2]), V), (lambda m: np.sort(np.partition(m, (1, 5), axis=None)[5:]), M)],
    "argpartition": [(lambda v: v[np.argpartition(v, 2)][2], V)], "ix_": [(lambda m: m[np.ix_(np.arange(2) + 0 * np.argsort(m[:2, 0]), [3, 0])], M)],
}  # fmt: skip

HISTOGRAM = {
    "histogram": [(lambda v, w: np.histogram(V, 3, weights=w), V, W), (lambda v: np.histogram(v, bins=4), V), (lambda v: np.histogram(v, [-2.0, 0.0, 1.1, 1.5]), V),
                  (lambda v, w: np.histogram(v, 4, density=True, weights=w), V, W), (lambda v: np.histogram(v, 5, (-1.0, 1.0)), V), (lambda m: np.histogram(m, "sturges"), M),
                  (lambda v, w: np.histogram(V, [-2.0, 0.0, 1.1, 1.5], density=True, weights=w), V, W)],
    "histogram_bin_edges": [(lambda v: np.histogram_bin_edges(v, 6), V), (lambda v: np.histogram_bin_edges(v, "fd"), V)],
    "histogram2d": [(lambda v, w: np.histogram2d(V, NODES, 3, weights=w), V, W), (lambda v, w: np.histogram2d(v, w, [2, 3], density=True), V, W),
                    (lambda v, w: np.histogram2d(v, w, bins=[-2.5, 0.0, 1.0, 2.0]), V, W)],
    "histogramdd": [(lambda m, w: np.histogramdd(m, 5, weights=w[:3]), M, W), (lambda v, w: np.histogramdd([v, w], bins=(2, [0.0, 0.5, 1.0])), V, W),
                    (lambda v, w: np.histogramdd((v, w), 3, range=[(-1.0, 1.0), (0.0, 1.0)], density=True), V, W)],
}  # fmt: skip

PAD = {
    "pad": [(lambda m: np.pad(m, ((1, 2), (0, 3)), "linear_ramp", end_values=((1.0, 2.0), (3.0, 4.0))), M), (lambda v, s: np.pad(v, (2, 3), mode="linear_ramp", end_values=s), V, S),
            *((lambda m, mode=mode: np.pad(m, ((1, 2), (2, 0)), mode), M) for mode in ("maximum", "minimum", "mean", "median", "edge", "wrap", "reflect", "symmetric", "constant")),
            (lambda m: np.pad(m, 2, "mean", stat_length=((1, 2), (3, 2))), M), (lambda v: np.pad(v, 3, "maximum", stat_length=2), V),
            *((lambda v, mode=mode, width=width: np.pad(v, width, mode, reflect_type="odd"), V) for mode in ("reflect", "symmetric") for width in ((2, 3), (9, 12))),
            (lambda m, s: np.pad(m, 1, "constant", constant_values=s), M, S), (lambda m: np.pad(m, ((1, 0), (0, 2)), "reflect", reflect_type="odd"), M)],
    "broadcast_to": [(lambda v: np.broadcast_to(v, (2, 5), subok=False), V)], "broadcast_arrays": [(lambda v, s: np.broadcast_arrays(v, s), V, S)],
    "size": [(lambda m: m / np.size(m, axis=0), M)],
}  # fmt: skip

NAMED = {
    "roll": [(lambda m: np.roll(a=m, shift=(1, 2), axis=(0, 1)), M), (lambda m: np.roll(m, 2), M)], "flip": [(lambda m: np.flip(m=m, axis=(0, 1)), M)],
    "tile": [(lambda m: np.tile(A=m, reps=(2, 1)), M)], "repeat": [(lambda m: np.repeat(a=m, repeats=[1, 0, 2], axis=0), M), (lambda m: np.repeat(m, 2), M)],
    "diff": [(lambda m, n: np.diff(m, 1, 0, n, m), M, N), (lambda m: np.diff(a=m, n=2, axis=1, append=0.0), M)], "searchsorted": [(lambda v: v * np.searchsorted([0.0, 1.0], v, "right"), V)],
    "swapaxes": [(lambda t: np.swapaxes(a=t, axis1=0, axis2=2), T)], "transpose": [(lambda t: np.transpose(a=t, axes=(2, 0, 1)), T), (lambda m: np.transpose(m), M)],
    "moveaxis": [(lambda t: np.moveaxis(a=t, source=0, destination=-1), T)], "unstack": [(lambda m: np.unstack(m, axis=1), M)], "tril": [(lambda m: np.tril(m=m, k=-1), M)], "triu": [(lambda m: np.triu(m, 1), M)],
    "expand_dims": [(lambda m: np.expand_dims(a=m, axis=(0, 2)), M)], "squeeze": [(lambda v: np.squeeze(v[None, :, None], axis=(0,)), V)],
    "split": [(lambda m: np.split(m, 2, 1), M), (lambda m: np.split(ary=m, indices_or_sections=[1], axis=0), M)], "array_split": [(lambda v: np.array_split(v, 3), V)],
    "diag": [(lambda v: np.diag(v=v, k=-2), V), (lambda m: np.diag(m, 1), M)], "diagonal": [(lambda t: np.diagonal(t, -1, 2, 0), T), (lambda m: np.diagonal(a=m, offset=2), M)],
    "fliplr": [(lambda m: np.fliplr(m=m), M)], "flipud": [(lambda m: np.flipud(m), M)], "matrix_transpose": [(lambda t: np.matrix_transpose(t), T)],
    "take_along_axis": [(lambda m: np.take_along_axis(m, np.argsort(m, axis=0), axis=0), M), (lambda m: np.take_along_axis(arr=m, indices=np.array([3, 7]), axis=None), M)],
    "cumulative_sum": [(lambda m: np.cumulative_sum(m, axis=1, dtype=np.float64, include_initial=True), M)], "cumulative_prod": [(lambda m: np.cumulative_prod(m, axis=0), M)],
    "argmax": [(lambda m: m * np.argmax(m, 1, keepdims=True), M)], "count_nonzero": [(lambda m: m / np.count_nonzero(m > 0, 1, keepdims=True), M)], "nonzero": [(lambda m: m[np.nonzero(m > 0.55)], M)],
    "real": [(lambda m: np.real(val=m) + np.imag(m), M)], "vecdot": [(lambda m, n: np.vecdot(m, n), M, N)], "linalg.trace": [(lambda t: np.linalg.trace(t, offset=1), T)],
    "linalg.diagonal": [(lambda t: np.linalg.diagonal(t, offset=-1), T)], "linalg.outer": [(lambda v, w: np.linalg.outer(v, w), V, W)], "linalg.cross": [(lambda a: np.linalg.cross(a, a.T, axis=0), A)],
    "linalg.vecdot": [(lambda m, n: np.linalg.vecdot(m, n, axis=0), M, N)], "linalg.vector_norm": [(lambda t: np.linalg.vector_norm(t, axis=(0, 2), keepdims=True, ord=3), T)],
    "linalg.matrix_norm": [(lambda m, n: np.linalg.matrix_norm(np.stack([m, n]), ord="nuc"), M, N)], "linalg.tensordot": [(lambda m, n: np.linalg.tensordot(m, n, axes=((1,), (1,))), M, N)],
}  # fmt: skip

EAGER_ONLY = {
    "nonzero",
    *(set(SETS) - {"sort", "argsort", "sort_complex", "partition", "argpartition", "ix_"}),
    "histogram-5",
    "histogram_bin_edges-1",
    "polymul",
    "polydiv",
    "extract",
    "trim_zeros",
}
"""The shape of their results depends on the numbers."""

TABLES = (SHAPE, JOIN, REDUCTION, NAN, STATISTICS, SIGNAL, POLYNOMIAL, CHOICE, PRODUCT, LINALG, CREATION, ELEMENTWISE, SETS,
          HISTOGRAM, PAD, NAMED)  # fmt: skip

CASES = [
    Case(name, number, f, xs, not {name, f"{name}-{number}"} & EAGER_ONLY)
    for table in TABLES
    for name, calls in table.items()
    for number, (f, *xs) in enumerate(calls)
]
