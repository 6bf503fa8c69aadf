"""x[index] and x.at[index] are NumPy's, for every kind of index and under every interpretation.

Planted: the gathered axes always in place (values differ where slices stand between arrays); a flat index that is not
checked axis by axis (an index outside its axis reads another row); `set` with the first writer; the adjoint of a gather
assigning instead of adding.
"""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import bprop
from bprop.compile import native
from support.profile import examples

SHAPES = [(), (3,), (4,), (2, 3), (3, 1, 2), (2, 3, 2), (2, 0), (2, 2, 3, 2)]


@st.composite
def indices(draw, shapes=SHAPES, masks=True):
    """A shape and an index that NumPy may or may not take: a little too long, a little out of range now and then."""
    shape = draw(st.sampled_from(shapes))
    common = draw(st.sampled_from([(), (2,), (3,), (2, 2), (0,)]))
    parts, axis, dots = [], 0, False
    for _ in range(draw(st.integers(0, len(shape) + 1))):
        size = shape[axis] if axis < len(shape) else 2
        kind = draw(
            st.sampled_from(["int", "slice", "slice", "none", "dots", "array", "array", "list", "zero", "mask"])
        )
        if kind == "none":
            parts.append(None)
            continue
        if kind == "dots":
            if not dots:
                parts.append(...)
                dots = True
            continue
        low, high = -size - (size == 0), max(size - 1, 0)
        if draw(st.integers(0, 30)) == 0:
            high += 1
        entry = st.integers(low, high)
        if kind == "int":
            parts.append(draw(st.one_of(entry, entry.map(np.int32))))
        elif kind == "slice":
            end = st.one_of(st.none(), st.integers(-size - 1, size + 1))
            parts.append(slice(draw(end), draw(end), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        elif kind == "mask" and masks:
            own = shape[axis : axis + draw(st.integers(1, 2))]
            if not own:
                continue
            flags = draw(st.lists(st.booleans(), min_size=int(np.prod(own)), max_size=int(np.prod(own))))
            parts.append(np.array(flags, bool).reshape(own))
            axis += len(own) - 1
        elif kind == "zero":
            parts.append(np.array(draw(entry)))
        else:
            own = tuple(draw(st.sampled_from([1, one])) for one in common)[draw(st.integers(0, len(common))) :]
            flat = draw(st.lists(entry, min_size=int(np.prod(own)), max_size=int(np.prod(own))))
            array = np.array(flat, draw(st.sampled_from([np.int64, np.int8]))).reshape(own)
            parts.append(array.tolist() if kind == "list" and array.ndim else array)
        axis += 1
    index = tuple(parts)
    return shape, index[0] if len(index) == 1 and draw(st.booleans()) else index


def numbers(shape):
    return np.arange(1.0, 1 + np.prod(shape)).reshape(shape)


def taken(x, index):
    """Return what NumPy reads, or ``None`` where it refuses."""
    try:
        return np.asarray(x[index])
    except IndexError:
        return None


@examples(400)
@given(indices())
@example(((2, 2, 3, 2), (slice(None), [0, 1], slice(None), [1, 0])))
@example(((2, 0), ([], [0])))
@example(((2, 3, 2), (None, [1, 0], slice(None), 1)))
@example(((2, 3, 2), (slice(None), 1, [1, 0])))
@example(((2, 3, 2), (..., np.array([True, False, True]), [1, 0])))
def test_reading_is_numpys(case):
    shape, index = case
    x = numbers(shape)
    expected = taken(x, index)
    if expected is None:
        with pytest.raises(bprop.IndexingError, match=r"x\["):
            bprop.asarray(x)[index]
        return
    y = bprop.asarray(x)[index]
    assert y.shape == expected.shape
    assert_array_equal(y, expected)
    y_bar = np.cos(numbers(expected.shape))
    x_bar = np.zeros(shape)
    np.add.at(x_bar, index, y_bar)
    y, pullback = bprop.vjp(lambda x: x[index], x)
    assert_array_equal(y, expected)
    assert_allclose(pullback(y_bar)[0], x_bar, rtol=1e-14, atol=1e-14)
    assert_array_equal(bprop.jvp(lambda x: x[index], (x,), (-x,))[1], -expected)


@examples(60)
@given(indices())
def test_compiled_and_batched_reading_is_eager(case):
    shape, index = case
    x = numbers(shape)
    expected = taken(x, index)
    assume(expected is not None)
    (y,) = native(bprop.trace(lambda x: x[index])(x))(bprop.asarray(x))
    assert_array_equal(y, expected)
    batch = np.stack([x, -2 * x])
    assert_array_equal(bprop.vmap(lambda x: x[index])(batch), np.stack([expected, -2 * expected]))


@examples(60)
@given(indices(masks=False))
def test_index_arrays_may_be_traced_or_batched(case):
    shape, index = case
    x = numbers(shape)
    expected = taken(x, index)
    assume(expected is not None)
    parts = index if isinstance(index, tuple) else (index,)
    places = [i for i, part in enumerate(parts) if isinstance(part, np.ndarray)]
    assume(places)
    arrays = [parts[i] for i in places]

    def read(x, *arrays):
        new = list(parts)
        for i, array in zip(places, arrays, strict=True):
            new[i] = array
        return x[tuple(new)]

    assert_array_equal(native(bprop.trace(read)(x, *arrays))(x, *arrays)[0], expected)
    # the second entry of the batch is indexed from the other end: the same numbers
    sizes = axes_of(shape, parts, places)
    other = [np.where(a < 0, a + n, a - n).astype(np.int64) for a, n in zip(arrays, sizes, strict=True)]
    stacked = [np.stack([a.astype(np.int64), b]) for a, b in zip(arrays, other, strict=True)]
    assert_array_equal(
        bprop.vmap(read, in_axes=(None, *[0] * len(places)))(bprop.asarray(x), *stacked), np.stack([expected] * 2)
    )
    # reading is linear in x, so the adjoint must agree with NumPy's sum too
    y_bar, x_bar = np.cos(numbers(expected.shape)), np.zeros(shape)
    np.add.at(x_bar, index, y_bar)
    back = lambda x, *arrays: bprop.vjp(lambda x: read(x, *arrays), x)[1](y_bar)[0]
    assert_allclose(native(bprop.trace(back)(x, *arrays))(x, *arrays)[0], x_bar, rtol=1e-14, atol=1e-14)


def axes_of(shape, parts, places):
    """The sizes of the axes that the parts at ``places`` index."""
    consuming = [part is not None and part is not ... for part in parts]
    dots = next((i for i, part in enumerate(parts) if part is ...), len(parts))
    return [shape[sum(consuming[:i])] if i < dots else shape[len(shape) - sum(consuming[i:])] for i in places]


@examples(300)
@given(indices(), st.sampled_from(["full", "scalar", "row"]), st.randoms(use_true_random=False))
def test_writing_is_numpys(case, how, random):
    shape, index = case
    x = numbers(shape)
    read = taken(x, index)
    assume(read is not None)
    v = {"full": -numbers(read.shape), "scalar": np.array(-5.0), "row": -numbers(read.shape[-1:])}[how]
    expected = {name: x.copy() for name in ("set", "add", "multiply")}
    expected["set"][index] = v
    every = np.broadcast_to(v, read.shape).copy()  # of a v that broadcasts, ufunc.at of NumPy 2.4 drops values
    np.add.at(expected["add"], index, every)
    np.multiply.at(expected["multiply"], index, every)
    for name, y in expected.items():
        assert_allclose(getattr(bprop.asarray(x).at[index], name)(v), y, rtol=1e-13, atol=0, err_msg=name)
    assert_array_equal(bprop.asarray(x).at[index].get(), read)
    # who wrote each entry: NumPy itself says, by writing numbers that name the writers
    writer = np.full(shape, -1)
    writer[index] = np.arange(read.size).reshape(read.shape)
    y_bar = np.cos(x)
    _, pullback = bprop.vjp(lambda x, v: x.at[index].set(v), x, np.broadcast_to(v, read.shape))
    x_bar, v_bar = pullback(y_bar)
    assert_array_equal(x_bar, np.where(writer < 0, y_bar, 0))
    mine = np.zeros(read.size)
    mine[writer[writer >= 0]] = y_bar[writer >= 0]
    assert_array_equal(v_bar, mine.reshape(read.shape))
    x_bar, v_bar = bprop.vjp(lambda x, v: x.at[index].add(v), x, np.broadcast_to(v, read.shape))[1](y_bar)
    assert_array_equal(x_bar, y_bar)
    assert_array_equal(v_bar, y_bar[index])


@examples(40)
@given(indices(), st.sampled_from(["set", "add", "multiply"]))
def test_compiled_and_batched_writing_is_eager(case, name):
    shape, index = case
    x = numbers(shape)
    read = taken(x, index)
    assume(read is not None)
    v = np.sin(numbers(read.shape)) + 2
    write = lambda x, v: getattr(x.at[index], name)(v)
    expected = np.asarray(write(bprop.asarray(x), v))
    assert_allclose(native(bprop.trace(write)(x, v))(x, v)[0], expected, rtol=1e-14)
    both = bprop.vmap(write, in_axes=(0, None))(np.stack([x, x / 2]), v)
    assert_allclose(both[0], expected, rtol=1e-14)
    assert_allclose(both[1], write(bprop.asarray(x / 2), v), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", ["set", "add", "multiply"])
def test_writing_of_complex_numbers_has_the_derivatives_of_its_parts(name, dtype):
    z, v = (np.cos(numbers(shape)) + 1j * np.sin(2 * numbers(shape)) for shape in ((4,), (3,)))
    z, v = z.astype(dtype), v.astype(dtype)
    write = lambda z, v: bprop.sum(bprop.abs(getattr(z.at[[2, 0, 2]], name)(v)) ** 2)
    parts = lambda x, y, u, w: write(bprop.astype(x + 1j * y, dtype), bprop.astype(u + 1j * w, dtype))
    real = (z.real, z.imag, v.real, v.imag)
    x_bar, y_bar, u_bar, w_bar = (np.asarray(part) for part in bprop.grad(parts, (0, 1, 2, 3))(*real))
    tolerance = 1e-5 if dtype == "complex64" else 1e-13
    for f in (write, bprop.compile(write)):
        z_bar, v_bar = bprop.grad(f, (0, 1))(z, v)
        assert_allclose(z_bar, x_bar + 1j * y_bar, rtol=tolerance, atol=tolerance)
        assert_allclose(v_bar, u_bar + 1j * w_bar, rtol=tolerance, atol=tolerance)
        assert z_bar.dtype == v_bar.dtype == dtype
    at = lambda h: write(bprop.asarray(z + np.complex128(h)), v.astype(complex))
    numerical = [(at(h) - at(-h)) / 2e-3 for h in (1e-3, 1e-3j)]
    assert_allclose(np.sum(np.asarray(bprop.grad(write)(z, v))), complex(*map(float, numerical)), rtol=2e-3)


@pytest.mark.parametrize("name", ["set", "add", "multiply"])
def test_derivatives_of_writing_are_numerical(name, numerical):
    x, v, rows = np.array([0.5, 1.5, -2.0, 0.7]), np.array([1.1, -0.4, 0.9]), np.array([2, 0, 2])
    energy = lambda x, v, rows=rows: bprop.sum(bprop.tanh(getattr(x.at[rows], name)(v)) * np.arange(1.0, 5))
    for f in (energy, lambda x, v: energy(x, v, bprop.asarray(rows)), lambda x, v: bprop.trace(energy)(x, v)(x, v)[0]):
        gradients = bprop.grad(f, (0, 1))(x, v)
        for place, gradient in enumerate(gradients):
            for i in range(gradient.size):
                unit = np.zeros(gradient.size)
                unit[i] = 1

                def line(t, unit=unit, place=place):
                    return [np.asarray(energy(*(one + t * unit * (j == place) if j == place else one
                                                for j, one in enumerate(map(bprop.asarray, (x, v))))))]  # fmt: skip

                assert_allclose(gradient[i], numerical(line)[0], rtol=1e-9, atol=1e-9)
    symmetric = bprop.hessian(lambda both: energy(both[:4], both[4:]))(np.concatenate([x, v]))
    assert_allclose(symmetric, np.transpose(symmetric), atol=1e-13)


def test_products_of_many_values_for_one_entry():
    rows = np.array([1, 1, 0, 1, 1, 1, 2, 1, 0])
    v = np.arange(2.0, 11)
    expected = np.ones(4)
    np.multiply.at(expected, rows, v)
    write = lambda x, v, rows: x.at[rows].multiply(v)
    assert_array_equal(write(bprop.ones(4), v, rows), expected)
    assert_array_equal(native(bprop.trace(write)(np.ones(4), v, rows))(np.ones(4), v, rows)[0], expected)
    batch = bprop.vmap(write, in_axes=(None, None, 0))(bprop.ones(4), v, np.stack([rows, rows[::-1]]))
    other = np.ones(4)
    np.multiply.at(other, rows[::-1], v)
    assert_array_equal(batch, [expected, other])


def test_what_is_overwritten_has_no_derivative():
    """0 · inf is NaN: the cotangent of an overwritten entry is absent, not zero."""
    x = np.array([0.0, 4.0])
    for index in (0, [0], slice(0, 1), np.array([True, False])):
        f = lambda x, index=index: bprop.sum(bprop.sqrt(x).at[index].set(1.0))
        assert_array_equal(bprop.grad(f)(x), [0, 0.25])
        assert_array_equal(bprop.trace(bprop.grad(f))(x)(x)[0], [0, 0.25])
        assert_array_equal(bprop.compile(bprop.grad(f))(x), [0, 0.25])
    g = lambda x: bprop.sum(bprop.concat((bprop.sqrt(x), x))[1:])
    assert_array_equal(bprop.grad(g)(x), [1, 1.25])
    forward = bprop.jvp(lambda x: bprop.sqrt(x)[1:], (x,), (np.array([1.0, 1.0]),))[1]
    assert_array_equal(forward, [0.25])


def test_joined_with_zeros_a_cotangent_stays_absent_there():
    """A rule that writes absence as zeros beside its cotangent: times an infinite partial that is 0, not NaN."""
    rest = bprop.custom(lambda s: s[1:], vjp=lambda y_bar, y, s: (bprop.concat((np.zeros(1), y_bar)),))
    f = lambda x: bprop.sum(rest(bprop.sqrt(x)))
    for run in (bprop.grad(f), bprop.trace(bprop.grad(f))(np.ones(2)), bprop.compile(bprop.grad(f))):
        x_bar = run(np.array([0.0, 4.0]))
        assert_array_equal(x_bar[0] if isinstance(x_bar, list) else x_bar, [0, 0.25])


def test_a_full_slice_is_the_array_itself():
    x = bprop.ones((2, 3))
    assert x[:] is x
    assert x[...] is x
    assert x[:, :] is x
    assert x.copy() is x


def test_masks_are_known_while_recording_and_not_while_tracing():
    x = np.array([1.0, -2.0, 3.0])
    f = lambda x: bprop.sum(x[x > 0] ** 2)
    assert_array_equal(bprop.grad(f)(x), [2, 0, 6])
    assert_array_equal(bprop.hessian(f)(x), np.diag([2, 0, 2]))
    assert_array_equal(bprop.jvp(f, (x,), (np.ones(3),))[1], 8)
    for run, arg in (
        (bprop.trace(f), x),
        (bprop.compile(f), x),
        (bprop.compile(bprop.grad(f)), x),
        (bprop.vmap(f), x[None]),
    ):
        with pytest.raises(bprop.IndexingError, match=r"bool\[3\].*bprop\.where\(mask, x, 0\)"):
            run(arg)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_an_index_outside_its_axis_is_an_error_everywhere(dtype):
    x = np.arange(6.0).reshape(2, 3)
    rows, columns = np.array([0, 1], dtype), np.array([0, 3], dtype)  # (1, 3) would be entry 6, (0, 3) entry (1, 0)
    read = lambda x, i, j: x[i, j]
    write = lambda x, i, j: x.at[i, j].set(1.0)
    for f in (read, write, lambda x, i, j: x.at[i, j].add(1.0), lambda x, i, j: x.at[i, j].multiply(2.0)):
        for i, j in ((rows, columns), (rows[::-1], columns)):
            with pytest.raises(bprop.IndexingError, match=r"index 3 is out of range for axis 1 of shape \(2, 3\)"):
                f(bprop.asarray(x), i, j)
            with pytest.raises(bprop.IndexingError, match=r"index 3 is out of range for axis 1 of shape \(2, 3\)"):
                bprop.vmap(f, in_axes=(None, 0, 0))(bprop.asarray(x), np.stack([i, i]), np.stack([j, j]))
            with pytest.raises(bprop.IndexingError, match="out of range"):
                native(bprop.trace(f)(x, i, j))(x, i, j)
    with pytest.raises(bprop.IndexingError, match=r"index 3 is out of range for axis 1 of shape \(2, 3\)"):
        bprop.asarray(x)[:, columns]
    with pytest.raises(bprop.IndexingError, match="out of range"):  # not an entry of the next of the batch
        bprop.vmap(bprop.take)(x, np.array([[0, 3], [0, 1]]))
    with pytest.raises(bprop.IndexingError, match="out of range"):
        native(bprop.trace(bprop.vmap(bprop.take))(x, np.array([[0, 3], [0, 1]])))(x, np.array([[0, 3], [0, 1]]))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 4), (2, 1, 4), (2, 3, 1)])
def test_take_along_axis_is_numpys(axis, shape):
    x = np.random.default_rng(3).normal(size=(2, 3, 4))
    shape = tuple(5 if place == axis % 3 else size for place, size in enumerate(shape))
    chosen = np.random.default_rng(4).integers(-x.shape[axis], x.shape[axis], shape)
    expected = np.take_along_axis(x, chosen, axis)
    assert_array_equal(bprop.take_along_axis(x, chosen, axis=axis), expected)
    assert_array_equal(np.take_along_axis(bprop.asarray(x), chosen, axis), expected)
    f = lambda x, i: bprop.take_along_axis(x, i, axis=axis)
    assert_array_equal(native(bprop.trace(f)(x, chosen))(x, chosen)[0], expected)
    assert_array_equal(
        bprop.vmap(f, in_axes=(0, 0))(np.stack([x, -x]), np.stack([chosen, chosen])), [expected, -expected]
    )
    y_bar, x_bar = np.cos(expected), np.zeros(x.shape)
    grid = [np.arange(n).reshape(-1, *(1,) * (2 - place)) for place, n in enumerate(x.shape)]
    grid[axis] = chosen
    np.add.at(x_bar, tuple(grid), y_bar)
    assert_allclose(bprop.vjp(lambda x: f(x, chosen), x)[1](y_bar)[0], x_bar, rtol=1e-14, atol=1e-14)


X = bprop.asarray(np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: X[0, 0, 0], bprop.IndexingError, r"x\[\(0, 0, 0\)\]: 3 indices for an array of shape \(2, 3\)"),
        (lambda: X[2], bprop.IndexingError, r"x\[2\]: index 2 is out of range for axis 0 of shape \(2, 3\)"),
        (lambda: X[:, -4], bprop.IndexingError, r"index -4 is out of range for axis 1 of shape \(2, 3\)"),
        (lambda: X[..., 0, ...], bprop.IndexingError, r"'...' stands for all other axes, so it can be there only once"),
        (lambda: X[1.0], bprop.IndexingError, r"float is no index"),
        (lambda: X[[0.5]], bprop.IndexingError, r"indices are integers or a mask, not float64\[1\]"),
        (lambda: X[True], bprop.IndexingError, r"True and False are no indices"),
        (lambda: X[::0], bprop.IndexingError, r"slice step cannot be zero"),
        (lambda: X["a":], bprop.IndexingError, r"slice indices must be integers"),
        (lambda: X[[0, 1], [0, 1, 2]], bprop.IndexingError, r"index arrays of shapes \(2,\) and \(3,\) do not broadcast"),
        (lambda: X[np.ones((2, 2), bool)], bprop.IndexingError, r"a mask of shape \(2, 2\) for axes of shape \(2, 3\)"),
        (lambda: X[:, np.ones((3, 1), bool)], bprop.IndexingError, r"3 indices for an array of shape \(2, 3\)"),
        (lambda: X.at[5].set(1), bprop.IndexingError, r"index 5 is out of range for axis 0 of shape \(2, 3\)"),
        (lambda: X.at[[5]].set(1), bprop.IndexingError, r"index 5 is out of range for axis 0 of shape \(2, 3\)"),
        (lambda: X.at[:, [5]].add(1), bprop.IndexingError, r"index 5 is out of range for axis 1 of shape \(2, 3\)"),
        (lambda: X.at[0].set(np.ones(2)), bprop.ShapeError,
         r"at.set: a value of shape \(2,\) does not broadcast to the entries' shape \(3,\)"),
        (lambda: X.at[[0, 1]].add(np.ones(4)), bprop.ShapeError, r"at.add: a value of shape \(4,\).*\(2, 3\)"),
        (lambda: bprop.arange(3).at[0].set(0.5), bprop.DTypeError, r"at.set: float64 values do not fit in an array of int64"),
        (lambda: (X > 1).at[0].multiply(2), bprop.DTypeError, r"at.multiply: int64 values do not fit in an array of bool"),
        (lambda: X.at[0].set(1j), bprop.DTypeError, r"at.set: complex128 values do not fit in an array of float64"),
        (lambda: X.at[0].set("a"), bprop.ArgumentError, r"at.set: an argument is str"),
        (lambda: bprop.take_along_axis(X, [0]), bprop.ShapeError, r"indices of shape \(1,\) need as many axes as shape \(2, 3\)"),
        (lambda: bprop.take_along_axis(X, [[0.5]]), bprop.IndexingError, r"indices are integers, not float64"),
        (lambda: bprop.take_along_axis(X, [[3]]), bprop.IndexingError, r"index 3 is out of range for axis 1 of shape \(2, 3\)"),
        (lambda: bprop.take_along_axis(X, [[0]], axis=2), bprop.ShapeError, r"take_along_axis: axis 2 is out of range"),
        (lambda: bprop.take_along_axis(X, np.zeros((4, 1), int)), bprop.ShapeError, r"take_along_axis: shapes"),
        (lambda: bprop.take(X, [0]), bprop.ShapeError, r"take: shape \(2, 3\) has 2 axes: say along which axis"),
        (lambda: X.__setitem__(0, 1.0), bprop.ArgumentError, r"x = x\.at\[index\]\.set\(value\)"),
        (lambda: bprop.grad(lambda x: bprop.sum(bprop.asarray([x[0], x])))(np.ones(2)), bprop.ShapeError, r"bprop\.concat\("),
    ],
)  # fmt: skip
def test_errors(call, kind, words):
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "test_index.py" in caught.value.line


def test_written_forms():
    x = bprop.zeros((2, 3))
    assert repr(x.at[0]) == "<x.at[0] of float64[2,3]>"
    assert "concat((x0, x0), axis=1)" in str(bprop.trace(lambda x: bprop.concat((x, x), axis=1))(x))


TRUE, FALSE = np.array(True), np.array(False)
BARE_MASKS = [
    TRUE, FALSE, (slice(None), TRUE), (TRUE, np.array([0, 1])), (np.array([0]), None, FALSE), (0, TRUE), (TRUE, TRUE),
    (..., FALSE), (slice(None), np.array([[0], [2]]), TRUE), np.zeros((0, 3), bool), np.zeros((2, 0), bool), np.zeros(0, bool),
]  # fmt: skip


@pytest.mark.parametrize("index", BARE_MASKS, ids=str)
def test_masks_without_axes_or_with_empty_ones_are_numpys(index):
    """As the Array API has them. Planted: the new axis left out of the sliced shape; an empty mask compared with its axis."""
    x = np.arange(6.0).reshape(2, 3)
    adjoint, written = np.zeros((2, 3)), x.copy()
    np.add.at(adjoint, index, 2 * x[index])
    written[index] = 7.0
    assert_array_equal(bprop.asarray(x)[index], x[index])
    assert bprop.asarray(x)[index].shape == x[index].shape
    assert_array_equal(bprop.grad(lambda x: bprop.sum(x[index] ** 2))(x), adjoint)
    assert_array_equal(bprop.asarray(x).at[index].set(7.0), written)
    assert_array_equal(bprop.compile(lambda x: x[index])(x), x[index])
