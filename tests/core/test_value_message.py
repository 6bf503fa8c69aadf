"""Whatever is done wrongly with a value, of whichever kind, no message speaks of the library's inner classes.

Planted: `Tracer.__init_subclass__` without the name; methods under the name of the class that defines them.
"""

import ast
import io
import json
import math
import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.special

import bprop
from bprop.core.interpreter import using
from bprop.core.observe import Observe
from bprop.gradients.absent import Absent
from bprop.gradients.complex_step import ComplexStep, ComplexValue

SOURCE = Path(bprop.__file__).parent
X = np.array([1.0, 2.0, 3.0])


def _inner_classes():
    """Return the names of the classes of values and of interpreters, as they are written in the source."""
    bases = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    found = {"Array", "Interpreter"}
    while more := {name for name, own in bases.items() if own & found} - found:
        found |= more
    return found - {"Array", "Observe"} | {"Methods"}  # observe is a verb


INNER = _inner_classes()


def test_the_inner_classes_are_found():
    assert {
        "Tracer",
        "Recorded",
        "Dual",
        "Batched",
        "Traced",
        "Masked",
        "Observed",
        "ComplexValue",
        "Record",
        "Trace",
    } <= INNER


MISUSES = {
    "attribute": lambda x: x.nothing, "set attribute": lambda x: setattr(x, "nothing", 1), "shape": lambda x: setattr(x, "shape", (3,)),
    "call": lambda x: x(1), "item": lambda x: x.__setitem__(0, 1.0), "delete": lambda x: x.__delitem__(0),
    "del": lambda x: exec("del x[0]", {"x": x}), "hash": hash, "in a set": lambda x: {x}, "key": lambda x: {x: 1},
    "bool": lambda x: bool(x), "int": lambda x: int(x), "float": float, "complex": complex, "index": lambda x: [1, 2][x],
    "range": lambda x: range(x), "len of a number": lambda x: len(x[0]), "iterate a number": lambda x: list(x[0]),
    "unpack": lambda x: exec("a, b = x", {"x": x}), "item()": lambda x: x.item(), "data": lambda x: x[0].data + "a",
    "add str": lambda x: x + "a", "str add": lambda x: "a" + x, "add None": lambda x: x + None, "add dict": lambda x: {} + x,
    "matmul": lambda x: x @ 2.0, "compare": lambda x: sorted([x, x]), "and": lambda x: x & x, "shift": lambda x: x << 1.5,
    "clip": lambda x: x.clip(1, 2, 3, 4), "sum": lambda x: x.sum(nothing=1), "reshape": lambda x: x.reshape(7, 7), "dot": lambda x: x.dot(),
    "at": lambda x: x.at[0].nothing(1), "at set": lambda x: x.at[9].set(1.0), "format": lambda x: f"{x:.3f}", "percent": lambda x: f"{x:d}",
    "math": lambda x: math.sqrt(x), "pickle": pickle.dumps, "json": json.dumps, "struct": lambda x: struct.pack("d", x),
    "bytes": lambda x: bytes(x), "buffer": memoryview, "str join": lambda x: "".join([x]), "isinstance": lambda x: isinstance(1, x),
    "with": lambda x: exec("with x: pass", {"x": x}), "await": lambda x: x.__await__(), "open": open, "subscript": lambda x: x["a"],
    "asarray": np.asarray, "array": lambda x: np.array([x, x]), "array of numbers": lambda x: np.array([x[0], 1.0]),
    "float64": lambda x: np.float64(x), "assign": lambda x: np.zeros(3).__setitem__(0, x[0]), "assign all": lambda x: np.zeros(3).__setitem__(..., x),
    "fromiter": lambda x: np.fromiter(x, float), "full": lambda x: np.full(3, x), "sum of a list": lambda x: np.sum([x, x]),
    "arange": lambda x: np.arange(x[0]), "linspace": lambda x: np.linspace(0, x[0], 3), "eye": lambda x: np.eye(x[0]),
    "zeros": lambda x: np.zeros(x), "poly": lambda x: np.poly1d(x), "vectorize": lambda x: np.vectorize(lambda t: t)(x),
    "out": lambda x: np.add(X, X, out=x), "reduce": lambda x: np.add.reduce(x), "frexp": np.frexp, "percentile": lambda x: np.percentile(x, 50),
    "save": lambda x: np.save(io.BytesIO(), x), "histogram": np.histogram, "copyto": lambda x: np.copyto(x, X), "ma": lambda x: np.ma.masked_array(X, [1, 0, 0]) * x,
    "logsumexp": scipy.special.logsumexp, "j0": scipy.special.j0, "random": lambda x: np.random.default_rng(0).normal(x),
    "choice": lambda x: np.random.default_rng(0).choice(x), "shuffle": lambda x: np.random.default_rng(0).shuffle(x),
    "wrong dtype": lambda x: x.astype("hello"), "exp twice": lambda x: bprop.exp(x, x), "full bprop": lambda x: bprop.full(3, x),
    "zeros bprop": lambda x: bprop.zeros(x), "stack bprop": lambda x: bprop.stack(x, x), "reshape bprop": lambda x: bprop.reshape(x, x),
    "grad of a value": lambda x: bprop.grad(x), "grad by str": lambda x: bprop.grad(lambda t: "a")(x), "scan": lambda x: bprop.scan(x, x, x),
    "cond": lambda x: bprop.cond(x, x, x), "while": lambda x: bprop.while_loop(lambda c: c, lambda c: c, x), "callback": lambda x: bprop.callback(x),
    "module": lambda x: bprop.nn.Linear(3, 1)(x[0]), "module of": lambda x: bprop.nn.Linear(x, x), "loss": lambda x: bprop.nn.CrossEntropy()(x, x),
    "optimizer": lambda x: bprop.optim.SGD(x).update(x, x), "sequential": lambda x: bprop.nn.Sequential(x), "axis": lambda x: bprop.sum(x, axis=x),
    "seed": lambda x: bprop.Generator(x), "dlpack": np.from_dlpack, "tolist": lambda x: x.tolist(), "super": lambda x: x.__class__(1, 2, 3, 4, 5, 6),
}  # fmt: skip


def _kinds():
    def plain(see):
        see(bprop.asarray(X))

    def of(transform):
        return lambda see: transform(lambda x: (see(x), bprop.sum(x * x))[1])

    def inside(make):
        def run(see):
            owner, value = make()
            with using(owner):
                see(value)

        return run

    return {
        "plain": plain,
        "recorded": of(lambda f: bprop.grad(f)(X)),
        "dual": of(lambda f: bprop.jvp(f, (X,), (X,))),
        "batched": of(lambda f: bprop.vmap(f)(X[None])),
        "traced": of(lambda f: bprop.trace(f)(X)),
        "compiled": of(lambda f: bprop.compile(f)(X)),
        "compiled gradient": of(lambda f: bprop.compile(bprop.grad(f))(X)),
        "dual of recorded": of(lambda f: bprop.grad(lambda x: bprop.jvp(f, (x,), (X,))[0])(X)),
        "complex": inside(lambda: (lambda owner: (owner, ComplexValue(owner, X + 1e-20j)))(ComplexStep())),
        "observed": inside(lambda: (lambda owner: (owner, owner.input(bprop.asarray(X))))(Observe())),
        "masked": inside(lambda: (lambda owner: (owner, owner.seed(bprop.asarray(X))))(Absent())),
    }


KINDS = _kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_no_message_names_an_inner_class(kind):
    count = 0

    def see(x):
        nonlocal count
        for name, misuse in MISUSES.items():
            try:
                said = repr(misuse(x))
            except Exception as error:
                said, count = f"{type(error).__name__}: {error}", count + 1
            said = said.replace(error_line(said), "")
            words = set(re.findall(r"\b[A-Za-z_]\w*\b", said))
            assert not words & INNER, f"{name}: {said}"
        assert not set(re.findall(r"\b[A-Za-z_]\w*\b", f"{x} {x!r} {type(x)}".replace("bprop.", ""))) & INNER

    KINDS[kind](see)
    assert count > len(MISUSES) / 2


def error_line(said):
    """Return the part of a message that quotes the user's file and line."""
    return said[said.index("\n  at ") :] if "\n  at " in said else "\n"
