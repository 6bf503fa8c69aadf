"""What the folders of tests share: numerical differentiation as an oracle, and the count of what ran over the registry."""

import os
import re
import signal
import tempfile
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import settings

import bprop
from bprop.core import error
from bprop.core.dtype import WEAK
from bprop.core.function import declare_all
from bprop.core.graph import Edge, Graph, Node
from bprop.core.op import REGISTRY
from support.profile import SAME

LITERAL = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*\'""")
declare_all()  # tests go through the tables of ops and rules
settings.load_profile(SAME)  # tests/test_fresh_examples.py sees to other examples


def slope(f, step=0.01, levels=4):
    """The derivative of ``f``, a function of one number giving arrays, at 0.

    Central differences at h, h/2, h/4, h/8 with the terms h², h⁴ and h⁶ of their error removed: for functions that
    vary on a scale of 0.3 what is left is (h/0.3)⁸ ≈ 1e-12, and rounding leaves about 8 · 2e-16 / h ≈ 2e-13.
    """
    table = []
    for level in range(levels):
        h = step / 2**level
        row = [[(above - below) / (2 * h) for above, below in zip(f(h), f(-h), strict=True)]]
        for power, old in enumerate(table, start=1):
            factor = 4.0**power - 1
            row.append([new + (new - one) / factor for new, one in zip(row[-1], old, strict=True)])
        table = row
    return table[-1]


def pytest_configure(config):
    """Let no test, and no process that one starts, read or write the folder of the user's compiled code.

    Nor is code kept between tests that do not ask for it: some plant a fault in the compiler and want to see it.
    """
    config.code = tempfile.TemporaryDirectory(prefix="bprop-tests-")
    os.environ.update({"BPROP_CACHE": "0", "BPROP_CACHE_DIR": os.path.join(config.code.name, "code")})
    _refuse_plain_pairs()
    _leave_out_literals()


def _leave_out_literals():
    """Show the line of a user without what it has in quotes, so that no error matches words that the test itself expects.

    An error ends with the source of the line that it came from; in a table of calls and messages both stand there.
    """
    show = error.shown_place

    def shown(position):
        return LITERAL.sub('""', show(position))

    error.shown_place = shown


def _refuse_plain_pairs():
    """Let no test make a graph with a plain pair (node, index) in it: it equals an `Edge`, but passes ask for the type."""
    make_node, make_graph = Node.__init__, Graph.__init__

    def checked_node(self, op, params, inputs, specs):
        assert all(type(x) is Edge or type(x) in WEAK for x in inputs), f"{op} of {inputs}"
        make_node(self, op, params, inputs, specs)

    def checked_graph(self, inputs, nodes, outputs, captures=()):
        outputs = tuple(outputs)
        assert all(type(x) is Edge for x in outputs), f"a graph with outputs {outputs}"
        make_graph(self, inputs, nodes, outputs, captures)

    Node.__init__, Graph.__init__ = checked_node, checked_graph


def pytest_unconfigure(config):
    config.code.cleanup()


@pytest.fixture(scope="session")
def numerical():
    return slope


def pytest_terminal_summary(terminalreporter):
    """Say how much of the registry was tested: the reports arrive here from every worker."""
    ran = defaultdict(set)
    cases = 0
    for report in terminalreporter.stats.get("passed", []):
        path, _, name = report.nodeid.partition("::")
        test, _, parameters = name.partition("[")
        if path.endswith("ops/test_registry.py") and report.when == "call" and parameters:
            ran[next(part for part in parameters.rstrip("]").split("-") if part in REGISTRY)].add(test)
            cases += dict(report.user_properties).get("cases", 0)
    if ran:
        checks = {test for tests in ran.values() for test in tests}
        pairs = sum(len(tests) for tests in ran.values())
        terminalreporter.write_line(
            f"registry: {len(ran)} ops, {len(checks)} checks, {pairs} ops × checks passed on {cases} calls"
        )


@pytest.fixture(params=["avx512", "avx2", "x86-64"])
def target(request):
    """Native code for another processor, as far as this one runs it; its own is what all other tests are about."""
    from bprop.compile.llvm.host import current_target, generate_for

    own = current_target()
    try:
        with generate_for(request.param) as forced:
            if forced == own:
                pytest.skip(f"{request.param} is what this processor has: every other test generates for it")
            yield request.param
    except bprop.ArgumentError as error:
        pytest.skip(str(error))


EXHAUSTIVE = 4 * 3600  # seconds; all numbers of float32 take minutes for one op


def pytest_collection_modifyitems(config, items):
    """Leave out the tests that go through every case, unless -m speaks of them; give them more time than pyproject.toml does."""
    exhaustive = [item for item in items if item.get_closest_marker("exhaustive")]
    for item in exhaustive:
        item.add_marker(pytest.mark.timeout(EXHAUSTIVE))
    if exhaustive and "exhaustive" not in config.option.markexpr:
        config.hook.pytest_deselected(items=exhaustive)
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


@pytest.fixture
def default_signals():
    """SIGINT and SIGTERM as in a program that a terminal has started, for tests that send them, and for their children.

    The process may have been told to ignore SIGINT, as nohup, a job in the background and some runners do.
    """
    wanted = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _quiet_oracles():
    """NaN and inf are values in these tests; the library itself must not warn whatever NumPy is told."""
    with np.errstate(all="ignore"):
        yield
