"""Complex numbers: values, derivatives and refusals of every op, and the convention against recorded numbers.

Planted: `reverse._filled` without conj, `matching` casting without the real part, `conj_op` with an adjoint that is not
conjugated, the partial of `abs` without conj, a `takes_complex=True` on `hypot` and on `maximum`, `General` taking the
derivative of `direction` as that of a real sign: each makes tests here fail.
"""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases
from bprop.gradients import reverse

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

        for output in range(len(op.core_outputs) if op.several else 1):

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
        for gradient, bar, difference, x in zip(gradients, pulled, bprop.numerical(energy, every)(*xs), xs, strict=True):
            assert gradient.dtype == x.dtype
            assert_allclose(gradient, difference, rtol=1e-6, atol=1e-7)
            assert_allclose(bar, gradient, rtol=1e-12, atol=1e-13)


@over([op for op in DIFFERENTIABLE if op.arity != 1])
def test_a_real_operand_beside_a_complex_one_has_a_real_gradient(op):
    for f, xs in itertools.chain(calls(op, real=(0,)), calls(op, real=(1,))):
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
        assert_allclose(pairing([random(y)], [y_dot]), pairing(bprop.vjp(f, *xs)[1](random(y)), dots), rtol=1e-10, atol=1e-12)


@over(DIFFERENTIABLE)
def test_reverse_is_the_transpose_of_forward(op):
    for f, xs in calls(op):
        dots = [random(x, 4) for x in xs]
        y, y_dot = bprop.jvp(f, xs, dots)
        y_bar = random(y)
        assert y_dot.spec == y.spec
        assert_allclose(pairing([y_bar], [y_dot]), pairing(bprop.vjp(f, *xs)[1](y_bar), dots), rtol=1e-10, atol=1e-12)


@over(DIFFERENTIABLE)
def test_second_order_is_numerical(op):
    for f, xs in calls(op):
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
        batch = bprop.vmap(f)(*(np.stack([x, x * (1 + 0.01j)]) if x.dtype.kind == "c" else np.stack([x, x]) for x in xs))
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


@over(DIFFERENTIABLE)
def test_rules_read_the_same_for_real_and_complex_operands(op, monkeypatch):
    """What the backward pass keeps is found once, by whichever call comes first."""
    kept = {}
    for dtype in (COMPLEX, REAL):
        for args, params in examples(op, dtype):
            monkeypatch.setattr(reverse, "_KEEPS", {})
            for subset in {tuple(arrays(args)), *((position,) for position in arrays(args))}:
                f = lambda *xs: op(*(dict(zip(subset, xs, strict=True)).get(k, arg) for k, arg in enumerate(args)), **params)  # noqa: B023, E501  # fmt: skip
                bprop.vjp(f, *(args[position] for position in subset))
            for key, reads in reverse._KEEPS.items():
                scalars = [arg if isinstance(arg, int | float) else None for arg in args]
                assert kept.setdefault((key, str(scalars), str(params)), reads) == reads


# --- every op that does not ---
@over([op for op in OPS if not op.takes_complex])
def test_other_ops_refuse_by_name(op):
    for args, params in cases(op):
        positions = arrays(args, "f")
        if not positions:
            continue
        for position in positions:
            new = [arg.astype(complex) if k == position else arg for k, arg in enumerate(args)]
            for call in (lambda: op(*new, **params), lambda: bprop.trace(lambda x: op(*new[:position], x, *new[position + 1:], **params))(new[position])):  # noqa: B023, E501  # fmt: skip
                with pytest.raises(bprop.DTypeError, match=f"{op.name}.*complex"):
                    call()
        return
