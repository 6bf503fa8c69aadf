"""What shares a kernel, what does not, and where values live."""

import numpy as np
import pytest

import bprop
from bprop.compile.ir.affine_index import flattened, variable
from bprop.compile.passes.fuse import fuse
from bprop.compile.passes.inline import inline
from bprop.compile.runtime.executable import Program
from bprop.core.simplify import simplify

X = bprop.asarray(np.linspace(-1, 1, 12).reshape(3, 4))


def kinds(f, *args):
    return [kernel.kind for kernel in fuse(simplify(inline(bprop.trace(f)(*args))))]


def test_a_chain_of_maps_is_one_kernel():
    assert kinds(lambda x: bprop.tanh(bprop.exp(x) * 2 + 1), X) == ["map"]


def test_a_reduction_takes_the_map_before_it():
    assert kinds(lambda x: bprop.sum(bprop.exp(x) * 2, axis=1), X) == ["reduce"]


def test_re_indexing_is_read_in_place():
    assert kinds(lambda x: bprop.exp(x.T)[::2] + 1, X) == ["map"]
    assert kinds(lambda x: bprop.reshape(bprop.exp(x), (12,)) * 2, X) == ["map"]


def test_a_contraction_reads_transposed_and_sliced_operands():
    assert kinds(lambda x: x.T @ x[:, ::-1], X) == ["contract"]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("view", "inside"),
    [
        (lambda x: bprop.reshape(x.T, (2, 6)), False),  # no multiple of loop variables says where an entry lies
        (lambda x: bprop.reshape(x[:, :3], (3, 3)), True),
        (lambda x: bprop.reshape(x[:, 1:], (9,))[:8].reshape(2, 4), False),
        (lambda x: bprop.reshape(bprop.broadcast_to(x[:, None], (3, 2, 4)), (6, 4)), False),
        (lambda x: bprop.reshape(x, (2, 6)), True),  # the memory as it is, by another name
        (lambda x: bprop.reshape(x, (3, 2, 2))[::-1, :, 1], True),
    ],
)
def test_a_contraction_reads_in_place_what_strides_can_say(view, inside, side, distance):
    w = np.random.default_rng(0).normal(size=view(X).shape[::-1])
    f = (lambda x, w: view(x) @ w) if side == 0 else (lambda x, w: w @ view(x))
    assert ("map" not in kinds(f, X, bprop.asarray(w))) is inside
    assert distance(f, X, w) <= 2


def test_a_value_of_two_kernels_is_computed_once():
    assert kinds(lambda x: bprop.softmax(x), X) == ["reduce", "map", "reduce", "map", "map"]


def test_what_is_as_cheap_to_compute_as_to_read_is_computed_by_every_reader(distance):
    """x minus the mean of its row stands nowhere in memory."""
    x = bprop.asarray(np.linspace(-1, 1, 64).reshape(4, 16) ** 3)

    def normalised(x):
        centred = x - bprop.mean(x, axis=1, keepdims=True)
        return centred / bprop.sqrt(bprop.sum(centred * centred, axis=1, keepdims=True))

    def with_another_operand_of_its_size(x, y):
        difference = x - y  # two arrays would be read in place of one
        return difference / bprop.sqrt(bprop.sum(difference * difference, axis=1, keepdims=True))

    kernels = Program(inline(bprop.trace(normalised)(x))).kernels
    assert [kernel.kind for kernel in kernels] == ["reduce", "reduce", "map"]
    assert kinds(lambda x: with_another_operand_of_its_size(x, x[::-1]), x)[0] == "map"
    assert "subtract" in str(kernels[1])
    assert "subtract" in str(kernels[2])
    assert distance(normalised, x) <= 2


def test_a_scalar_is_computed_where_it_is_first_read(distance):
    """The kernel stores it for the others: a loop over scalars is one kernel, not one for each of its values."""

    def final(x):
        angle, speed = x[0], x[1]
        for _ in range(8):
            speed = speed - 0.01 * bprop.sin(angle)
            angle = angle + 0.01 * speed
        return angle, speed * angle, bprop.stack([angle, x[1] * bprop.sum(bprop.exp(x) * angle)])

    x = np.array([1.0, 0.2])
    assert kinds(final, x).count("map") <= 3
    assert distance(final, x) <= 2
    gradient = bprop.grad(lambda x: final(x)[1])
    assert kinds(gradient, x).count("map") <= 5
    assert distance(gradient, x) <= 4


def test_nothing_is_computed_again_for_a_broadcast_or_a_second_position():
    assert kinds(lambda x: bprop.exp(x[0]) + x, X) == ["map", "map"]
    f = lambda x: x[1:] - x[:-1]
    assert kinds(lambda x: f(bprop.exp(x)), X) == ["map", "map"]


def test_stencils_do_not_explode():
    def f(x):
        for _ in range(12):
            y = bprop.exp(x)
            x = y[1:] * 0.5 + y[:-1] * 0.25 - 1
        return x

    program = Program(inline(bprop.trace(f)(bprop.zeros(20))))
    assert all(len(nest.scalars) < 100 for nest in (kernel.nest for kernel in program.kernels if kernel.nest))


def test_an_optimiser_update_is_one_kernel():
    def adam(p, m, v, g):
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        return p - 0.1 * m / (bprop.sqrt(v) + 1e-8), m, v

    assert kinds(adam, X, X + 1, X + 2, X + 3) == ["map"]


def test_very_long_chains_are_cut():
    def f(x):
        for _ in range(1500):
            x = x * 1.001 + 0.5
        return x

    assert 10 < len(kinds(f, X)) < 100


def test_dead_buffers_are_used_again():
    def f(x):
        for _ in range(10):
            x = bprop.tanh(x @ x.T)
        return x

    memory = Program(inline(bprop.trace(f)(bprop.ones((8, 8))))).memory
    assert memory.size <= 3 * 8 * 8 * 8 < memory.total


def test_live_buffers_never_overlap(distance):
    """Small integers, whose products and sums are exact in any order."""

    def f(x):
        parts = [x @ (x.T + k) for k in range(6)]
        for k in range(6):
            parts.append(parts[k] @ parts[5 - k])
        return (*parts[1::3], sum(parts[1:], parts[0]))

    assert distance(f, np.random.default_rng(0).integers(-3, 4, (5, 5)).astype(float)) == 0


def test_overlapping_buffers_would_be_seen(distance, monkeypatch):
    from bprop.compile.passes import plan_memory as module

    right = module._Planner._intermediates

    def careless(self):
        self.last_use = dict(self.producer)  # as if nothing lived beyond its own kernel
        return right(self)

    monkeypatch.setattr(module._Planner, "_intermediates", careless)
    with pytest.raises(AssertionError):
        test_live_buffers_never_overlap(distance)


@pytest.mark.parametrize("new", [(12,), (4, 3), (2, 6), (2, 3, 2), (1, 12, 1)])
@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_positions_are_those_of_numpy(new, axes):
    """A transposed array reshaped: evaluate the formula at every position."""
    numbers = np.arange(12).reshape(3, 4)
    expected = numbers.transpose(axes).reshape(new)
    position = tuple(variable(axis, size) for axis, size in enumerate(new))
    shape = tuple((3, 4)[axis] for axis in axes)
    flat, inner = flattened(position, new), []
    for size in reversed(shape):
        inner.insert(0, flat % size)
        flat = flat // size
    address = flattened(tuple(inner[axes.index(axis)] for axis in range(2)), (3, 4))

    def evaluate(index, at):
        total = index.constant
        for atom, coefficient in index.terms.items():
            if atom.kind == "loop":
                value = at[atom.detail]
            else:
                e, d = evaluate(atom.detail[0], at), atom.detail[1]
                value = e // d if atom.kind == "quotient" else e % d
            assert 0 <= value < atom.size
            total += coefficient * value
        return total

    for at in np.ndindex(new):
        assert evaluate(address, at) == expected[at]
    if axes == (0, 1):
        assert address.linear()


# --- joins ---
def test_a_matrix_of_scalars_is_one_kernel(distance):
    """Its constants and what is computed of a number twice, too."""

    def turned(t, x):
        return np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]]) @ x

    x = np.array([1.0, 2.0, 3.0])
    assert kinds(turned, 0.3, x) == ["join", "contract"]
    assert distance(turned, 0.3, x) <= 1


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(5,), (3, 70), (0, 2)], ids=str)
def test_operands_of_one_shape_share_a_loop(shape, axis, distance):
    """What two of them read is computed once."""
    x, y = np.random.default_rng(0).random((2, *shape))

    def coordinates(x, y):
        return bprop.stack([bprop.sin(x) * bprop.cos(y), bprop.sin(x) * bprop.sin(y), bprop.cos(x), x], axis=axis)

    assert kinds(coordinates, x, y) == ["join"]
    assert distance(coordinates, x, y) <= 2


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sizes", [(1, 3, 0, 2), (20, 1, 1, 20, 4), (1,) * 40, (9, 8, 9)], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_operands_of_several_shapes(sizes, axis, dtype, distance):
    shapes = [(size, 1) if axis == 0 else (1, size) for size in sizes]
    xs = [np.arange(size).astype(dtype).reshape(shape) + size for size, shape in zip(sizes, shapes, strict=True)]
    assert distance(lambda *xs: bprop.concat([*xs[:1], *(x * 2 + xs[0][:1, :1] for x in xs[1:])], axis=axis), *xs) == 0
    assert distance(lambda *xs: bprop.concat([xs[-1], *xs, 7 * xs[0]], axis=axis), *xs) == 0


def test_small_operands_are_not_computed_entry_by_entry():
    x = np.arange(4.0)
    assert kinds(lambda x: bprop.concat([bprop.exp(x), bprop.sum(x)[None]]), x) == ["map", "reduce", "join"]


def test_the_gradient_of_a_turned_weight_is_one_product():
    def loss(w, b, x):
        return bprop.sum(bprop.tanh(x @ w.T + b) ** 2)

    rng = np.random.default_rng(0)
    w, b, x = (bprop.asarray(rng.normal(size=shape)) for shape in ((3, 5), (3,), (7, 5)))
    f = bprop.compile(lambda w, b, x: bprop.grad(loss, argnums=(0, 1))(w, b, x))
    for got, expected in zip(f(w, b, x), bprop.grad(loss, argnums=(0, 1))(w, b, x), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-13)
    assert not [kernel for kernel in f.program.kernels if kernel.kind == "map" and kernel.shape == (3, 5)]


@pytest.mark.parametrize("axes", [(2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize("shapes", [((5, 5, 4), (5, 4, 5)), ((1, 3, 4), (2, 4, 1)), ((2, 2, 4), (2, 4, 2))])
def test_a_contraction_makes_its_result_in_the_order_in_which_it_is_read(axes, shapes):
    rng = np.random.default_rng(1)
    a, b = (bprop.asarray(rng.normal(size=shape)) for shape in shapes)
    f = bprop.compile(lambda a, b: bprop.permute_dims(a @ b, axes))
    np.testing.assert_allclose(f(a, b), np.transpose(np.asarray(a) @ np.asarray(b), axes), rtol=1e-13)
    assert [kernel.kind for kernel in f.program.kernels] == ["contract"]


@pytest.mark.parametrize("axes", [(2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 1, 0)])
def test_a_contraction_keeps_its_order_where_its_rows_would_become_shorter(axes):
    rng = np.random.default_rng(1)
    a, b = (bprop.asarray(rng.normal(size=shape)) for shape in ((2, 3, 4), (2, 4, 20)))
    f = bprop.compile(lambda a, b: bprop.permute_dims(a @ b, axes))
    np.testing.assert_allclose(f(a, b), np.transpose(np.asarray(a) @ np.asarray(b), axes), rtol=1e-13)
    assert [kernel.kind for kernel in f.program.kernels] == ["contract", "map"]


def test_a_contraction_that_is_read_twice_keeps_its_order():
    a = bprop.asarray(np.arange(6.0).reshape(2, 3))
    f = bprop.compile(lambda a: (a @ a.T + 1, (a @ a.T).T * a[:, :2]))
    expected = np.asarray(a) @ np.asarray(a).T
    for got, right in zip(f(a), (expected + 1, expected.T * np.asarray(a)[:, :2]), strict=True):
        np.testing.assert_allclose(got, right)
    assert sum(kernel.kind == "contract" for kernel in f.program.kernels) == 1


def test_deviations_from_a_mean_are_computed_where_they_are_read():
    """Planted: a kernel of its own for them, of which a sum, a map and an output would read."""

    def f(x):
        deviation = x - bprop.mean(x, axis=1, keepdims=True)
        scale = bprop.sum(bprop.square(deviation), axis=1, keepdims=True)
        return deviation / scale

    x = np.random.default_rng(0).standard_normal((8, 40))
    run = bprop.compile(f)
    np.testing.assert_allclose(run(x), f(x), rtol=1e-12)
    kernels = [line for line in str(run.kernels).split("\n") if " 8×40 " in line]
    assert sum("subtract" in line for line in kernels) == 2, kernels
    assert len(kernels) == 3, kernels


def test_a_concatenation_stores_what_others_read_too():
    def f(x, w):
        gate = bprop.tanh(x) * 2
        return bprop.concat((gate * x, gate + 1), axis=1), gate @ w, gate * x

    x, w = np.linspace(-1, 1, 24).reshape(6, 4), np.ones((4, 3))
    assert kinds(f, x, w).count("map") <= 1
    kernels = fuse(simplify(bprop.trace(f)(x, w)))
    assert sum(node.op is bprop.tanh for kernel in kernels for node in kernel.nodes) == 1
    for y, expected in zip(bprop.compile(f)(x, w), f(x, w), strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-14)
