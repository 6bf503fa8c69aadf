"""What NumPy refuses is refused here, with an error that names the function, of plain arrays and inside transforms alike.

Planted: `insert` that lets NumPy's IndexError out.
"""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import bprop
from interop.case_table import M, V

WRONG = {
    "reshape": [lambda v: np.reshape(v, (2, 3)), lambda v: np.reshape(v, 5, "X")], "rollaxis": [lambda v: np.rollaxis(v, 1), lambda v: np.rollaxis(v, 0, 3)],
    "rot90": [lambda v: np.rot90(v), lambda v: np.rot90(np.outer(v, v), axes=(0, 0)), lambda v: np.rot90(np.outer(v, v), axes=(0, 1, 1))],
    "sliding_window_view": [lambda v: sliding_window_view(v, 6), lambda v: sliding_window_view(v, (2, 2)), lambda v: sliding_window_view(v, -1), lambda v: sliding_window_view(v, 2, axis=1)],
    "resize": [lambda v: np.resize(v, (-1, 2))], "trim_zeros": [lambda v: np.trim_zeros(v, "x")], "apply_along_axis": [lambda v: np.apply_along_axis(np.sum, 1, v)],
    "concat": [lambda v: np.concatenate([v, np.outer(v, v)])], "stack": [lambda v: np.stack([v, v[:2]])], "concat ": [lambda v: np.column_stack([v, v[:2]])],
    "append": [lambda v: np.append(v, np.outer(v, v), axis=0)], "insert": [lambda v: np.insert(v, 9, 1.0), lambda v: np.insert(v, [0, 9], 1.0), lambda v: np.insert(v, [0, 1], [1.0, 2.0, 3.0])],
    "delete": [lambda v: np.delete(v, 9), lambda v: np.delete(v, [0, 9]), lambda v: np.delete(v, np.array([True, False]))],
    "block": [lambda v: np.block([[v], v]), lambda v: np.block([[v], []])], "hsplit": [lambda v: np.hsplit(v, 2)], "vsplit": [lambda v: np.vsplit(v, 1)],
    "dsplit": [lambda v: np.dsplit(np.outer(v, v), 1)], "sum": [lambda v: np.sum(v, 1), lambda v: np.sum(v, where=np.ones((2, 5), bool)), lambda v: np.sum(v, axis="a")],
    "max": [lambda v: np.max(v[:0]), lambda v: np.max(v, where=V > 0)], "min": [lambda v: np.min(v, where=V > 0)], "var": [lambda v: np.var(v, ddof=1, correction=1)],
    "average": [lambda v: np.average(v, weights=[1.0]), lambda v: np.average(np.outer(v, v), weights=V), lambda v: np.average(v, weights=0 * V), lambda v: np.average(v, 0, [1.0, 2.0])],
    "cov": [lambda v: np.cov(np.ones((2, 2, 2)) * v[0]), lambda v: np.cov(v, ddof=0.5), lambda v: np.cov(v, aweights=-np.ones(5)), lambda v: np.cov(v, fweights=[1, 2])],
    "quantile": [lambda v: np.quantile(v, 1.5), lambda v: np.quantile(v, 0.5, method="best"), lambda v: np.quantile(v, 0.5, weights=np.ones(5))], "percentile": [lambda v: np.percentile(v, -1)],
    "convolve": [lambda v: np.convolve(v, np.outer(v, v)), lambda v: np.convolve(v, v, "half"), lambda v: np.convolve(v, v[:0])], "correlate": [lambda v: np.correlate(v, v[:0])],
    "interp": [lambda v: np.interp(v, [0.0, 1.0], V), lambda v: np.interp(v, V, V, period=0)], "gradient": [lambda v: np.gradient(v[:1]), lambda v: np.gradient(v, 1.0, 1.0), lambda v: np.gradient(v, [1.0, 2.0]), lambda v: np.gradient(v, edge_order=3)],
    "trapezoid": [lambda v: np.trapezoid(v, axis=1)], "polyder": [lambda v: np.polyder(v, -1)], "polyint": [lambda v: np.polyint(v, -1), lambda v: np.polyint(v, 3, [1.0, 2.0])],
    "vander": [lambda v: np.vander(np.outer(v, v))], "polyfit": [lambda v: np.polyfit(v, v[:2], 1), lambda v: np.polyfit(v, V, -1), lambda v: np.polyfit(v, V, 1, w=[1.0])],
    "select": [lambda v: np.select([V > 0], [v, v]), lambda v: np.select([V], [v])], "piecewise": [lambda v: np.piecewise(v, [V > 0], [1.0, 2.0, 3.0])],
    "choose": [lambda v: np.choose([0, 7], [v[:2], v[:2]]), lambda v: np.choose([0, 1], [v[:2], v[:2]], mode="up")], "compress": [lambda v: np.compress(np.array([False] * 5 + [True]), v), lambda v: np.compress(np.eye(2, dtype=bool), v)],
    "take": [lambda v: np.take(v, 7), lambda v: np.take(v, 0, mode="up")], "where": [lambda v: np.where(V > 0, v)], "vdot": [lambda v: np.vdot(v, v[:2])],
    "dot": [lambda v: np.dot(v, np.ones((2, 3, 4)))], "cross": [lambda v: np.cross(v, v)], "einsum": [lambda v: np.einsum("ij", v), lambda v: np.einsum("i,j->k", v, v), lambda v: np.einsum(v, [0, 1])],
    "cond": [lambda v: np.linalg.cond(np.ones((0, 0)) * v[0]), lambda v: np.linalg.cond(np.ones((2, 3)) * v[0], 1)], "tensorinv": [lambda v: np.linalg.tensorinv(np.ones((2, 3)) * v[0], 1), lambda v: np.linalg.tensorinv(np.ones((2, 2)) * v[0], 0)],
    "tensorsolve": [lambda v: np.linalg.tensorsolve(np.ones((2, 3)) * v[0], v[:2])], "pinv": [lambda v: np.linalg.pinv(np.outer(v, v), 1e-3, rtol=1e-3)], "linspace": [lambda v: np.linspace(v, 1.0, -1)],
    "geomspace": [lambda v: np.geomspace(0 * v, 1.0)], "meshgrid": [lambda v: np.meshgrid(v, v, indexing="ji")], "clip": [lambda v: np.clip(v, 0, 1, min=0)], "ldexp": [lambda v: np.ldexp(v, 1.5)],
    "histogram": [lambda v: np.histogram(v, 0), lambda v: np.histogram(v, [1.0, 0.0]), lambda v: np.histogram(v, 3, (1.0, 0.0)), lambda v: np.histogram(v, weights=[1.0])],
    "bincount": [lambda v: np.bincount([0, 1], v), lambda v: np.bincount([-1], v[:1])],
    "pad": [lambda v: np.pad(v[:0], 1, "linear_ramp"), lambda v: np.pad(v[:0], 1, "reflect", reflect_type="odd"), lambda v: np.pad(v, -1), lambda v: np.pad(v, 1, "round"), lambda v: np.pad(v, 1, "edge", stat_length=1), lambda v: np.pad(v, 1, "maximum", stat_length=0)],
    "sort": [lambda v: np.sort(v, kind="bubble"), lambda v: np.sort(v, kind="stable", stable=True)], "partition": [lambda v: np.partition(v, 5), lambda v: np.partition(v, 0.5), lambda v: np.partition(v, 0, kind="quick")],
    "ix_": [lambda v: np.ix_(np.outer(v, v) > 0)],
}  # fmt: skip

NUMPYS = (ValueError, TypeError, IndexError, ZeroDivisionError, RuntimeError)
CALLS = [
    pytest.param(name, f, id=f"{name}-{number}") for name, calls in WRONG.items() for number, f in enumerate(calls)
]


@pytest.mark.parametrize(("name", "f"), CALLS)
def test_what_numpy_refuses_is_refused_by_name(name, f):
    with pytest.raises(NUMPYS):
        f(V)
    messages = []
    for run in (lambda: f(bprop.asarray(V)), lambda: bprop.jvp(lambda v: f(v), (V,), (V,))):
        with pytest.raises(bprop.BpropError, match=name.strip()) as caught:
            run()
        assert "test_numpy_error.py" in caught.value.line
        messages.append(caught.value.message)
    assert messages[0].split(":")[0] == messages[1].split(":")[0]


def test_what_depends_on_numbers_says_so_where_there_are_none():
    for f in (
        lambda v: np.unique(v),
        lambda v: np.trim_zeros(v),
        lambda v: np.extract(v > 0, v),
        lambda v: np.polymul(v, v),
        lambda v: np.union1d(v, v),
    ):
        with pytest.raises(bprop.TracedValueError, match=r"depends on the numbers"):
            bprop.compile(f)(V)


def test_a_constant_is_no_derivative_of_zero():
    """What is left out has no derivative, even where its own would be infinite or NaN."""
    x = np.array([0.0, 4.0, np.nan])
    for f in (lambda x: np.nansum(np.sqrt(x)[1:]), lambda x: np.sum(np.sqrt(x), where=np.array([False, True, False])),
              lambda x: np.select([x > 1], [np.sqrt(x)], 0.0).sum(), lambda x: np.nanmax(np.sqrt(x)), lambda x: np.nanmean(np.sqrt(x)[1:])):  # fmt: skip
        assert np.asarray(bprop.grad(f)(x)).tolist() == [0.0, 0.25, 0.0]
    assert np.asarray(bprop.grad(lambda m: np.linalg.norm(m) + np.std(m) + np.ptp(m))(0 * M)).any() == False  # noqa: E712
