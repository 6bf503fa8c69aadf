"""Compiled functions: trees, caching, cells, donation, errors."""

import copy
import pickle
import threading
from collections import OrderedDict, deque
from types import SimpleNamespace

import numpy as np
import pytest

import bprop
from bprop.compile import compile, native
from bprop.core.cell import Cell

RANDOM = np.random.default_rng(0)


def address(cell):
    return cell.array.data.__array_interface__["data"][0]


def test_trees_in_and_out():
    @compile
    def f(batch, *, scale, name):
        assert name == "net"
        return {"y": [batch["x"] * scale, None, 3, "text"], "pair": (batch["t"], batch["x"])}

    x, t = bprop.ones(3), np.arange(2)
    y = f({"x": x, "t": t}, scale=2.0, name="net")
    assert y["y"][1:] == [None, 3, "text"]
    np.testing.assert_array_equal(y["y"][0], [2, 2, 2])
    assert y["pair"][1] is x  # an argument passed through is the same immutable array
    t[0] = 9
    np.testing.assert_array_equal(y["pair"][0], [0, 1])


def test_one_program_for_each_shape_dtype_and_constant():
    traced = []

    @compile
    def f(x, n):
        traced.append((x.spec, n))
        return x * n

    for args in [(bprop.ones(2), 2), (bprop.zeros(2), 2), (bprop.ones(2), 2.0), (bprop.ones(2), True), (bprop.ones(3), 2),
                 (bprop.ones(2, dtype="float32"), 2), (bprop.ones(2), -0.0), (bprop.ones(2), 0.0),
                 (bprop.ones(2), float("nan")), (bprop.ones(2), float("nan"))]:  # fmt: skip
        np.testing.assert_array_equal(f(*args), args[0].data * args[1])
    assert len(traced) == 5  # a float is an input: one program for all its numbers


def test_the_least_recently_used_program_goes_first():
    traced = []

    @compile
    def f(x, n):
        traced.append(int(n))
        return x + int(n)

    for n in range(32):
        f(bprop.ones(1), str(n))
        f(bprop.ones(1), "0")
    with pytest.warns(bprop.CompileWarning, match="program 33, and 32 are kept"):
        f(bprop.ones(1), "32")
    f(bprop.ones(1), "0")
    assert len(f.programs) == 32
    f(bprop.ones(1), "0")
    f(bprop.ones(1), "1")
    assert list(traced) == [*range(33), 1]  # and nothing more is said: warnings are errors here


def test_what_a_function_closes_over():
    scale, w = 2, bprop.ones(2)

    @compile
    def f(x):
        return x * scale + w

    np.testing.assert_array_equal(f(bprop.ones(2)), [3, 3])
    scale = 3
    np.testing.assert_array_equal(f(bprop.ones(2)), [4, 4])
    w = bprop.zeros(2)
    np.testing.assert_array_equal(f(bprop.ones(2)), [3, 3])


def test_non_contiguous_empty_and_scalar_inputs():
    f = compile(lambda x: bprop.exp(x) + 1)
    for x in (
        RANDOM.normal(size=(4, 6))[::2, ::-3],
        np.zeros((0, 3)),
        np.array(1.5),
        np.float64(2.0),
        np.ones((3, 2)).T,
    ):
        np.testing.assert_allclose(f(x), np.exp(x) + 1, rtol=1e-15)


def test_inside_a_transform_the_call_is_inlined():
    f = compile(lambda x: bprop.sum(x * x))
    np.testing.assert_array_equal(bprop.grad(f)(bprop.asarray([1.0, 2.0])), [2, 4])
    assert "no program" in repr(f)
    g = compile(lambda x: bprop.grad(f)(x) + 1)
    np.testing.assert_array_equal(g(bprop.asarray([1.0, 2.0])), [3, 5])


# --- cells ---
class Model:
    """A holder of cells."""

    def __init__(self):
        self.w = Cell(bprop.asarray(RANDOM.normal(size=(4, 3))), "w", trainable=True)
        self.count = Cell(bprop.asarray(0), "count")
        self.scale = 1.0

    def cells(self):
        return {"w": self.w, "count": self.count}


def loss(w, x):
    return bprop.sum(bprop.tanh(x @ w) ** 2)


def step(model, x):
    w = model.w.read()
    E, gradient = bprop.value_and_grad(loss)(w, x)
    model.w.write(w - 0.1 * model.scale * gradient)
    model.count.write(model.count.read() + 1)
    return E


X = bprop.asarray(RANDOM.normal(size=(5, 4)))


def test_a_training_step_follows_the_eager_one_in_place():
    eager, compiled = Model(), Model()
    compiled.w.write(eager.w.read())
    fast = compile(step)
    seen = set()
    for _ in range(5):
        a, b = step(eager, X), fast(compiled, X)
        np.testing.assert_allclose(a, b, rtol=1e-13)
        np.testing.assert_allclose(eager.w.array, compiled.w.array, rtol=1e-12)
        seen.add((address(compiled.w), address(compiled.count)))
    assert compiled.count.array.item() == 5
    assert len(seen) == 1
    assert len(fast.memory.in_place) == 2


def test_an_array_read_before_a_step_keeps_its_numbers():
    model, fast = Model(), compile(step)
    fast(model, X)
    for _ in range(3):
        held = model.w.read()
        before, place = held.data.copy(), address(model.w)
        fast(model, X)
        np.testing.assert_array_equal(held, before)
        assert address(model.w) != place
        assert (model.w.array.data != before).any()


def test_a_setting_of_a_module_is_part_of_the_key():
    model, fast = Model(), compile(step)
    fast(model, X)
    model.scale = 0.0
    before = model.w.array.data.copy()
    fast(model, X)
    np.testing.assert_array_equal(model.w.array, before)


def test_cells_in_a_closure_and_swapped_cells():
    a, b = Cell(bprop.ones(2)), Cell(bprop.zeros(2))

    @compile
    def swap():
        x, y = a.read(), b.read()
        a.write(y)
        b.write(x)
        return x

    for k in range(4):
        out = swap()
        np.testing.assert_array_equal(out, np.full(2, (k + 1) % 2))
        np.testing.assert_array_equal(a.array, np.full(2, k % 2))
        np.testing.assert_array_equal(b.array, np.full(2, (k + 1) % 2))


def test_old_and_new_values_of_a_cell_as_results():
    cell = Cell(bprop.zeros(2))

    @compile
    def count():
        old = cell.read()
        cell.write(old + 1)
        return old, cell.read(), cell.read()[::-1]

    kept = [count() for _ in range(3)]
    for k, (old, new, back) in enumerate(kept):
        assert (old.data == k).all()
        assert (new.data == k + 1).all()
        assert (back.data == k + 1).all()


def test_a_reversed_or_transposed_update_is_not_done_in_place():
    cell = Cell(bprop.asarray([[1.0, 2.0], [3.0, 4.0]]))

    @compile
    def turn():
        cell.write(cell.read().T * 2)
        return bprop.sum(cell.read() - 1)

    turn()
    turn()
    np.testing.assert_array_equal(cell.array, [[4, 8], [12, 16]])


def test_a_cell_that_changes_its_shape_is_traced_again():
    cell = Cell(bprop.zeros(2))
    f = compile(lambda x: x + cell.read())
    assert f(1.0 * bprop.ones(())).shape == (2,)
    cell.write(bprop.zeros(3))
    assert f(1.0 * bprop.ones(())).shape == (3,)


def test_a_generator_continues_its_stream():
    eager, compiled = bprop.Generator(7), bprop.Generator(7)
    f = compile(lambda: (compiled.uniform((5,)), compiled.normal((2, 3)), compiled.permutation(6)))
    for _ in range(3):
        expected = eager.uniform((5,)), eager.normal((2, 3)), eager.permutation(6)
        for a, b in zip(f(), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-15)
    assert repr(eager) == repr(compiled)


# --- errors ---
def test_an_index_out_of_range_changes_nothing():
    cell = Cell(bprop.zeros(3))

    @compile
    def f(i):
        cell.write(cell.read() + 1)
        return bprop.take(bprop.asarray([1.0, 2.0, 3.0]), i)

    np.testing.assert_array_equal(f(np.array([0, -1, -3])), [1, 3, 1])
    for bad in (3, -4, 2**62):
        with pytest.raises(bprop.IndexingError, match="out of range"):
            f(np.array([0, bad, 1]))
    np.testing.assert_array_equal(cell.array, [1, 1, 1])


@pytest.mark.parametrize("index", [6, -7, 9])
@pytest.mark.parametrize(
    "read",
    [lambda x, i: x[i], bprop.take, lambda x, i: bprop.take_along_axis(x, i, axis=0), lambda x, i: x.at[i].add(1.0)],
    ids=["subscript", "take", "take_along_axis", "at"],
)
def test_an_index_out_of_range_is_named_as_by_eager_code(read, index):
    x, good, bad = np.arange(6.0), np.array([1, 2]), np.array([1, index])
    with pytest.raises(bprop.IndexingError) as eager:
        read(bprop.asarray(x), bprop.asarray(bad))
    f = bprop.compile(read)
    f(x, good)
    for given in (x, bprop.asarray(x)):
        with pytest.raises(bprop.IndexingError, match=rf"index {index} is out of range") as native:
            f(given, bad)
        assert native.value.message.partition(": ")[2] == eager.value.message.partition(": ")[2]
        assert __file__ in native.value.line


def test_an_index_out_of_range_beside_a_callback_is_refused_without_a_second_call():
    seen = []

    @bprop.compile
    def f(x, i):
        bprop.callback(seen.append, i)
        return x[i]

    with pytest.raises(bprop.IndexingError, match="out of range"):
        f(np.arange(3.0), np.array([3]))
    assert len(seen) == 1


def test_an_index_out_of_range_in_a_loop_says_which_step():
    f = bprop.compile(lambda x, i: bprop.sum(x[i]))
    x, i = np.ones((4, 5)), np.array([[0], [1], [7], [2]])
    with pytest.raises(bprop.IndexingError, match="index 7 is out of range for axis 0 of shape") as error:
        f.loop(x, i)
    assert error.value.step == 2
    assert "step 2 (from 0) of 4" in error.value.__notes__[0]


def test_a_failure_inside_numpy_is_the_op_s_own_error():
    cell = Cell(bprop.zeros(()))

    @compile
    def f(x):
        cell.write(cell.read() + 1)
        return bprop.cholesky(x)

    f(np.eye(2))
    with pytest.raises(bprop.ArgumentError, match="not positive definite"):
        f(-np.eye(2))
    assert cell.array.item() == 1
    f(np.eye(2))
    assert cell.array.item() == 2


def test_python_if_on_a_traced_value():
    with pytest.raises(bprop.TracedValueError, match=r"bprop\.where"):
        compile(lambda x: x if x > 0 else -x)(bprop.asarray(1.0))


def test_a_failing_trace_changes_no_cell():
    cell = Cell(bprop.zeros(2))

    @compile
    def f():
        cell.write(cell.read() + 1)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        f()
    np.testing.assert_array_equal(cell.array, [0, 0])
    assert cell.array.data.sum() == 0


def test_integer_powers():
    f = compile(lambda x, n: x**n)
    np.testing.assert_array_equal(f(np.array([2, -3]), np.array([10, 3])), [1024, -27])
    with pytest.raises(bprop.ArgumentError, match="negative integer powers"):
        f(np.array([2]), np.array([-1]))


def test_unhashable_arguments_and_wrong_specs():
    with pytest.raises(bprop.ArgumentError, match="neither an array nor hashable"):
        compile(lambda x, s: x)(bprop.ones(1), {1, 2})
    with pytest.raises(
        bprop.ArgumentError, match=r"a list_iterator, which gives each value once.*pass a list or tuple"
    ):
        compile(lambda batches: next(batches))(iter([bprop.ones(1)]))
    with pytest.raises(bprop.DTypeError, match="expected float64"):
        native(bprop.trace(lambda x: x)(bprop.ones(2)))(bprop.ones(3))


def test_slices_are_constants():
    f = compile(lambda x, rows: x[rows])
    x = bprop.arange(6)
    for rows in (slice(0, 2), slice(4, None), slice(None, None, -2), slice(0, 2)):
        np.testing.assert_array_equal(f(x, rows), np.arange(6)[rows])
    assert len(f.programs) == 3


def test_nan_and_division_by_zero_are_values():
    f = compile(lambda x: (x / 0, bprop.log(x), x - x / 0))
    for y, expected in zip(
        f(np.array([1.0, 0.0, -1.0])), ([np.inf, np.nan, -np.inf], [0, -np.inf, np.nan], None), strict=True
    ):
        if expected is not None:
            np.testing.assert_array_equal(y, expected)


def test_threads():
    f = compile(lambda x: bprop.cholesky(x @ x.T + bprop.asarray(np.eye(20))) @ x)
    xs = [RANDOM.normal(size=(20, 20)) for _ in range(8)]
    expected = [np.linalg.cholesky(x @ x.T + np.eye(20)) @ x for x in xs]
    results = [None] * 8

    def work(k):
        for _ in range(20):
            results[k] = f(xs[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for y, e in zip(results, expected, strict=True):
        np.testing.assert_allclose(y, e, rtol=1e-10, atol=1e-10)


def test_what_it_prints():
    f = compile(lambda x: bprop.sum(bprop.exp(x) * 2))
    f(bprop.zeros(3))
    assert "exp multiply sum" in str(f.kernels)
    assert "graph(x0" in str(f.graph)
    assert "arena" in str(f.memory)
    assert "define" in f.llvm
    assert "1 kernel," in repr(f)


def test_a_planted_fault_is_seen(monkeypatch):
    """In-place writing where the old value is still read elsewhere must be noticed."""
    from bprop.compile.passes import plan_memory as module

    monkeypatch.setattr(module._Planner, "_may_overwrite", lambda self, new, old: self.producer.get(new) is not None)
    with pytest.raises(AssertionError):
        test_a_reversed_or_transposed_update_is_not_done_in_place()


def test_values_of_a_transform_that_has_ended_are_named():
    kept = deque()
    bprop.grad(lambda x: (kept.append(x * 2), bprop.sum(x))[1])(bprop.ones(2))
    with pytest.raises(bprop.EscapedError, match="made inside grad"):
        compile(lambda x: x * 2)(kept[0])
    with pytest.raises(bprop.EscapedError, match="made inside grad"):
        compile(lambda x: x * kept[0])(bprop.ones(2))


def test_foreign_byte_order_is_turned():
    x = np.arange(3, dtype=np.dtype("f8").newbyteorder("S"))
    y = compile(lambda x: x * 2)(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, [0, 2, 4])


def test_numbers_of_plain_objects_are_part_of_the_key():
    class Schedule:
        rate = 0.0

        def __init__(self):
            self.rate = 2.0

        @compile
        def scaled(self, x):
            return x * self.rate

    schedule = Schedule()
    closed = compile(lambda x: x * schedule.rate)
    for rate in (2.0, 5.0):
        schedule.rate = rate
        np.testing.assert_array_equal(schedule.scaled(bprop.ones(2)), [rate, rate])
        np.testing.assert_array_equal(closed(bprop.ones(2)), [rate, rate])


def test_a_compiled_function_is_copied_as_functions_are():
    f = compile(lambda x: x * 2)
    assert copy.deepcopy({"f": f})["f"] is f


@compile
def doubled(x):
    return x * 2


def test_a_compiled_function_is_pickled_by_name_as_functions_are():
    """For worker processes. Planted: no `Compiled.__reduce__`."""
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    for f in (compile(lambda x: x * 2), compile(doubled.function), compile(bprop.grad(np.sum))):
        with pytest.raises(bprop.ArgumentError, match=r"pickled by its name.*@bprop\.compile"):
            pickle.dumps(f)
    with pytest.raises(bprop.ArgumentError, match=r"send np\.asarray\(x\) to another process"):
        pickle.dumps(bprop.ones(2))


def test_a_custom_rule_may_close_over_an_array():
    weight = bprop.asarray([1.0, 2.0])
    f = bprop.custom(lambda x: bprop.sum(x * weight), vjp=lambda y_bar, y, x: (y_bar * weight,))
    x = bprop.ones(2)
    E, x_bar = compile(bprop.value_and_grad(f))(x)
    assert E.item() == 3
    assert x_bar.tolist() == [1.0, 2.0]
    assert native(bprop.trace(f)(x))(x)[0].item() == 3


def test_what_is_no_function_of_arrays_is_refused():
    def generator(x):
        yield x

    async def coroutine(x):
        return x

    def endless(x):
        return endless(x)

    for f in (generator, coroutine):
        with pytest.raises(bprop.ArgumentError, match=f"{f.__name__} is a generator or coroutine"):
            compile(f)
    with pytest.raises(bprop.CompileError, match="endless: Python's limit of nested calls"):
        compile(endless)(bprop.ones(2))
    for f in (
        lambda x: (y for y in [x]),
        lambda x: {1, 2},
        lambda x: [map(bprop.exp, [x])],
        lambda x: OrderedDict(y=[x * 2]),
        lambda x: deque([x * 2]),
        lambda x: SimpleNamespace(y={"a": x * 2}),
    ):
        with pytest.raises(bprop.ArgumentError, match="no tree of arrays: return a list"):
            compile(f)(bprop.ones(2))
    with pytest.raises(bprop.ArgumentError, match="verify is True or False, not 'yes'"):
        compile(endless, verify="yes")


@pytest.mark.parametrize(
    "f",
    [
        lambda x, n: bprop.reshape(x, (n, -1)),
        lambda x, n: bprop.zeros((n, 2)),
        lambda x, n: bprop.broadcast_to(x, (n, 4)),
        lambda x, n: bprop.sum(x, axis=n),
        lambda x, n: bprop.arange(n),
        lambda x, n: x[:n],
        lambda x, n: [x for _ in range(n)],
    ],
)
def test_sizes_that_depend_on_numbers_say_where_to_take_them_from(f):
    with pytest.raises(
        bprop.BpropError, match=r"argument n, int64\[\], has no number.*take counts and sizes from shapes"
    ):
        compile(f)(bprop.ones(4), np.array(2))


def test_the_arena_says_what_it_is_for():
    f = compile(lambda x, w: bprop.sum(bprop.tanh(x @ w) @ w))
    f(bprop.ones((256, 256)), bprop.ones((256, 256)))
    memory = f.memory
    assert memory.workspaces
    assert f"and up to {memory.largest_workspace:,} B that a kernel works in" in str(f.report)
    assert str(memory).splitlines()[0].endswith("that a kernel works in")


def test_what_a_trace_changes_is_no_part_of_the_key():
    """A list that it appends to, a count of its calls; other entries of the same dict are."""
    traced, settings, calls = [], {"rate": 2.0, "count": 0}, 0

    @compile
    def f(x):
        nonlocal calls
        traced.append(x)
        settings["count"] += 1
        settings["last"] = "f"
        calls += 1
        return x * settings["rate"]

    for _ in range(4):
        assert f(bprop.ones(())).item() == 2.0
    assert len(traced) == settings["count"] == calls == 1
    settings["rate"] = 3.0
    for _ in range(3):
        assert f(bprop.ones(())).item() == 3.0
    assert len(traced) == settings["count"] == calls == 2
