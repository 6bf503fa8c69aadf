"""Native code for lesser processors than this one, against eager: every op, and random graphs.

On plain x86-64 (vectors of 16 bytes, no fused multiply-add) every seventh op stands for all.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

import bprop
from bprop.compile import native
from bprop.compile.llvm.host import TARGETS, current_target, generate_for
from bprop.core.family import Region
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases
from support.agreement import check_call
from support.profile import examples
from support.random_graph import programs, run

OPS = [op for op in REGISTRY.values() if not isinstance(op, Region)]
SAMPLE = {op.name for op in OPS[::7]} | {"matmul", "exp", "tanh", "sum"}


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_ops(op, target):
    if target == "x86-64" and op.name not in SAMPLE:
        pytest.skip("not in the sample")
    case = next(iter(cases(op, np.float32)), None)
    if case is None:
        pytest.skip("for complex numbers, which NumPy computes")
    check_call(op, *case)


@pytest.mark.parametrize("shape", [(3, 4, 5), (40, 70, 33), (130, 129, 131)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_products(dtype, shape, target, agree):
    random = np.random.default_rng(0)
    m, k, n = shape
    for left, right in ((m, k), (k, m)), ((k, n), (n, k)):
        assert left != right
    a, b = (random.standard_normal(s).astype(dtype) for s in ((m, k), (k, n)))
    agree(lambda a, b: a @ b, a, b, terms=k, scale=1.0)
    agree(
        lambda a, b: bprop.matrix_transpose(a) @ bprop.matrix_transpose(b), a.T.copy(), b.T.copy(), terms=k, scale=1.0
    )


@given(programs(), st.sampled_from([np.float32, np.float64]), st.sampled_from([(3, 4), (2, 19), (4,), ()]))
@examples(15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_graphs(target, steps, dtype, shape):
    random = np.random.default_rng(0)
    xs = [bprop.asarray(random.uniform(-1, 1, s).astype(dtype)) for s in (shape, shape[-1:], ())]
    expected = run(steps, xs)
    compiled = native(bprop.trace(lambda *xs: run(steps, xs))(*xs))(*xs)
    for y, e in zip(compiled, expected, strict=True):
        assert y.spec == e.spec
        largest = max(float(np.abs(e.data).max(initial=0)), 1.0)
        if np.isfinite(largest) and largest <= 1e4:
            np.testing.assert_allclose(y, e, rtol=0, atol=2000 * np.finfo(dtype).eps * largest)


def test_what_is_forced_is_generated(target):
    """The widest registers in the code are those of the target."""
    f = bprop.compile(lambda x: x * 2 + 1)
    f(bprop.ones(1000, dtype="float32"))
    found = {width for width in (4, 8, 16) if f"<{width} x float>" in f.llvm}
    assert max(found) == current_target().vector // 4
    assert ("fma" in f.llvm) <= current_target().fused


def test_targets_by_the_environment(monkeypatch):
    monkeypatch.setenv("BPROP_TARGET", "x86-64")
    assert current_target().vector == 16
    monkeypatch.setenv("BPROP_TARGET", "sse9")
    with pytest.raises(bprop.ArgumentError, match=r"'sse9' is none of avx512, avx2, x86-64"):
        bprop.compile(lambda x: x + 1)(bprop.ones(3))
    with pytest.raises(bprop.ArgumentError, match="sse9"), generate_for("sse9"):
        pass
    assert TARGETS == ("avx512", "avx2", "x86-64")
