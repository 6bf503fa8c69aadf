"""Other people's arrays go in and out; products with SciPy's sparse matrices have derivatives.

PyTorch, JAX, pandas and xarray stand here with what they have for others (``__array__``, ``__dlpack__``); the real ones run
where they are installed. Planted: `sparse_product` that returns "" (SciPy asks for numbers); `_product` with rows for columns;
``__dlpack__`` that gives the newer capsule unasked (JAX refuses it).
"""

import array

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.linalg import LinearOperator, aslinearoperator, bicgstab, cg, gmres, spsolve

import bprop

RNG = np.random.default_rng(3)
DENSE = RNG.normal(size=(4, 3)) * (RNG.uniform(size=(4, 3)) < 0.6)
X, Y, M = RNG.normal(size=3), RNG.normal(size=4), RNG.normal(size=(3, 2))
FORMATS = ["csr_array", "csr_matrix", "csc_array", "coo_array", "dia_array", "lil_array", "dok_array", "bsr_array"]
PRODUCTS = {
    "A @ x": (lambda A, x: A @ x, X),
    "A.T @ y": (lambda A, x: A.T @ x, Y),
    "y @ A": (lambda A, x: x @ A, Y),
    "A.dot(x)": (lambda A, x: A.dot(x), X),
    "A @ M": (lambda A, x: A @ x, M),
    "M.T @ A.T": (lambda A, x: x.T @ A.T, M),
}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("kind", FORMATS)
def test_products_with_sparse_matrices_have_the_derivatives_of_dense_ones(kind, product):
    f, x = PRODUCTS[product]
    sparse = lambda x: np.tanh(f(getattr(scipy.sparse, kind)(DENSE), x))
    dense = lambda x: np.tanh(f(DENSE, x))
    for mode in ("forward", "reverse"):
        assert_allclose(bprop.jacobian(sparse, mode=mode)(x), bprop.jacobian(dense)(x), rtol=1e-12, atol=1e-15)
    assert_allclose(bprop.vmap(sparse)(x[None])[0], dense(x), rtol=1e-13)
    assert_allclose(f(getattr(scipy.sparse, kind)(DENSE), bprop.asarray(x)), f(DENSE, x), rtol=1e-13)


@pytest.mark.parametrize(
    "dtypes", [("float32", "float32"), ("float32", "float64"), ("int64", "float32"), ("complex64", "float32")]
)
@pytest.mark.parametrize("kind", ["csr_array", "csr_matrix", "csc_array", "csc_matrix", "coo_array", "coo_matrix"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_products_have_scipys_dtype_eager_batched_and_compiled(product, kind, dtypes):
    f, x = PRODUCTS[product]
    dense, x = (3 * DENSE).astype(dtypes[0]), x.astype(dtypes[1])
    A = getattr(scipy.sparse, kind)(dense)
    expected = np.asarray(f(A, x))
    y, x_bar = bprop.value_and_grad(lambda x: bprop.sum(bprop.abs(f(A, x)) ** 2))(x)
    assert_allclose(y, np.sum(np.abs(expected) ** 2), rtol=1e-5)
    assert x_bar.dtype == x.dtype
    assert_allclose(x_bar, bprop.grad(lambda x: bprop.sum(bprop.abs(f(dense, x)) ** 2))(x), rtol=1e-4, atol=1e-5)
    for z in (bprop.jvp(lambda x: f(A, x), (x,), (x,))[1], bprop.vmap(lambda x: f(A, x))(x[None])[0]):
        assert z.dtype == expected.dtype
        assert_allclose(z, expected, rtol=1e-5, atol=1e-6)


def test_sparse_products_in_second_order_and_compiled():
    A = scipy.sparse.csr_array(DENSE)
    energy = lambda A: lambda x: np.sum(np.tanh(A @ x) ** 2)
    assert_allclose(bprop.hessian(energy(A))(X), bprop.hessian(energy(DENSE))(X), rtol=1e-11)
    for kind in ("csr_matrix", "csc_array", "coo_array"):
        other = getattr(scipy.sparse, kind)(DENSE.astype(np.float32))
        y = bprop.compile(lambda x, A=other: A @ x)(M.astype(np.float32))
        assert y.dtype == np.float32
        assert_allclose(y, DENSE @ M, rtol=1e-5, atol=1e-6)
    gradient = bprop.compile(bprop.grad(energy(A)))
    assert_allclose(gradient(X), bprop.grad(energy(DENSE))(X), rtol=1e-12)
    A.data *= 2
    assert_allclose(gradient(X), bprop.grad(energy(2 * DENSE))(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("f", "x", "kind", "words"),
    [
        (lambda A, x: A @ x, Y, bprop.ShapeError, r"matmul: shapes \(4, 3\) and \(4,\) with a sparse matrix: sizes 3 and 4"),
        (lambda A, x: A + x, X, bprop.ArgumentError, r"add: an argument is a sparse matrix of shape \(4, 3\): write A @ x"),
        (lambda A, x: A * x, X, bprop.TracedValueError, r"scipy\.sparse\.csr_array\.multiply of "),
        (lambda A, x: np.matmul(A, x), X, bprop.ArgumentError, r"matmul: an argument is a sparse matrix"),
        (lambda A, x: spsolve(A[:3], x), X, bprop.TracedValueError, r"scipy\.sparse\.linalg\.spsolve of "),
        (lambda A, x: aslinearoperator(A) @ x, X, bprop.TracedValueError, r"scipy\.sparse\.linalg\.LinearOperator\.dot of "),
    ],
)  # fmt: skip
def test_what_sparse_matrices_do_not_do_is_refused(f, x, kind, words):
    A = scipy.sparse.csr_array(DENSE)
    for transform in (bprop.jacobian, bprop.compile):
        with pytest.raises(kind, match=words):
            transform(lambda x: f(A, x))(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_our_products_inside_a_linear_operator(dtype):
    A = scipy.sparse.csr_array(DENSE.astype(dtype))
    energy = lambda x: np.sum(x**4) + np.sum((A @ x) ** 2)
    product = lambda v: bprop.hvp(energy, (X.astype(dtype),), (v.reshape(-1),))
    dense = np.diag(12 * X**2) + 2 * DENSE.T @ DENSE
    expected, tolerance = np.linalg.solve(dense, np.ones(3)), {"float32": 1e-4, "float64": 1e-8}[dtype]
    for matvec in (product, bprop.compile(product)):
        H = LinearOperator((3, 3), matvec=matvec, rmatvec=matvec, dtype=dtype)
        for solver in (cg, gmres, bicgstab):  # gmres computes in the memory of the product
            assert_allclose(solver(H, np.ones(3, dtype), rtol=1e-6)[0], expected, rtol=max(tolerance, 1e-5))
        assert_allclose(H @ np.eye(3, dtype=dtype), dense, rtol=tolerance, atol=tolerance)
        assert (H @ bprop.ones(3, dtype=dtype)).dtype == dtype


# --- stand-ins ---
class Frame:
    """What pandas, xarray, PyTorch and JAX have in common: ``__array__``, and operators that leave unknown operands alone."""

    def __init__(self, data):
        self.data = np.asarray(data)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype=dtype, copy=copy)

    __array_ufunc__ = None

    def __mul__(self, other):
        return NotImplemented

    __matmul__ = __add__ = __sub__ = __truediv__ = __gt__ = __mul__


class Capsule:
    """What a library without NumPy has: DLPack alone."""

    def __init__(self, data):
        self.data = np.asarray(data)

    def __dlpack__(self, **options):
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()


@pytest.mark.parametrize("kind", [Frame, Capsule])
def test_others_arrays_are_operands(kind):
    own = kind(X)
    for f, numpys in (
        (lambda x: bprop.sum(x * bprop.asarray(own)), lambda x: np.sum(x * X)),
        (lambda x: bprop.sum(x * own), lambda x: np.sum(x * X)),
        (lambda x: bprop.where(x > 1, x, own)[0], lambda x: np.where(x > 1, x, X)[0]),
        (lambda x: x @ own, lambda x: x @ X),
        (lambda x: bprop.concat([x, own])[1], lambda x: np.concatenate([x, X])[1]),
    ):
        assert_allclose(bprop.grad(f)(own), bprop.grad(numpys)(X))
        assert_allclose(f(bprop.asarray(X)), numpys(X))
    assert_allclose(bprop.compile(bprop.sum)(bprop.asarray(own)), np.sum(X))


@pytest.mark.parametrize("kind", [Frame, Capsule, array.array])
def test_what_is_lent_is_copied_since_it_may_change(kind):
    lent = np.array(X)
    own = kind("d", lent) if kind is array.array else kind(lent)
    x, shared = bprop.asarray(own), bprop.asarray(own, copy=False)
    _, back = bprop.vjp(lambda x: bprop.sum(x * own * own), X)
    memory = np.asarray(own) if kind is array.array else lent
    memory[0] = 7.0
    assert_array_equal(x, X)
    assert_array_equal(shared, memory)
    assert_array_equal(back(1.0)[0], X**2)


@pytest.mark.parametrize("kind", [Frame, Capsule])
def test_others_arrays_are_inputs_of_compiled_functions(kind):
    traces = []

    def f(p, x):
        traces.append(x)
        return bprop.sum(p["w"] * x**2)

    compiled, w = bprop.compile(f), np.array(X)
    own = {"w": kind(w)}
    for row in (X, X + 1, X - 1):
        w += 1.0  # read at every call
        assert_allclose(compiled(own, kind(row)), np.sum(w * row**2))
    assert len(traces) == 1
    assert_allclose(compiled.loop({"w": kind(M)}, kind(M)), np.sum(M**3, axis=1))
    assert_allclose(bprop.compile(bprop.grad(f, argnums=1))(own, kind(X)), 2 * w * X)
    assert_allclose(bprop.compile(f, verify=True)(own, kind(X)), np.sum(w * X**2))
    closed = bprop.compile(lambda x: bprop.sum(x * own["w"]))
    assert_allclose([closed(X), closed(X)], [np.sum(w * X)] * 2)


class Withheld:
    """An array whose library refuses: a tensor whose derivative PyTorch records, or one of a dtype of its own."""

    dtype = "torch.float32"

    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error

    def __dlpack__(self, **options):
        raise self.error


ENTRIES = {
    "asarray": bprop.asarray,
    "asarray of a list": lambda x: bprop.asarray([x, x]),
    "Array": bprop.Array,
    "from_dlpack": bprop.from_dlpack,
    "op": bprop.exp,
    "operand": lambda x: bprop.asarray(X) * x,
    "index": lambda x: bprop.asarray(X)[x],
    "grad": bprop.grad(bprop.sum),
    "closed over": lambda own: bprop.grad(lambda x: bprop.sum(x * own))(X),
    "compile": bprop.compile(bprop.sum),
    "layer": bprop.nn.Linear(3, 1),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", [RuntimeError, TypeError, BufferError])
def test_an_array_that_is_withheld_is_named_with_its_librarys_words(entry, kind):
    with pytest.raises(bprop.ArgumentError, match=r"does not give its numbers: use tensor\.detach\(\)"):
        ENTRIES[entry](Withheld(kind("use tensor.detach()")))


def test_a_dtype_that_numpy_does_not_have_is_named():
    own = Withheld(TypeError("Got unsupported ScalarType BFloat16"))
    own.dtype = "torch.bfloat16"
    for entry in (bprop.asarray, bprop.from_dlpack, bprop.exp, bprop.compile(bprop.sum)):
        with pytest.raises(
            bprop.DTypeError, match=r"torch\.bfloat16, which NumPy does not have: convert it to float32"
        ):
            entry(own)


def test_operators_of_others_on_the_left_are_ours():
    own = Frame(X)
    for f, numpys in (
        (lambda x: own * x, X * X),
        (lambda x: own + x, X + X),
        (lambda x: own - x, X - X),
        (lambda x: own / x, X / X),
        (lambda x: own @ x, X @ X),
        (lambda x: (own > x) * 1.0, np.zeros(3)),
    ):
        assert_allclose(f(bprop.asarray(X)), numpys)
        assert np.shape(bprop.jacobian(f)(X))[-1] == 3


def test_an_index_may_be_anothers_array():
    x = bprop.asarray(X)
    assert_array_equal(x[Frame([True, False, True])], X[[0, 2]])
    assert_array_equal(x[Frame([2, 0])], X[[2, 0]])
    with pytest.raises(bprop.IndexingError, match="str is no index"):
        x["a"]


def test_results_go_out():
    y = bprop.asarray(M)
    assert_array_equal(np.asarray(y), M)
    assert "versioned" not in repr(y.__dlpack__())  # who does not say what it takes gets what everybody takes
    assert "versioned" in repr(y.__dlpack__(max_version=(1, 0)))
    lent = np.from_dlpack(y)
    lent[0] = 7.0
    assert_array_equal(y, M)
    with pytest.raises(BufferError, match="copy=False"):
        y.__dlpack__(copy=False)
    with pytest.raises(bprop.TracedValueError, match="__dlpack__"):
        bprop.grad(lambda x: np.from_dlpack(x)[0])(X)


# --- the real ones ---
def test_pandas():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X, "b": X + 1})
    for f, expected in (
        (lambda x: np.sum(table["a"] * x), X),
        (lambda x: np.sum(x / table["b"]), 1 / (X + 1)),
        (lambda x: np.dot(table["a"], x), X),
        (lambda x: np.sum(x @ table), X + X + 1),
        (lambda x: np.sum(x[table["a"] > 0]), X > 0),
        (lambda x: np.sum(table * x[0]), [np.sum(X + X + 1), 0, 0]),
    ):
        assert_allclose(bprop.grad(f)(X), expected)
    with pytest.raises(bprop.TracedValueError, match=r"pandas\..*table\.to_numpy\(\)"):
        bprop.grad(lambda x: np.sum(table.T @ x))(X)
    assert_allclose(pandas.Series(np.asarray(bprop.exp(X))), np.exp(X))


def test_xarray():
    xarray = pytest.importorskip("xarray")
    data = xarray.DataArray(X, dims="t")
    assert_allclose(bprop.grad(lambda x: np.sum(x * data))(X), X)
    assert_allclose(bprop.grad(lambda x: np.sum(data.values * x))(X), X)


def test_jax():
    jnp = pytest.importorskip("jax.numpy")
    own = jnp.asarray(X.astype(np.float32))
    for f in (lambda x: np.sum(own * x), lambda x: own @ x, lambda x: x @ own):
        assert_allclose(bprop.grad(f)(X), X, rtol=1e-6)
    assert_allclose(bprop.compile(bprop.sum)(own), X.sum(), rtol=1e-6)
    assert_allclose(bprop.nn.Linear(3, 2)(own[None]).shape, (1, 2))
    y = bprop.asarray(X.astype(np.float32))
    for taken in (jnp.from_dlpack(y), jnp.asarray(y), jnp.ones(3) * y):
        assert_allclose(taken, X, rtol=1e-6)
    with pytest.raises(bprop.DTypeError, match="bfloat16"):
        bprop.asarray(own.astype(jnp.bfloat16))


def test_pytorch():
    torch = pytest.importorskip("torch")
    own = torch.from_numpy(X.copy())
    for f in (lambda x: np.sum(own * x), lambda x: x @ own, lambda x: np.sum(x * own)):
        assert_allclose(bprop.grad(f)(X), X)
    assert_allclose(bprop.grad(lambda x: np.sum(x**2))(own), 2 * X)
    assert_allclose(bprop.nn.Linear(3, 2, dtype="float64")(own[None]).shape, (1, 2))
    for y in (bprop.asarray(X), bprop.asarray(M).T, bprop.asarray(X)[::-1], bprop.asarray(2.5), bprop.zeros((0, 3))):
        for taken in (torch.from_dlpack(y), torch.asarray(y), torch.tensor(y), torch.as_tensor(y)):
            assert_array_equal(taken.numpy(), np.asarray(y))


def test_tensors_of_pytorch_of_any_layout():
    torch = pytest.importorskip("torch")
    pairs = {
        "transposed": torch.tensor(M).T, "strided": torch.tensor(np.repeat(M, 2, axis=1))[:, ::2], "0-d": torch.tensor(1.5),
        "expanded": torch.tensor(X).expand(2, 3), "complex": torch.tensor(M + 1j), "mask": torch.tensor(M > 0),
        "flipped": torch.tensor(M).flip(0), "half": torch.tensor(M, dtype=torch.float16), "empty": torch.zeros((0, 3)),
    }  # fmt: skip
    for name, own in pairs.items():
        for entry in (bprop.asarray, bprop.from_dlpack):
            assert_array_equal(entry(own), own.numpy(), err_msg=name)
        assert entry(own).dtype == own.numpy().dtype
    own = torch.tensor(X)
    x = bprop.asarray(own)
    own[0] = 7.0
    assert_array_equal(x, X)


def test_tensors_that_pytorch_does_not_lend_are_refused_by_name():
    torch = pytest.importorskip("torch")
    own = torch.tensor(X)
    for entry in (bprop.asarray, bprop.from_dlpack, bprop.exp, bprop.compile(bprop.sum), bprop.grad(bprop.sum)):
        for withheld in (own.clone().requires_grad_(), torch.nn.Parameter(own), own.clone().requires_grad_() * 2):
            with pytest.raises(bprop.ArgumentError, match=r"does not give its numbers: .*tensor\.detach\(\)"):
                entry(withheld)
        with pytest.raises(bprop.DTypeError, match=r"torch\.bfloat16, which NumPy does not have"):
            entry(own.bfloat16())
    assert_array_equal(bprop.exp(torch.nn.Parameter(own).detach()), np.exp(X))


def test_a_gradient_of_ours_inside_pytorchs():
    torch = pytest.importorskip("torch")

    class Energy(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            y, context.back = bprop.vjp(lambda x: np.sum(np.exp(x)), x)
            return torch.from_dlpack(y)

        @staticmethod
        def backward(context, y_bar):
            return torch.from_dlpack(context.back(y_bar)[0])

    x = torch.tensor(X, requires_grad=True)
    (3 * Energy.apply(x)).backward()
    assert_allclose(x.grad.numpy(), 3 * np.exp(X))
