"""An assignment into an array under differentiation is refused at its line, with the lines to write in the user's own words.

Each example is run as it stands, and with the lines of its message put in the place of its own: that gives what NumPy gives.
Planted: `_beginning` that takes the first assignment of a name; `_path` without the end of the position.
"""

import linecache
import re
import textwrap

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop

X = np.array([0.5, 1.5, 2.0])
EXAMPLES = {
    "slice": """
        def f(u):
            r = np.zeros_like(u)
            r[1:-1] = u[2:] - u[:-2]
            return r
        """,
    "entries": """
        def f(u):
            r = np.zeros(3)
            r[0] = u[1] * u[2]
            return r
        """,
    "added": """
        def f(u):
            res = np.ones(3)
            res[1] += u[0] * 2
            return res
        """,
    "subtracted": """
        def f(u):
            res = np.ones(3)
            res[1:] -= u[0] + u[1:]
            return res
        """,
    "divided": """
        def f(u):
            res = np.ones(3)
            res[1:] /= u[1:]
            return res
        """,
    "whole": """
        def f(u):
            r = np.ones(3)
            r += np.sin(u)
            return r
        """,
    "out": """
        def f(u):
            r = np.empty(3)
            np.add(u, 1.0, out=r)
            return r
        """,
    "several lines": """
        def f(u):
            r = np.zeros((2,
                          3))
            r[
                0, :
            ] = (u
                 * 2)
            return r
        """,
    "two indices": """
        def f(u):
            r = np.zeros((2, 3))
            r[0][1] = u[1]
            return r
        """,
    "in a list": """
        def f(u):
            rows = [np.zeros(3), 1]
            rows[0] = bprop.zeros(3)
            rows[0][1] = u[1]
            return rows[0]
        """,
    "several targets": """
        def f(u):
            r, s = np.zeros(3), 1
            r[0] = u[1]
            return r * s
        """,
    "attribute": """
        def f(u):
            o = Obj()
            o.r = bprop.zeros(3)
            o.r[1] = u[0]
            return o.r
        """,
    "mask": """
        def f(u):
            r = np.full(3, 2.0)
            r[r > 1] = u
            return r
        """,
    "diagonal": """
        def f(u):
            r = np.zeros((3, 3))
            np.fill_diagonal(r, u)
            return r
        """,
    "divide.at": """
        def f(u):
            r = np.ones(3)
            np.divide.at(r, [0, 2, 0], u)
            return r
        """,
    "subtract.at": """
        def f(u):
            r = np.ones(3)
            np.subtract.at(r, [0, 2, 0], u * 2)
            return r
        """,
    "put into a matrix": """
        def f(u):
            r = np.zeros((2, 3))
            np.put(r, [0, 4, 5], u)
            return r
        """,
    "copyto where": """
        def f(u):
            r = np.ones(3)
            np.copyto(r, np.sin(u), where=u > 1)
            return r
        """,
    "copyto": """
        def f(u):
            r = np.zeros(3)
            np.copyto(r, u[0])
            return r
        """,
    "at": """
        def f(u):
            r = np.zeros(3)
            np.add.at(r, [0, 0, 1], u)
            return r
        """,
    "fill": """
        def f(u):
            r = np.zeros(3)
            r.fill(u[1])
            return r
        """,
    "put": """
        def f(u):
            r = np.zeros(3)
            np.put(r, [0, 2], u[:2])
            return r
        """,
    "the last beginning counts": """
        def f(u):
            r = np.zeros(7)
            r = np.ones(3)
            r[0] = u[0]
            return r
        """,
    "out and where": """
        def f(u):
            r = np.zeros(3)
            np.divide(1.0, u - 0.5, out=r, where=u > 1)
            return r
        """,
    "attribute with NumPy's array": """
        def f(u):
            o = Obj()
            o.r = np.zeros(3)
            o.r[1:] = u[1:]
            return o.r
        """,
    "in a dict": """
        def f(u):
            d = {}
            d['a'] = np.ones(3)
            d['a'][1] = u[1]
            return d['a']
        """,
    "in a list of an attribute": """
        def f(u):
            o = Obj()
            o.rows = [1, np.ones(3)]
            o.rows[1][0] += u[1]
            return o.rows[1]
        """,
    "begins beside another": """
        def f(u):
            a, b = np.zeros(3), np.ones(3)
            b[0] = u[1]
            return a + b
        """,
    "two arrays begin as one function's": """
        def f(u):
            a, b = np.ones((2, 3))
            b[0] = u[1]
            return a + b
        """,
    "a column, added": """
        def f(u):
            r = np.ones((3, 2))
            r[:, 0] += u
            return r
        """,
    "loop": """
        def f(u):
            r = np.zeros(3)
            for i in range(3):
                r[i] = u[i] ** 2
            return r
        """,
}


class Obj:
    pass


def _function(source, name):
    """Return the function that a source defines; `linecache` knows it, as a notebook's cell."""
    file = f"<cell {name}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    namespace = {"np": np, "numpy": np, "bprop": bprop, "Obj": Obj}
    exec(compile(source, file, "exec"), namespace)
    return namespace["f"]


def _message(f):
    with pytest.raises(bprop.BpropError) as caught:
        bprop.jacobian(f)(X)
    return caught.value


def _rewritten(source, message):
    """Return the source with the lines of a message where it assigns, and where the array begins."""
    first = message.partition("or, where the loop")[0]
    lines = [line.strip() for line in first.splitlines() if line.startswith("      ")]
    *_, assignment = lines
    target = assignment.partition(" = ")[0]
    name = re.escape(target)
    start = re.search(
        rf"\n( +)(?:{name}\[|{name}\.fill|{name} [+*/-]=|np\.[a-z_.]+\({name},|np\.(?:add\(u|divide\(1))", source
    )
    before, after = source[: start.start() + 1], source[source.index("\n    return") :]
    if len(lines) == 2:
        above, loop, inside = before.partition("    for ")
        before = f"{above}    {lines[0]}\n{loop}{inside}"
    return f"{before}{start[1]}{assignment}{after}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_lines_of_the_message_do_what_the_users_did(name):
    source = textwrap.dedent(EXAMPLES[name]).lstrip()
    f = _function(source, name)
    message = _message(f)
    g = _function(_rewritten(source, str(message)), f"{name}, rewritten")
    if name not in ("attribute", "in a list"):  # these begin as an array of bprop
        assert_allclose(g(bprop.asarray(X)), f(X), rtol=1e-15)
    assert np.shape(bprop.jacobian(g)(X))[-1] == 3
    assert np.any(np.asarray(bprop.jacobian(g)(X)))


@pytest.mark.parametrize("transform", ["jvp", "vmap", "compile", "hessian"])
def test_the_message_is_there_under_every_transform(transform):
    f = _function(textwrap.dedent(EXAMPLES["entries"]).lstrip(), "entries")
    run = {
        "jvp": lambda: bprop.jvp(f, (X,), (X,)),
        "vmap": lambda: bprop.vmap(f)(X[None]),
        "compile": lambda: bprop.compile(f)(X),
        "hessian": lambda: bprop.hessian(lambda x: bprop.sum(f(x)))(X),
    }[transform]
    with pytest.raises(
        bprop.TracedValueError, match=r"r = bprop\.zeros\(3\)\n      r = r\.at\[0\]\.set\(u\[1\] \* u\[2\]\)"
    ) as caught:
        run()
    assert "r[0] = u[1] * u[2]" in caught.value.line


def test_a_loop_that_fills_an_array_is_shown_with_a_list():
    f = _function(
        "def f(y0):\n    y = np.zeros(4)\n    for i in range(3):\n        y[i + 1] = y[i] + 0.1 * np.sin(y0[0])\n    return y\n",
        "euler",
    )
    assert str(_message(f)).splitlines()[-5:-1] == [
        "      y = y.at[i + 1].set(y[i] + 0.1 * np.sin(y0[0]))",
        "    or, where the loop fills it, collect the values in a list and join them once behind the loop",
        "      values.append(values[-1] + 0.1 * np.sin(y0[0]))",
        "      y = numpy.stack(values)",
    ]


def test_a_loop_without_differentiation_and_a_long_value():
    f = _function(f"def f(u):\n    r = np.zeros(3)\n    r[0] = u[0]{' + u[1]' * 20}\n    return r\n", "long")
    assert "r = r.at[0].set(value)" in str(_message(f))
    assert f(X).shape == (3,)


def test_without_source_the_message_says_it_in_general():
    namespace = {"np": np}
    exec("def f(u):\n    r = np.zeros(3)\n    r[0] = u[0]\n    return r\n", namespace)
    message = str(_message(namespace["f"]))
    assert "write a = a.at[i].set(x) for a[i] = x" in message
    with pytest.raises(bprop.ArgumentError, match=r"write x = x\.at\[index\]\.set\(value\)"):
        exec("x[0] = 1.0", {"x": bprop.ones(2)})


def test_several_targets_of_one_statement():
    f = _function("def f(u):\n    r = np.zeros(3)\n    r[0], r[1] = 1.0, u[0] * 2\n    return r\n", "tuple")
    assert "r = r.at[1].set(u[0] * 2)" in str(_message(f))


SEVERAL = {
    "one value": "A[0, 1] = A[1, 0] = u[0]",
    "one value that reads the array": "A[0, 1] = A[1, 0] = A[0, 1] + u[0]",
    "exchanged": "A[0], A[1] = u * A[1], u[0] * A[0]",
    "unpacked": "A[0, 0], A[1, 2] = np.split(u[:2] ** 2, 2)[0].reshape(1).repeat(2)",
    "two arrays": "A[0, 1] = B[0] = u[1]",
    "a name among them": "w = A[0] = u * 2",
    "an entry of a list": "A[0, 0], rows[0] = u[0], u[1]",
    "long": f"A[0, 1] = A[1, 0] = u[0]{' + u[1]' * 20}",
}


@pytest.mark.parametrize("name", SEVERAL)
def test_a_line_for_every_target(name):
    """Planted: `_of_targets` that leaves the last target out; one that never names the value first."""
    source = (
        "def f(u):\n    w, rows = 1.0, [1.0]\n    A, B = np.arange(6.0).reshape(2, 3), np.ones(3)\n"
        f"    {SEVERAL[name]}\n    return A * B * w * rows[0]\n"
    )
    f = _function(source, name)
    message = str(_message(f))
    lines = [line.strip() for line in message.splitlines() if line.startswith("      ")]
    g = _function(source.replace(SEVERAL[name], "\n    ".join(lines)), f"{name}, rewritten")
    assert_allclose(g(bprop.asarray(X)), f(X), rtol=1e-14)
    assert np.any(np.asarray(bprop.jacobian(g)(X)))


@pytest.mark.parametrize("name", ["copyto", "diagonal", "at", "put", "out", "whole"])
def test_nothing_is_written_for_the_entries_of_a_batch(name):
    """Planted: `Call._writes` that looks at ``out`` alone."""
    f = _function(textwrap.dedent(EXAMPLES[name]).lstrip(), f"{name} in a batch")
    with pytest.raises(bprop.BpropError, match=r"r = ") as caught:
        bprop.vmap(f)(np.stack([X, X]))
    assert "inside vmap returns" not in str(caught.value)


def test_an_entry_of_flat():
    """NumPy drops the cause. Planted: `explain_flat` that returns ``None``."""

    def f(u):
        r = np.zeros((2, 2))
        r.flat[3] = u[0]
        return r

    for transform in (bprop.jacobian(f), bprop.compile(f), lambda x: bprop.vmap(f)(x[None])):
        with pytest.raises(bprop.TracedValueError, match=r"a\.reshape\(-1\)\.at\[i\]\.set\(x\)") as caught:
            transform(X)
        assert "r.flat[3] = u[0]" in caught.value.line
