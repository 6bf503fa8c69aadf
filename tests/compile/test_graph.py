"""Random graphs of ops, compiled and eager."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop.compile import native
from support.profile import examples
from support.random_graph import programs, run


@given(programs(), st.sampled_from([np.float32, np.float64]), st.sampled_from([(3, 4), (1, 5), (4,), (0, 2), ()]))
@examples(60)
def test_random_graphs(steps, dtype, shape):
    """Values stay of size 1 to a few hundred and every function here is Lipschitz, so rounding errors stay small."""
    random = np.random.default_rng(0)
    xs = [bprop.asarray(random.uniform(-1, 1, s).astype(dtype)) for s in (shape, shape[-1:], ())]
    expected = run(steps, xs)
    compiled = native(bprop.trace(lambda *xs: run(steps, xs))(*xs))(*xs)
    for y, e in zip(compiled, expected, strict=True):
        assert y.spec == e.spec
        largest = max(float(np.abs(e.data).max(initial=0)), 1.0)
        if not np.isfinite(largest) or largest > 1e4:  # products of products: rounding errors grow with them
            continue
        np.testing.assert_allclose(y, e, rtol=0, atol=2000 * np.finfo(dtype).eps * largest)
