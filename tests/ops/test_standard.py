"""Arguments and types in the way of the Array API standard 2024.12; and what native code leaves to NumPy and SciPy."""

import inspect

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop
from bprop import linalg
from bprop.core.error import BpropError, DTypeError
from bprop.core.family import Region
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases

# What the standard does not have, in its way: names and arguments; what it has is in tests/array_api.
STANDARD = """
x: erf erfc erfinv gammaln digamma gelu silu sigmoid log_sigmoid softplus logit
x1, x2: xlogy
x, *, axis: softmax
x, pad_width, *, mode, constant_values: pad
a, b, *, rtol: linalg.lstsq
x, *, ord, axis, keepdims: linalg.norm
a, b, *, lower: linalg.triangular_solve
"""
SIGNATURES = [
    (name, *(part.replace("*,", "*").split("*") if "*" in part else (part, "")))
    for line in STANDARD.strip().splitlines()
    for part, _, names in [line.partition(": ")]
    for name in names.split()
]


@pytest.mark.parametrize(("name", "positional", "keywords"), SIGNATURES, ids=[name for name, *_ in SIGNATURES])
def test_names_and_arguments_are_in_the_standards_way(name, positional, keywords):
    public = getattr(linalg if name.startswith("linalg.") else bprop, name.removeprefix("linalg."))
    parameters = inspect.signature(public).parameters.values()
    first = [one for one in positional.replace(" ", "").split(",") if one]
    named = {one for one in keywords.replace(" ", "").split(",") if one}
    assert [one.name for one in parameters if one.kind == one.POSITIONAL_ONLY] == first
    others = {one.name: one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    assert named - set(others) == set()
    # what the standard does not know must not be needed
    assert [one for one in set(others) - named if others[one].default is inspect.Parameter.empty] == []


# --- promotion ---
DTYPES = [np.dtype(one) for one in ["?", "b", "h", "i", "q", "B", "H", "I", "Q", "f", "d"]]
BINARY = ("add", "subtract", "multiply", "maximum", "less", "bitwise_and", "bitwise_left_shift", "floor_divide")
FLOAT = ("divide", "atan2", "hypot", "logaddexp")


@pytest.mark.parametrize("name", [*BINARY, *FLOAT])
def test_promotion_is_numpys_for_every_pair_of_dtypes(name):
    ours, theirs = getattr(bprop, name), getattr(np, name)
    for one in DTYPES:
        for other in DTYPES:
            operands = [np.ones(2, one), np.ones(2, other)]
            if name in FLOAT and np.result_type(one, other).kind != "f":
                assert ours(*operands).dtype == np.float64  # NumPy has float16 for int8
                continue
            try:
                expected = theirs(*operands)
            except TypeError:
                with pytest.raises(DTypeError, match=name):
                    ours(*operands)
                continue
            if one == other == np.bool_ and name in ("floor_divide", "bitwise_left_shift"):
                with pytest.raises(DTypeError, match=f"{name}.*bool"):  # int8 in NumPy
                    ours(*operands)
                continue
            y = ours(*operands)
            assert y.dtype == expected.dtype
            assert_array_equal(np.asarray(y), expected)
            assert bprop.trace(ours)(*operands).specs[0].dtype == y.dtype


@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_python_numbers_are_weak(number, dtype):
    x = np.ones(2, dtype)
    expected = np.result_type(x, number)
    for y in (bprop.multiply(x, number), bprop.multiply(number, x), bprop.where([True, False], x, number)):
        assert y.dtype == expected
    assert bprop.trace(lambda x: x * number)(x).specs[0].dtype == expected
    assert bprop.multiply(x, np.float64(number)).dtype == np.float64  # NumPy's numbers are not


@pytest.mark.parametrize(
    "name", ["exp", "sqrt", "sin", "tanh", "erf", "gammaln", "sigmoid", "silu", "softplus", "mean", "std"]
)
def test_functions_of_numbers_compute_integers_and_bool_in_float64(name):
    f = getattr(bprop, name)
    for dtype in DTYPES:
        y = f(np.ones(2, dtype))
        assert y.dtype == (dtype if dtype.kind == "f" else np.float64)
        assert bprop.trace(f)(np.ones(2, dtype)).specs == (y.spec,)


@pytest.mark.parametrize(
    "name", ["abs", "negative", "sign", "square", "ceil", "floor", "trunc", "round", "positive", "max", "flip"]
)
def test_functions_that_keep_the_dtype(name):
    f = getattr(bprop, name)
    for dtype in DTYPES[1:]:
        assert f(np.ones(2, dtype)).dtype == dtype


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_small_integers_are_added_up_in_64_bits(name):
    f = getattr(bprop, name)
    for dtype in DTYPES:
        wide = np.uint64 if dtype.kind == "u" else np.int64
        assert f(np.ones(2, dtype)).dtype == (dtype if dtype.kind == "f" else wide)


def test_bool_is_no_number():
    truth = bprop.asarray([True, False])
    for name in ("negative", "sign", "square", "subtract", "pow", "remainder"):
        f = getattr(bprop, name)
        operands = (truth,) if name in ("negative", "sign", "square") else (truth, truth)
        with pytest.raises(DTypeError, match=name):
            f(*operands)
        with pytest.raises(DTypeError, match=name):  # not only where there are numbers
            bprop.trace(f)(*operands)


# --- complex numbers, where NumPy and the standard say something special ---
def test_rounding_and_signs_of_complex_numbers():
    z = np.array([1.5 - 2.5j, 3 + 4j, 0, -1e-3j])
    assert_array_equal(bprop.round(z), np.round(z))
    assert_array_equal(bprop.asarray(z).round(1), np.round(z, 1))
    assert_array_equal(np.rint(bprop.asarray(z)), np.rint(z))
    assert_array_equal(bprop.sign(z), np.sign(z))
    assert_array_equal(np.sign(bprop.asarray(z)), np.sign(z))
    assert_array_equal(bprop.compile(bprop.sign)(z), np.sign(z))
    with pytest.raises(DTypeError, match="floor"):
        bprop.floor(z)


def test_expm1_of_complex_infinities_is_the_standards():
    inf, nan = np.inf, np.nan
    table = [  # NumPy has NaN for all of these but the last two
        (complex(inf, 0), complex(inf, 0)), (complex(-inf, inf), complex(-1, 0)), (complex(-inf, nan), complex(-1, 0)),
        (complex(nan, 0), complex(nan, 0)), (complex(-0.0, 0.0), 0j), (complex(1, 2), np.expm1(1 + 2j)),
    ]  # fmt: skip
    for z, expected in table:
        for dtype in (np.complex64, np.complex128):
            y = bprop.expm1(np.array([z], dtype))
            assert y.dtype == dtype
            assert_array_equal(
                np.asarray(y), np.array([expected], dtype) if z != 1 + 2j else np.expm1(np.array([z], dtype))
            )
        assert np.signbit(bprop.expm1(z).real.item()) == (expected.real < 0)


# --- errors ---
X = bprop.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
WRONG = {
    "sum": [lambda: bprop.sum(X, keepdims=X), lambda: bprop.sum("s"), lambda: bprop.sum(X, axis="s")],
    "count_nonzero": [lambda: bprop.count_nonzero(X, axis=7), lambda: bprop.count_nonzero(X, keepdims="no")],
    "argmax": [lambda: bprop.argmax(X, keepdims=X)], "median": [lambda: bprop.median(X, keepdims=[1])],
    "cumulative_sum": [lambda: bprop.cumulative_sum(X, axis=0, include_initial=X)],
    "argsort": [lambda: bprop.argsort(X, descending=X)], "gelu": [lambda: bprop.gelu(X, X)],
    "tril": [lambda: bprop.tril(X, "s"), lambda: bprop.tril(X, 1.5)], "eye": [lambda: bprop.eye(3, k="s")],
    "diag": [lambda: bprop.diag(X[0], k=None)], "permute_dims": [lambda: bprop.permute_dims(X, 3)],
    "reshape": [lambda: bprop.reshape(X, X), lambda: bprop.reshape(X, np.ones((2, 3)))],
    "concat": [lambda: bprop.concat(np.ones((0, 3)))], "stack": [lambda: bprop.stack(np.ones((0, 3)))],
    "pad": [lambda: bprop.pad(X, 1, X)], "searchsorted": [lambda: bprop.searchsorted(X[0], X[0], side=X)],
    "full_like": [lambda: bprop.full_like(bprop.arange(2), float("nan")), lambda: bprop.full_like(bprop.arange(2), 10**30)],
    "zeros": [lambda: bprop.zeros("s"), lambda: bprop.zeros(2, dtype="S3")],
    "ones_like": [lambda: bprop.ones_like(X, dtype="s")],
    "square": [lambda: bprop.square(10**30)], "exp": [lambda: bprop.exp(np.array(["a"])), lambda: bprop.exp("1j")],
    "log": [lambda: bprop.log([[1, 2], [3]])], "add": [lambda: bprop.add(X, np.array("1j"))],
    "arange": [lambda: bprop.arange(1, 2, np.ones(2))],
    "clip": [lambda: bprop.clip(X, bprop.ones(4)), lambda: bprop.clip(X, 0, "s"), lambda: bprop.clip(X, bprop.ones(2), bprop.ones(3))],
    "svd": [lambda: linalg.svd(X, full_matrices=X)], "cholesky": [lambda: linalg.cholesky(bprop.eye(2), upper=X)],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_an_error_that_names_the_function(name):
    for call in WRONG[name]:
        with pytest.raises(BpropError, match=name):
            call()


# --- where formulas meet Python's numbers ---
def test_dividing_by_a_python_zero_has_the_derivative_of_an_arrays():
    x = bprop.asarray([1.0, 2.0], dtype="float32")
    for zero in (0, 0.0, -0.0):
        ours = bprop.grad(lambda x: bprop.sum(x / zero))(x)  # noqa: B023
        assert ours.dtype == np.float32
        assert_array_equal(np.asarray(ours), np.asarray(bprop.grad(lambda x: bprop.sum(x / np.float32(zero)))(x)))  # noqa: B023
    assert np.isnan(bprop.grad(lambda x: bprop.std(x, correction=1))(x[:1]).item())
    assert bprop.logit(True).item() == np.inf
    assert bprop.logit(0).item() == -np.inf


# --- what native code leaves to NumPy and SciPy ---
CLOSED_LIST = {
    "factorisations": "cholesky cofactor cofactor_dot det eig eigh inv lstsq pinv qr slogdet roots solve svd triangular_solve",
    "sorting": "argsort searchsorted last_writer previous_writer permutation",
    "special functions without a kernel": "erfinv erfinv_slope logaddexp2",
    "bits of a number": "exponent",
    "linear algebra and filters of SciPy": "expm logm lu recursive_filter solve_banded solve_stein solve_sylvester sqrtm",
    "special functions of SciPy": """
        airy_ai airy_ai_slope airy_bi airy_bi_slope beta beta_density beta_lower_hazard beta_upper_hazard betainc betaincc betainccinv
        betaincinv betaln binom boxcox boxcox1p cosh_integral cosine_integral dawsn dawsn_derivative ellipe
        ellipe_slope ellipk ellipkm1 ellipkm1_slope erfcinv erfcinv_slope erfcx erfcx_integral erfi exp1 expi expn
        exponential_moment gamma gamma_density gamma_lower_hazard gamma_upper_hazard gammainc gammaincc gammainccinv gammaincinv inv_boxcox
        inv_boxcox1p
        inverse_mills iv ive ive_derivative jv kl_div kv kve kve_derivative lambertw log_beta_density log_betainc log_betaincc log_gammainc
        log_gammaincc log_ndtr log_quotient ndtri ndtri_slope
        owens_t poch rel_entr rgamma sine_integral sinh_integral spence spherical_in spherical_jn student_t
        yv zeta
    """,
    "complex numbers": "conj direction fft imag irfft real rfft",
}


def called_back(op):
    """Whether the program of an op's first example calls back: what `report` lists."""
    args, params = next(iter([*cases(op)] or cases(op, complex)))
    step = bprop.compile(lambda *xs: op(*xs, **params))
    step(*(np.asarray(arg) for arg in args))
    return bool(step.report.called)


def test_native_code_calls_numpy_back_for_a_closed_list():
    ops = [op for op in REGISTRY.values() if not isinstance(op, Region)]
    assert {op.name for op in ops if called_back(op)} == {
        name for names in CLOSED_LIST.values() for name in names.split()
    }
