"""The methods of `Array` take what those of NumPy's arrays take, in the same positions, eagerly and under transforms.

Planted: `sum` with ``keepdims`` in the place of ``dtype``; `argsort` that drops ``descending`` beside ``kind``.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop

M = np.array([[0.5, 2.0, -1.0], [1.5, 0.25, 3.0]])
MASK = M > 0.4
SQUARE = np.array([[0.5, 2.0], [1.5, 0.25]])

DIFFERENTIABLE = {
    "sum": [
        (M, (0, np.float32), {}), (M, (None, None, None, True), {}), (M, (1, None, None, False, 2.0), {}),
        (M, (), {"where": MASK, "initial": 1.5}), (M, (1,), {"dtype": np.float32, "keepdims": True}),
    ],
    "prod": [(M, (0, np.float32), {}), (M, (None, None, None, True, 2.0, MASK), {}), (M, (), {"initial": 3.0})],
    "mean": [(M, (0, np.float64, None, True), {}), (M, (), {"where": MASK}), (M, (1,), {"dtype": np.float32})],
    "var": [(M, (1, None, None, 1, True), {}), (M, (), {"ddof": 1}), (M, (), {"where": MASK})],
    "std": [(M, (1, None, None, 1, True), {}), (M, (), {"ddof": 1}), (M, (), {"where": MASK})],
    "max": [(M, (1, None, True), {}), (M, (), {"initial": 9.0}), (M, (0, None, False, -9.0, MASK), {})],
    "min": [(M, (1, None, True), {}), (M, (), {"initial": -9.0}), (M, (0, None, False, 9.0, MASK), {})],
    "cumsum": [(M, (), {}), (M, (1,), {}), (M, (0, np.float32), {}), (M, (), {"axis": -1, "out": None})],
    "cumprod": [(M, (), {}), (M, (1,), {}), (M, (0, np.float32), {})],
    "reshape": [
        (M, (3, -1), {"order": "F"}), (M, ((3, 2),), {"order": "F"}), (M, (6,), {"order": "C", "copy": True}),
        (M, (-1,), {"order": "F"}),
    ],
    "ravel": [(M, ("F",), {}), (M, (), {"order": "F"}), (M, ("C",), {})],
    "flatten": [(M, ("F",), {}), (M, (), {"order": "C"})],
    "copy": [(M, ("C",), {}), (M, (), {"order": "F"})],
    "transpose": [(M, ([1, 0],), {}), (M, (None,), {}), (M, (1, 0), {}), (M, (), {}), (M[0], (0,), {}), (M[0, 0, ...], (), {})],
    "take": [(M, (3,), {}), (M, ([1, 0], 1), {}), (M, ([7, -9], 1, None, "wrap"), {}), (M, (9,), {"mode": "clip"})],
    "trace": [(SQUARE, (), {}), (SQUARE, (1,), {}), (SQUARE, (0, 1, 0, np.float32), {})],
    "compress": [(M, ([True, False, True], 1), {}), (M, ([False, True],), {})],
    "clip": [(M, (0.0, 1.0), {}), (M, (), {"max": 1.0})],
    "round": [(M, (1,), {}), (M, (), {"decimals": 0})],
    "dot": [(SQUARE, (SQUARE,), {})],
    "conjugate": [(M, (), {})],
    "astype": [(M, (np.float32, "C", "same_kind"), {}), (M, (np.float32,), {"copy": False})],
    "squeeze": [(M[None], (0,), {})],
    "repeat": [(M, (2, 1), {})],
}  # fmt: skip
DISCRETE = {
    "any": [(MASK, (0,), {"keepdims": True}), (MASK, (), {"where": M > 1})],
    "all": [(MASK, (0,), {"keepdims": True}), (MASK, (), {"where": M > 1})],
    "argmax": [(M, (1,), {"keepdims": True}), (M, (None, None), {})],
    "argmin": [(M, (1,), {"keepdims": True}), (M, (None, None), {})],
    "argsort": [(M, (0, "stable"), {}), (M, (), {"kind": "mergesort"}), (M, (None,), {}), (M, (), {"stable": True})],
    "argpartition": [(M[0], (1,), {})],
    "searchsorted": [(np.sort(M[0]), ([0.1, 5.0], "right"), {}), (np.sort(M[0]), (0.5,), {})],
    "choose": [(np.array([0, 1, 0]), (M,), {})],
    "nonzero": [(M, (), {})],
}
CASES = [(name, *case) for table in (DIFFERENTIABLE, DISCRETE) for name, cases in table.items() for case in cases]
WITHOUT_MEANING = set(
    "base byteswap ctypes data device dump dumps flags flat getfield setfield setflags strides to_device tobytes tofile view".split()  # noqa: SIM905
)
"""What speaks of memory: an array here has none that a user could change."""


@pytest.mark.parametrize(("name", "x", "args", "options"), CASES)
def test_a_method_does_what_numpys_does(name, x, args, options):
    wanted = getattr(x, name)(*args, **options)
    for found in (
        getattr(bprop.asarray(x), name)(*args, **options),
        bprop.compile(lambda x: getattr(x, name)(*args, **options))(x) if name != "nonzero" else wanted,
    ):
        for y, numpys in zip(found, wanted, strict=True) if name == "nonzero" else [(found, wanted)]:
            assert np.shape(y) == np.shape(numpys)
            assert y.dtype == numpys.dtype
            assert_allclose(np.asarray(y), numpys, rtol=1e-6 if numpys.dtype == np.float32 else 1e-14)


@pytest.mark.parametrize(
    ("name", "x", "args", "options"), [(name, *case) for name in DIFFERENTIABLE for case in DIFFERENTIABLE[name]]
)
def test_a_method_has_the_derivative_of_numpys_function(name, x, args, options):
    if name in ("round", "copy"):
        return

    def f(x):
        return getattr(x, name)(*args, **options)

    x_dot = np.cos(np.arange(x.size, dtype=float)).reshape(x.shape)
    y, y_dot = bprop.jvp(f, (x,), (x_dot,))
    step = 1e-3 if y.dtype == np.float32 else 1e-6
    numerical = (
        getattr(x + step * x_dot, name)(*args, **options) - getattr(x - step * x_dot, name)(*args, **options)
    ) / (2 * step)
    assert_allclose(y_dot, numerical, atol=2e-3 if y.dtype == np.float32 else 1e-7)
    y_bar = np.sin(np.arange(y.size, dtype=float) + 1).reshape(y.shape).astype(y.dtype)
    x_bar = bprop.grad(lambda x: bprop.sum(f(x) * y_bar))(x)
    assert_allclose(
        np.sum(np.asarray(x_bar) * x_dot),
        np.sum(np.asarray(y_dot) * y_bar),
        rtol=1e-5 if y.dtype == np.float32 else 1e-12,
    )


def test_every_method_of_numpys_arrays_is_there():
    numpys = {name for name in dir(np.ndarray) if not name.startswith("_")}
    assert numpys - WITHOUT_MEANING <= set(dir(bprop.Array))


@pytest.mark.parametrize(
    ("name", "args", "instead"),
    [
        ("fill", (1.0,), r"bprop\.full_like\(x, value\)"),
        ("put", ([0], 1.0), r"\.at\[indices\]\.set\(values\)"),
        ("resize", (3, 2), r"numpy\.resize\(x, shape\)"),
        ("partition", (1,), r"numpy\.partition\(x, kth\)"),
    ],
)
def test_what_would_change_an_array_is_refused_with_what_to_write(name, args, instead):
    with pytest.raises(bprop.ArgumentError, match=rf"{name}: bprop arrays are immutable.*{instead}"):
        getattr(bprop.asarray(M), name)(*args)


def test_positions_and_bytes():
    x = bprop.asarray(M)
    assert (x.item(1), x.item(1, 2), x.item((1, 2)), x.item(-1)) == (2.0, 3.0, 3.0, 3.0)
    assert (x.nbytes, x.itemsize) == (M.nbytes, M.itemsize)
    assert_allclose(x.var(0, correction=1), M.var(0, ddof=1))
    assert_allclose(x.argsort(0, "stable", descending=True), np.argsort(-M, 0))


def test_an_array_to_be_filled_is_filled_where_no_derivative_is_lost():
    out = np.zeros(3)
    assert bprop.asarray(M).sum(0, out=out) is out
    assert_allclose(out, M.sum(0))
    assert np.sum(bprop.asarray(M), 0, None, out, False, 1.0) is out
    assert_allclose(out, M.sum(0) + 1)
    with pytest.raises(bprop.ArgumentError, match="never changes"):
        np.sum(M, 0, None, bprop.asarray(out))
    with pytest.raises(bprop.NumPyFunctionError, match="out"):
        bprop.jacobian(lambda x: x.sum(0, None, out))(M)
    with pytest.raises(bprop.DTypeError, match="casting='unsafe'"):
        bprop.asarray(M).astype(int, casting="safe")
