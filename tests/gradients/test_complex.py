"""Complex numbers: values, derivatives and refusals of every op, and the convention against recorded numbers.

Planted, each found by tests here: `reverse._filled`, `transform.vjp` and `custom` without conj; `matching` with another part than
the real one; the adjoint of conj without conj; the partial of `abs` without conj; `_contract_present` for real numbers alone;
an exponent's rule that reads other operands than the real one; the phase of `eigh`, the diagonal of `qr`, the cofactors and
`vecdot` without what complex numbers add; evaluation and tracing that do not refuse; the complex step that does not.
"""

import itertools

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop
from bprop.compile import native
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases
from bprop.gradients import local_rule

COMPLEX, REAL = np.dtype(np.complex128), np.dtype(np.float64)


def arrays(args, kinds="fc"):
    return [i for i, arg in enumerate(args) if isinstance(arg, np.ndarray) and arg.dtype.kind in kinds]


def examples(op, dtype=COMPLEX):
    """Return the example calls of ``op`` that have operands with a derivative; those of real transforms are real."""
    try:
        return [(args, params) for args, params in cases(op, dtype) if arrays(args)]
    except TypeError:  # the example calls compare what has no order
        return []


OPS = [op for op in REGISTRY.values() if not op.is_region]
PARTLY = {"svd": [1]}
"""Outputs that have a derivative, where others have none: complex singular vectors have a free phase."""
TAKING = [op for op in OPS if op.takes_complex and examples(op)]
DIFFERENTIABLE = [op for op in TAKING if op.differentiable]
over = lambda ops: pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in ops])


def random(y, seed=3):
    """Return random numbers like ``y``."""
    generator = np.random.default_rng(seed)
    numbers = generator.uniform(-1, 1, y.shape) + (1j * generator.uniform(-1, 1, y.shape) if y.dtype.kind == "c" else 0)
    return numbers.astype(y.dtype)


def calls(op, real=()):
    """Yield (f, xs): an example call as a function of its operands with derivatives; those at ``real`` are real."""
    for args, params in examples(op):
        positions = arrays(args)
        xs = [np.array(args[p].real) if k in real else args[p] for k, p in enumerate(positions)]

        for output in PARTLY.get(op.name, range(len(op.core_outputs) if op.several else 1)):

            def f(*xs, args=args, params=params, positions=positions, output=output):
                new = list(args)
                for position, x in zip(positions, xs, strict=True):
                    new[position] = x
                y = op(*new, **params)
                return y[output] if op.several else y

            f.__name__ = op.name
            if f(*xs).dtype in (REAL, COMPLEX):
                yield f, xs


def scalar(f, xs):
    """Return Re Σ w̄ y with random weights w: a real function, and the seed of the same derivative."""
    w = random(f(*xs))
    return (lambda *xs: bprop.sum(bprop.real(np.conj(w) * f(*xs)))), w


def pairing(x_bars, x_dots):
    return sum(float(np.sum(np.real(np.conj(bar) * dot))) for bar, dot in zip(x_bars, x_dots, strict=True))


# --- every op of the registry that takes complex operands ---
def test_the_registry_has_ops_of_every_family_that_take_complex_numbers():
    assert {type(op).__name__ for op in TAKING} >= {
        "Elementwise", "Selection", "Reduction", "Cumulative", "Linear", "Join", "Bilinear", "General"
    }  # fmt: skip
    assert len(TAKING) > 50


@over(DIFFERENTIABLE)
def test_gradient_is_numerical_over_real_and_imaginary_parts(op):
    for f, xs in calls(op):
        energy, w = scalar(f, xs)
        every = tuple(range(len(xs)))
        gradients = bprop.grad(energy, every, unreached="zeros")(*xs)
        pulled = bprop.vjp(f, *xs)[1](w)
        for gradient, bar, difference, x in zip(
            gradients, pulled, bprop.numerical(energy, every)(*xs), xs, strict=True
        ):
            assert gradient.dtype == x.dtype
            assert_allclose(gradient, difference, rtol=1e-6, atol=1e-7)
            assert_allclose(bar, gradient, rtol=1e-12, atol=1e-13)


@over([op for op in DIFFERENTIABLE if op.arity != 1])
def test_a_real_operand_beside_a_complex_one_has_a_real_gradient(op):
    for f, xs in itertools.chain(*(itertools.islice(calls(op, real=(position,)), 8) for position in (0, 1))):
        energy, _ = scalar(f, xs)
        every = tuple(range(len(xs)))
        for gradient, difference, x in zip(
            bprop.grad(energy, every, unreached="zeros")(*xs), bprop.numerical(energy, every)(*xs), xs, strict=True
        ):
            assert gradient.dtype == x.dtype
            assert_allclose(gradient, difference, rtol=1e-6, atol=1e-7)
        dots = [random(x, 8) for x in xs]
        y, y_dot = bprop.jvp(f, xs, dots)
        assert y_dot.dtype == y.dtype
        assert_allclose(
            pairing([random(y)], [y_dot]), pairing(bprop.vjp(f, *xs)[1](random(y)), dots), rtol=1e-10, atol=1e-12
        )


@over(DIFFERENTIABLE)
def test_reverse_is_the_transpose_of_forward(op):
    for f, xs in calls(op):
        dots = [random(x, 4) for x in xs]
        y, y_dot = bprop.jvp(f, xs, dots)
        y_bar = random(y)
        assert y_dot.spec == y.spec
        assert_allclose(pairing([y_bar], [y_dot]), pairing(bprop.vjp(f, *xs)[1](y_bar), dots), rtol=1e-10, atol=1e-12)


@over([op for op in DIFFERENTIABLE if op.name not in PARTLY])
def test_second_order_is_numerical(op):
    for f, xs in itertools.islice(calls(op), 6):
        energy, _ = scalar(f, xs)
        every = tuple(range(len(xs)))
        gradient = bprop.grad(energy, every, unreached="zeros")
        dots = [random(x, 5) for x in xs]
        _, found = bprop.jvp(gradient, xs, dots)
        h = 1e-5
        above, below = (gradient(*(x + t * dot for x, dot in zip(xs, dots, strict=True))) for t in (h, -h))
        for one, up, down in zip(found, above, below, strict=True):
            assert_allclose(one, (up - down) / (2 * h), rtol=1e-5, atol=1e-6)
        # the Hessian of a real function is symmetric in the real pairing: reverse over reverse gives the same product
        for one, other in zip(bprop.vjp(gradient, *xs)[1](tuple(dots)), found, strict=True):
            assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@over(TAKING)
def test_vmap_and_tracing_give_the_same_numbers(op):
    for f, xs in calls(op):
        y = f(*xs)
        assert_allclose(bprop.trace(f)(*xs)(*xs)[0], y, rtol=0, atol=0)
        batch = bprop.vmap(f)(
            *(np.stack([x, x * (1 + 0.01j)]) if x.dtype.kind == "c" else np.stack([x, x]) for x in xs)
        )
        assert batch.dtype == y.dtype
        assert_allclose(batch[0], y, rtol=1e-12, atol=1e-13)


@over(DIFFERENTIABLE)
def test_single_precision_stays_single(op):
    for (f, xs), _ in zip(calls(op), range(4), strict=False):
        narrow = [x.astype("complex64" if x.dtype.kind == "c" else "float32") for x in xs]
        y = f(*narrow)
        if op.name == "astype":
            continue  # its calls name the dtype
        gradients = bprop.vjp(f, *narrow)[1](random(f(*xs)).astype(y.dtype))
        wide = bprop.vjp(f, *xs)[1](random(f(*xs)))
        for gradient, expected, x in zip(gradients, wide, narrow, strict=True):
            assert gradient.dtype == x.dtype
            assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3)


@over([op for op in DIFFERENTIABLE if op.name not in PARTLY])
def test_rules_read_the_same_for_real_and_complex_operands(op, monkeypatch):
    """What the backward pass keeps is found once, by whichever call comes first."""
    kept = {}
    for dtype in (COMPLEX, REAL):
        for args, params in examples(op, dtype):
            monkeypatch.setattr(local_rule, "_KEEPS", {})
            local_rule.RULES.clear()
            for subset in {tuple(arrays(args)), *((position,) for position in arrays(args))}:
                f = lambda *xs: op(*(dict(zip(subset, xs, strict=True)).get(k, arg) for k, arg in enumerate(args)), **params)  # noqa: B023  # fmt: skip
                bprop.vjp(f, *(args[position] for position in subset))
            for key, reads in local_rule._KEEPS.items():
                scalars = [arg if isinstance(arg, int | float) else None for arg in args]
                assert kept.setdefault((key, str(scalars), str(params)), reads) == reads


def test_a_compiled_function_takes_and_returns_complex_numbers():
    f = bprop.compile(lambda z, x: {"y": np.exp(z) * x, "z": z, "w": bprop.zeros(2, dtype=complex) + 1j * x[:2]})
    for scale in (1, 2):
        z, x = Z * scale, Z.real / scale
        y = f(z, x)
        assert_allclose(y["y"], np.exp(z) * x, rtol=1e-15)
        assert_allclose(y["w"], 1j * x[:2])
        assert y["z"].dtype == np.complex128
    assert f(Z.astype(np.complex64), Z.real.astype(np.float32))["y"].dtype == np.complex64


@over(TAKING)
def test_native_code_calls_numpy_for_complex_numbers(op):
    for f, xs in itertools.islice(calls(op), 2, 3):
        (y,) = native(bprop.trace(f)(*xs))(*xs)
        assert y.dtype == f(*xs).dtype
        assert_allclose(y, f(*xs), rtol=0, atol=0)


# --- every op that does not ---
@over([op for op in OPS if not op.takes_complex])
def test_other_ops_refuse_by_name(op):
    for args, params in cases(op):
        positions = arrays(args, "f")
        if not positions:
            continue
        for position in positions:
            new = [arg.astype(complex) if k == position else arg for k, arg in enumerate(args)]
            for call in (lambda: op(*new, **params), lambda: bprop.trace(lambda x: op(*new[:position], x, *new[position + 1:], **params))(new[position])):  # noqa: B023  # fmt: skip
                with pytest.raises(bprop.DTypeError, match=f"{op.name}.*complex"):
                    call()
        return


# --- the convention, and numbers that others recorded ---
Z = np.array([1.0 + 2.0j, -0.5 + 0.25j, 3.0 - 1.0j])
CONVENTION = {
    # of PyTorch 2's notes on autograd for complex numbers: the gradient is the conjugate Wirtinger derivative, twice
    "|z|²": (lambda z: np.abs(z) ** 2, lambda z: 2 * z),
    "Re(z conj z)": (lambda z: np.real(z * np.conj(z)), lambda z: 2 * z),
    "z.real² + z.imag²": (lambda z: z.real**2 + z.imag**2, lambda z: 2 * z),
    "|z|": (np.abs, lambda z: z / np.abs(z)),
    "Re z": (np.real, lambda z: np.ones_like(z)),
    "Im z": (np.imag, lambda z: np.full_like(z, 1j)),
    "angle z": (np.angle, lambda z: 1j * z / np.abs(z) ** 2),
    # holomorphic functions: conj of f'(z); JAX's grad(lambda z: f(z).real) is f'(z)
    "Re z²": (lambda z: (z * z).real, lambda z: np.conj(2 * z)),
    "Re sin z": (lambda z: np.real(np.sin(z)), lambda z: np.conj(np.cos(z))),
    "Im exp z": (lambda z: np.imag(np.exp(z)), lambda z: np.conj(-1j * np.exp(z))),
    # PyTorch, test_autograd's abs and angle at 0
    "|z| at 0": (lambda z: np.abs(z * 0), lambda z: z * 0),
}


@pytest.mark.parametrize("name", CONVENTION)
def test_the_gradient_is_by_the_real_part_plus_i_by_the_imaginary_part(name):
    f, expected = CONVENTION[name]
    for z in Z:
        assert_allclose(bprop.grad(f)(z), expected(z), rtol=1e-13, atol=1e-15)
        dx, dy = (bprop.jvp(f, (z,), (unit,))[1] for unit in (1.0 + 0j, 1j))
        assert_allclose(bprop.grad(f)(z), np.asarray(dx) + 1j * np.asarray(dy), rtol=1e-13, atol=1e-15)


def test_descent_along_the_gradient_descends():
    f = lambda z: np.abs(z**3 - 1j) ** 2
    z = np.complex128(0.6 + 0.9j)
    for _ in range(200):
        z = z - 0.02 * bprop.grad(f)(z)
    assert float(f(z)) < 1e-12


def test_vjp_of_a_complex_result_pairs_with_the_conjugate():
    """Re(conj(y_bar) y_dot) = Re(conj(x_bar) x_dot), as in PyTorch; for a holomorphic f: x_bar = conj(f'(z)) y_bar."""
    _, pullback = bprop.vjp(np.exp, Z)
    assert_allclose(pullback(np.array([1.0, 1j, 2 - 1j]))[0], np.conj(np.exp(Z)) * [1.0, 1j, 2 - 1j], rtol=1e-13)
    assert_allclose(bprop.vjp(np.conj, Z)[1](1j * Z)[0], np.conj(1j * Z))


def test_a_real_function_by_way_of_complex_numbers_has_the_real_gradient():
    x = np.array([0.1, 0.4, -0.7])
    f = lambda x: np.sum(np.abs(np.exp(1j * x) + x) ** 2)
    expected = 2 * (x + np.cos(x) - x * np.sin(x))
    for gradient in (
        bprop.grad(f)(x),
        bprop.jacobian(f, mode="forward")(x),
        bprop.vjp(f, x)[1](1.0)[0],
        bprop.numerical(f)(x),
    ):
        assert gradient.dtype == np.float64
        assert_allclose(gradient, expected, rtol=1e-8)
    second = np.diag(2 * (1 - 2 * np.sin(x) - x * np.cos(x)))
    assert_allclose(bprop.hessian(f)(x), second, rtol=1e-12, atol=1e-13)
    assert_allclose(bprop.jacobian(bprop.grad(f))(x), second, rtol=1e-12, atol=1e-13)
    assert bprop.grad(f)(x.astype(np.float32)).dtype == np.float32


R, L, C, W = 2.0, 0.3, 0.01, np.array([1.0, 5.0, 20.0])
PHYSICS = {
    "impedance": lambda p: np.sum(np.abs(p[0] + 1j * W * p[1] + 1 / (1j * W * p[2]))),
    "phase of a filter": lambda p: np.sum(np.angle(1 / (1 + 1j * W * p[0] * p[2]))),
    "power spectrum": lambda p: np.sum(np.abs(np.fft.rfft(np.sin(p[0] * W) * p[1])) ** 2 * np.fft.rfftfreq(3)),
    "reflection of a layer": lambda p: np.abs((p[0] - 1) / (p[0] + 1) * (1 - np.exp(2j * p[1] * W[1]))) ** 2,
    "two level system": lambda p: np.linalg.eigh(np.array([[1.0, 0], [0, -1.0]]) * p[0] + np.array([[0, -1j], [1j, 0]]) * p[1])[0][1],
    "solve": lambda p: np.abs(np.linalg.solve(np.eye(3) + 1j * np.outer(p, p), W + 0j)).sum(),
    "expectation": lambda p: np.real(np.vdot(np.exp(1j * p), np.eye(3)[::-1] @ np.exp(1j * p))),
    "einsum": lambda p: np.abs(np.einsum("i,j,ij->", np.exp(1j * p), p, np.eye(3) + 2j)),
    "where and indexing": lambda p: np.sum(np.abs(np.where(p > 0.1, 1j * p, p**2)[::-1] * np.stack([p, 2j * p])[1])),
    "polynomial": lambda p: np.abs(p[0] * (1j + p[0]) ** 2 + p[1] * (1j + p[0]) + p[2]),
    "autocorrelation": lambda p: np.fft.ifft(np.abs(np.fft.fft(p, 6)) ** 2).real[1],
}  # fmt: skip


@pytest.mark.parametrize("name", PHYSICS)
def test_numpy_code_with_complex_intermediates_differentiates_unchanged(name):
    f, p = PHYSICS[name], np.array([R, L, C])
    assert_allclose(bprop.numerical(f)(p), bprop.grad(f)(p), rtol=1e-6, atol=1e-8)
    assert_allclose(f(bprop.asarray(p)), f(p), rtol=1e-13)
    h, hp = bprop.hessian(f)(p), bprop.hvp(f, (p,), (p,))
    assert_allclose(h, np.asarray(h).T, rtol=1e-9, atol=1e-9)
    assert_allclose(hp, np.asarray(h) @ p, rtol=1e-9, atol=1e-9)
    assert_allclose(bprop.vmap(bprop.grad(f))(np.stack([p, p]))[1], bprop.grad(f)(p), rtol=1e-12)
    assert_allclose(
        bprop.compile(bprop.grad(f), verify=name == "impedance")(p), bprop.grad(f)(p), rtol=1e-12, atol=1e-13
    )


def test_what_a_selection_left_out_is_absent_for_complex_numbers_too():
    x = np.array([0.0, 1.0])
    f = lambda x: np.sum(np.where(x > 0, np.real(np.exp(1j * np.log(x))), 0))
    assert_allclose(bprop.grad(f)(x), [0, -np.sin(0) / 1], atol=1e-15)
    # a product with a matrix of which a row that nobody asks for is infinite
    a = np.array([[1j, 1.0], [np.inf, 1.0]])
    g = lambda x: np.sum(np.where([True, False], np.abs(a @ x), 0))
    z = np.array([1.0, 2.0 + 1j])
    for gradient in (bprop.grad(g)(z), bprop.compile(bprop.grad(g))(z)):
        assert_allclose(gradient, bprop.grad(lambda x: np.abs(1j * x[0] + x[1]))(z), rtol=1e-13)
    # of a matrix that is an argument, programs do not know whether it is finite
    h = lambda a, x: np.sum(np.where([True, False], np.abs(a @ x), 0))
    for gradient in (bprop.grad(h, 1)(a, z), bprop.compile(bprop.grad(h, 1))(a, z)):
        assert_allclose(gradient, bprop.grad(g)(z), rtol=1e-13)


# --- accuracy, and the side of a branch cut ---
CUTS = {
    "acos": (1, [2, 3, -2]), "acosh": (1, [-2, -3, 0.75, 0.25, -0.25]), "asin": (1, [2, 3, -2]), "asinh": (1j, [2, -2, 3]),
    "atan": (1j, [2, -2]), "atanh": (1, [2, -2]), "log": (1, [-2]), "log1p": (1, [-2]), "log10": (1, [-2]), "log2": (1, [-2]),
    "sqrt": (1, [-2]),
}  # fmt: skip
"""Function -> the direction of its branch cuts, and points on them."""


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_on_a_branch_cut_the_derivative_is_on_the_side_of_the_value(name, zero):
    direction, points = CUTS[name]
    on_cut = lambda t: np.array([complex(p + t, zero) if direction == 1 else complex(zero, p + t) for p in points])
    op, numpys, z, h = getattr(bprop, name), getattr(np, {"a": "arc" + name[1:]}.get(name[0], name)), on_cut(0), 1e-5
    slope = lambda z: bprop.jvp(op, (z,), (np.ones_like(z),))[1]
    difference = (numpys(on_cut(h)) - numpys(on_cut(-h))) / (2 * h * direction)
    for f in (slope, bprop.compile(slope), lambda z: np.conj(bprop.vjp(op, z)[1](np.ones_like(z))[0])):
        assert_allclose(f(z), difference, rtol=1e-8, atol=1e-9)
        assert_allclose(f(z.astype(np.complex64)), difference, rtol=1e-5, atol=1e-6)
    second = (np.asarray(slope(on_cut(h))) - np.asarray(slope(on_cut(-h)))) / (2 * h * direction)
    assert_allclose(bprop.jvp(slope, (z,), (np.ones_like(z),))[1], second, rtol=1e-7, atol=1e-8)


SLOPES = {
    "acos": lambda z: -1 / mpmath.sqrt(1 - z * z), "acosh": lambda z: 1 / mpmath.sqrt(z - 1) / mpmath.sqrt(z + 1),
    "asin": lambda z: 1 / mpmath.sqrt(1 - z * z), "asinh": lambda z: 1 / mpmath.sqrt(1 + z * z),
    "atan": lambda z: 1 / (1 + z * z), "atanh": lambda z: 1 / (1 - z * z), "cos": lambda z: -mpmath.sin(z), "cosh": mpmath.sinh,
    "sin": mpmath.cos, "sinh": mpmath.cosh, "tan": lambda z: 1 / mpmath.cos(z) ** 2, "tanh": lambda z: 1 / mpmath.cosh(z) ** 2,
}  # fmt: skip
FAR_AND_NEAR = np.array([
    1 + 20j, 1 - 20j, 20 + 1j, -20 + 1j, 3 + 2j, 1.5 + 0.99j, 1.5 + 1.01j, 0.6j, 1e-3 + 1e-5j, 1 + 1e-8j, -1 + 1e-8j, 1e-8 + 1j,
    1e-8 - 1j, np.pi / 2 + 1e-6j, 1e-4 + np.pi / 2 * 1j, 1e10 + 1e10j, -1e10 + 2j, 1e160 + 1e160j, 1 + 1e200j, 0.5 + 0.1j,
])  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives_are_accurate_in_the_tails_and_near_the_poles(name):
    op, accurate = getattr(bprop, name), 0
    for dtype, rtol in ((np.complex128, 1e-13), (np.complex64, 1e-5)):
        for z in FAR_AND_NEAR.astype(dtype):
            with mpmath.workdps(400):
                size = mpmath.mpc(complex(z))
                if not np.isfinite(z) or (name[0] != "a" and abs(z) > 100):
                    continue
                expected = SLOPES[name](size) if abs(size) not in (0, 1) else None
            if expected is None or not np.finfo(dtype).tiny < abs(expected) < np.finfo(dtype).max:
                continue
            slope = complex(bprop.jvp(op, (np.asarray(z),), (np.ones((), dtype),))[1])
            assert abs(slope - expected) < rtol * abs(expected), z
            accurate += 1
    assert accurate > 20


# --- Jacobians, the check, regions, modules of transforms ---
def test_jacobian_of_a_complex_result_is_complex():
    f, x = lambda x: np.exp(1j * x) * x[0], np.array([0.1, 0.4, -0.7])
    expected = np.diag(1j * np.exp(1j * x) * x[0]) + np.outer(np.exp(1j * x), [1, 0, 0])
    for jacobian in (bprop.jacobian(f)(x), bprop.jacobian(f, mode="forward")(x)):
        assert_allclose(jacobian, expected, rtol=1e-13, atol=1e-15)
    assert_allclose(bprop.numerical(f)(x), expected, rtol=1e-8, atol=1e-9)


def test_jacobian_by_a_complex_argument_holds_gradients():
    f = lambda z: np.abs(z) ** 2 * z.real[0]
    rows = [bprop.grad(lambda z, k=k: f(z)[k])(Z) for k in range(3)]
    for mode in ("reverse", "forward"):
        assert_allclose(bprop.jacobian(f, mode=mode)(Z), np.stack(rows), rtol=1e-13)
    assert_allclose(bprop.numerical(f)(Z), np.stack(rows), rtol=1e-8, atol=1e-8)


def test_the_check_compares_both_parts_and_finds_a_missing_conjugate():
    f = lambda z: np.exp(z) * np.conj(z)
    report = bprop.check(f, Z)
    assert report.ok
    assert report.count("agree") == 36
    assert str(report).count("∂y.imag[0]/∂x.real[0]") == 1
    wrong = bprop.custom(f, vjp=lambda y_bar, y, z: y_bar * np.exp(z) * np.conj(z))
    assert not bprop.check(wrong, Z).ok


def test_rules_of_custom_see_the_convention_of_vjp():
    square = bprop.custom(lambda z: z * z, vjp=lambda y_bar, y, z: np.conj(2 * z) * y_bar)
    f = lambda z: np.sum(np.real(square(z) * (1 + 2j)))
    assert_allclose(bprop.grad(f)(Z), bprop.grad(lambda z: np.sum(np.real(z * z * (1 + 2j))))(Z))
    forward = bprop.custom(lambda z: z * z, jvp=lambda z_dots, y, z: 2 * z * z_dots[0])
    assert_allclose(bprop.grad(lambda z: np.sum(np.real(forward(z) * (1 + 2j))))(Z), bprop.grad(f)(Z))
    assert bprop.check(square, Z).ok


REGIONS = {
    "scan": lambda z: bprop.scan(lambda c, row: (bprop.tanh(c) * row, c), z, bprop.stack([z, 1j * z]))[0],
    "cond": lambda z: bprop.cond(z.real[0] > 0, bprop.sin, bprop.cos, z),
    "while_loop": lambda z: bprop.while_loop(lambda s: s[1] < 3, lambda s: (bprop.sin(s[0]) * 1j, s[1] + 1), (z, 0), limit=4)[0],
    "checkpoint": bprop.checkpoint(lambda z: bprop.exp(z) * bprop.conj(z)),
    "real carry": lambda z: bprop.scan(lambda c, row: (bprop.abs(c * row), row * c), 1.0, z)[1],
}  # fmt: skip


@pytest.mark.parametrize("name", REGIONS)
def test_regions_carry_complex_numbers(name):
    f = lambda z: bprop.sum(bprop.abs(REGIONS[name](z)) ** 2)
    assert_allclose(bprop.grad(f)(Z / 2), bprop.numerical(f)(Z / 2), rtol=1e-6, atol=1e-8)
    assert_allclose(bprop.compile(bprop.grad(f))(Z / 2), bprop.grad(f)(Z / 2), rtol=1e-12)


# --- dtypes and scalars ---
def test_python_complex_numbers_are_weak():
    narrow, integers = bprop.ones(2, dtype="float32"), bprop.arange(2)
    assert (narrow * 1j).dtype == (1j + narrow).dtype == np.complex64
    assert (integers * 1j).dtype == np.complex128
    assert bprop.where(narrow > 0, narrow, 1j).dtype == np.complex64
    assert bprop.trace(lambda x: x * 1j)(narrow).specs[0].dtype == np.complex64
    assert (narrow * np.complex128(1j)).dtype == np.complex128
    assert bprop.result_type(narrow, 1j) == np.complex64


def test_arrays_of_complex_numbers():
    z = bprop.asarray(Z)
    assert z.dtype == np.complex128
    assert repr(bprop.asarray([1 + 2j])) == "Array([1.+2.j])"
    assert bprop.asarray(1 + 2j).item() == complex(bprop.asarray(1 + 2j)) == 1 + 2j
    assert bprop.zeros(2, dtype=complex).dtype == bprop.full(2, 1j).dtype == np.complex128
    assert_allclose(z.real, Z.real)
    assert_allclose(z.imag, Z.imag)
    assert_allclose(z.conj(), Z.conj())
    assert_allclose(bprop.grad(lambda x: bprop.sum(bprop.abs(x.astype(complex) * 1j)))(Z.real), np.sign(Z.real))
    assert z.astype(np.complex64).dtype == np.complex64
    assert_allclose(z == z, True)


REFUSED = {
    "order": (lambda z: z < 1, "less takes no complex numbers"),
    "sorted": (np.sort, "sort takes no complex"),
    "largest": (np.max, "max takes no complex"),
    "maximum": (lambda z: np.maximum(z, 0), "maximum takes no complex"),
    "float()": (lambda z: float(z[0]), r"float\(\): .*imaginary"),
    "astype": (lambda z: z.astype(float), r"astype: complex128 in float64.*z\.real"),
    "asarray": (lambda z: bprop.asarray(Z, dtype=float), "asarray: complex128 in float64"),
    "full": (lambda z: bprop.full(2, 1j, dtype=float), "full: complex128 in float64"),
    "long double": (lambda z: bprop.asarray(np.clongdouble(1)), "not supported"),
    "rfft": (np.fft.rfft, "rfft: x is complex.*use fft"),
    "gradient of a complex number": (
        lambda z: bprop.grad(np.sum)(Z),
        r"returned a complex number.*bprop\.real.*bprop\.vjp",
    ),
    "Jacobian": (lambda z: bprop.jacobian(np.exp)(Z), "four real derivatives.*bprop.jvp"),
    "forward Jacobian": (lambda z: bprop.jacobian(np.exp, mode="forward")(Z), "four real derivatives"),
    "numerical": (lambda z: bprop.numerical(np.exp)(Z), "four real derivatives"),
    "tangent": (lambda z: bprop.jvp(np.sin, (Z.real,), (Z,)), "a tangent: complex128 in float64"),
    "cotangent": (lambda z: bprop.vjp(np.sin, Z.real)[1](Z), "y_bar: complex128 in float64"),
    "symbolic": (lambda z: bprop.symbolic(lambda x: np.sum(abs(1j * x)))(Z.real), "is complex.*'reverse'"),
    "paths": (lambda z: bprop.paths(lambda x: np.sum(abs(1j * x)))(Z.real), "is complex.*'reverse'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused_by_name(name):
    f, words = REFUSED[name]
    with pytest.raises(bprop.DTypeError, match=words):
        f(bprop.asarray(Z))


@pytest.mark.parametrize(
    "f", [lambda x: np.sum(abs(1j * x)), lambda x: np.sum(abs(np.fft.fft(x))), lambda x: np.sum(abs(x.astype(complex)))]
)
def test_the_complex_step_refuses_complex_numbers_of_the_user(f):
    with pytest.raises(bprop.DerivativeError, match=r"complex step|complex form"):
        bprop.numerical(f, scheme="complex")(Z.real)


# --- modules and optimisers ---
class Filter(bprop.nn.Module):
    """y = |w x - i|², of a complex parameter."""

    def __init__(self):
        self.w = bprop.nn.parameter(Z)

    def fprop(self, x):
        return bprop.sum(bprop.abs(self.w * x - 1j) ** 2)


class Handwritten(Filter):
    def bprop(self, y_bar):
        self.w_bar = y_bar * self.w
        return y_bar * self.x


def test_complex_parameters_are_trained_by_sgd():
    for optimizer in (bprop.optim.SGD(0.05), bprop.optim.SGD(0.05, momentum=0.5), bprop.optim.Nesterov(0.02)):
        model = Filter()
        for _ in range(200):
            _, gradients = bprop.value_and_grad(lambda model: model(Z / np.abs(Z)))(model)
            optimizer.update(model, gradients)
        assert float(model(Z / np.abs(Z))) < 1e-9


@pytest.mark.parametrize(
    "name", sorted(set(bprop.optim.__all__) & {"Adam", "AdamW", "AMSGrad", "Adagrad", "RMSprop", "Lion", "LBFGS"})
)
def test_other_optimisers_refuse_complex_parameters_by_name(name):
    with pytest.raises(bprop.DTypeError, match=f"{name}: w is complex.*SGD"):
        getattr(bprop.optim, name)(0.1).init(Filter())


def test_handwritten_passes_refuse_complex_numbers_by_name():
    model = Filter()
    model.fprop(Z)
    with pytest.raises(bprop.DTypeError, match=r"Filter\.bprop is of real numbers"):
        model.bprop()
    with pytest.raises(bprop.DTypeError, match=r"Handwritten\.bprop is of real numbers"):
        bprop.grad(lambda model: model(Z))(Handwritten())
    model.hook(x_bar=lambda module, x_bar: None)
    with pytest.raises(bprop.DTypeError, match="hook on x_bar is of real numbers"):
        bprop.grad(lambda model: model(Z))(model)


def test_the_ways_to_a_gradient_agree_or_are_skipped_by_name():
    table = bprop.compare(lambda z: np.sum(np.abs(np.exp(z) * z)), Z)
    assert table.ok
    assert [way.name for way in table.ways if way.difference is not None] == [
        "reverse",
        "forward",
        "numerical, central",
    ]


def test_views_show_gradients_of_complex_values():
    rows = bprop.view(lambda z: np.sum(np.abs(z * 1j) ** 2), Z).rows
    assert_allclose(rows[0].gradient, 2 * Z)
    assert_allclose(next(row for row in rows if row.formula.startswith("abs")).gradient, 2 * np.abs(Z))
