"""NumPy code of every op: what Python and NumPy make of it is what the op gives, or the op is refused by name."""

import numpy as np
import pytest
from scipy import special

import bprop
from bprop.core.elementwise import Elementwise
from bprop.core.error import BpropError
from bprop.core.graph import Edge
from bprop.core.notation import Written
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases
from bprop.formula.numpy_code import HELPERS, NUMPY

REFUSED = 60
"""Ops that may be refused; the number can only shrink."""

NAMES = {"np": np, "special": special, "abs": abs, "tuple": tuple}
for _source in HELPERS.values():
    exec(_source, NAMES)


def code(op, args, params):
    graph = bprop.trace(lambda *xs: op(*xs, **params)[0] if op.several else op(*xs, **params))(*args)
    (node,) = [node for node in graph.nodes if node.op is op]
    names = {x: f"x{number}" for number, x in enumerate(graph.inputs)}
    operands = [
        Written(names[x.node])
        if type(x) is Edge and x.node in names
        else NUMPY.number(x)
        if type(x) is not Edge
        else None
        for x in node.inputs
    ]
    if None in operands:
        return None
    return NUMPY.write(op, operands, node.operands, node.params).text


def numpy_value(text, args):
    arrays = [np.asarray(x) for x in args if not isinstance(x, bool | int | float | complex)]
    with np.errstate(all="ignore"):
        return eval(text, NAMES, {f"x{number}": x for number, x in enumerate(arrays)})


PLAIN = [op for op in REGISTRY.values() if not op.is_region]


@pytest.mark.parametrize("name", [op.name for op in PLAIN])
def test_the_code_of_an_op_gives_its_numbers(name):
    op = REGISTRY[name]
    for args, params in cases(op):
        if any(np.size(x) == 0 for x in args):
            continue
        arrays = [x for x in args if not isinstance(x, bool | int | float | complex)]
        if not arrays or len(arrays) < len(args):
            continue
        try:
            text = code(op, args, params)
        except BpropError:
            return
        if text is None:
            continue
        expected = op(*args, **params)
        found = numpy_value(text, args)
        for y, z in zip(expected if op.several else [expected], found if op.several else [found], strict=True):
            np.testing.assert_allclose(np.asarray(z), np.asarray(y), rtol=3e-12, atol=1e-13, err_msg=text)
            assert np.asarray(z).shape == y.shape


def test_few_ops_are_refused():
    refused = []
    for op in PLAIN:
        for args, params in cases(op):
            try:
                code(op, args, params)
            except BpropError:
                refused.append(op.name)
                break
            except ValueError:
                pass
    assert len(refused) <= REFUSED, refused


X = np.array([-800.0, -300.0, -40.0, -19.5, -5.0, -1e-3, -1e-9, 1e-9, 1e-3, 0.5, 5.0, 19.5, 40.0, 300.0, 800.0])


@pytest.mark.parametrize(
    "name",
    [op.name for op in REGISTRY.values() if isinstance(op, Elementwise) and op.arity == 1 and op.kind == "float"],
)
def test_the_code_keeps_the_digits_of_the_op(name):
    op = REGISTRY[name]
    try:
        text = code(op, (X,), {})
    except (BpropError, TypeError, KeyError):  # refused, or it needs parameters
        return
    if name == "within_domain":  # its bounds are parameters
        return
    with np.errstate(all="ignore"):
        expected = op(X).numpy()
    absolute = 1e-16 if name == "sinc" else 1e-300  # NumPy's own has the rounding of π x
    inside = np.isfinite(expected)
    np.testing.assert_allclose(
        numpy_value(text, (X,))[inside], expected[inside], rtol=1e-12, atol=absolute, err_msg=text
    )
