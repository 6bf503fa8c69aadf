"""Networks: the statistics are those of the modules' own passes, and the page shows what is wrong with a network."""

from html.parser import HTMLParser

import numpy as np
import pytest

import bprop
from bprop import networks, nn
from bprop.core.error import ArgumentError
from bprop.view.module_statistics import statistics
from bprop.view.network_page import network_page

RNG = np.random.default_rng(4)
X, T = RNG.normal(size=(6, 5)), np.array([0, 1, 2, 0, 1, 2])
loss = nn.CrossEntropy()


def energy(model, x, t):
    return loss(model(x), t)


def network(activation=nn.Tanh, depth=1):
    layers = [layer for i in range(depth) for layer in (nn.Linear(5, 5, seed=i, dtype="float64"), activation())]
    return nn.Sequential(*layers, nn.Linear(5, 3, seed=99, dtype="float64"))


def by_path(model, *args):
    (tree,) = statistics(energy, model, *args)
    return {module.path: module for module in tree.walk()}


def test_numbers_are_those_of_fprop_and_bprop():
    model = network()
    seen = by_path(model, X, T)
    y = model.fprop(X)
    own = nn.CrossEntropy()
    own.fprop(y, T)
    model.bprop(own.bprop())
    gradient = bprop.grad(energy)(model, X, T)
    for path, module in model.modules():
        if path and not path.endswith("layers"):
            statistic = seen[path]
            values = module.y.numpy()
            assert statistic.y.mean == pytest.approx(values.mean(), rel=1e-12)
            assert statistic.y.std == pytest.approx(values.std(), rel=1e-12)
            assert (statistic.y.low, statistic.y.high) == (values.min(), values.max())
            assert statistic.y_bar_norm == pytest.approx(np.linalg.norm(module.y_bar.numpy()), rel=1e-10)
            for parameter in statistic.parameters:
                expected = np.linalg.norm(gradient[f"{path}.{parameter.name}"].numpy())
                assert parameter.gradient_norm == pytest.approx(expected, rel=1e-12)
    assert seen[""].parameter_count == networks.parameters(model)
    assert seen[""].flops == networks.flops(model, X)
    assert seen["layers.0"].kept == X.nbytes


def test_looking_changes_nothing():
    model = nn.Sequential(
        nn.Linear(5, 5, seed=0, dtype="float64"),
        nn.BatchNorm1d(5, dtype="float64"),
        nn.Dropout(0.5, seed=1),
        nn.Linear(5, 3, dtype="float64"),
    )
    before = {path: cell.array.numpy().copy() for path, cell in model.cells().items()}
    model.fprop(X)
    cells = {path: cell.array.numpy().copy() for path, cell in model.cells().items()}
    frames = [id(module.__dict__.get("_last_frame")) for _, module in model.modules()]
    statistics(energy, model, X, T)
    assert all(np.array_equal(cells[path], cell.array.numpy()) for path, cell in model.cells().items())
    assert frames == [id(module.__dict__.get("_last_frame")) for _, module in model.modules()]
    assert all(not module.hooks for _, module in model.modules())
    assert any(not np.array_equal(before[path], cells[path]) for path in cells)  # fprop itself does change states


def test_dead_and_saturated_units():
    model = network(nn.ReLU)
    model.layers[0].b = np.array([-99.0, 0, 0, 0, 99.0])
    seen = by_path(model, X, T)
    blocked = model(X) is not None and np.maximum((X @ model.layers[0].W.T + model.layers[0].b).numpy(), 0) == 0
    assert seen["layers.1"].units == 5
    assert seen["layers.1"].dead == int(blocked.all(axis=0).sum()) >= 1
    assert seen["layers.1"].saturated == pytest.approx(blocked.mean())
    model = network(nn.Sigmoid)
    model.layers[0].W = model.layers[0].W * 1000
    assert by_path(model, X, T)["layers.1"].saturated > 0.9
    assert seen["layers.0"].saturated is None


def test_what_is_not_reached():
    model = network()
    model.unused = nn.Linear(2, 2)
    (tree,) = statistics(energy, model, X, T)
    assert tree.unreached == ["unused.W", "unused.b"]
    page = network_page("f", [tree])
    assert "E does not depend on unused.W, unused.b" in page
    assert page.count("not reached: W, b") == 1


def test_vanishing_gradients_are_called_so():
    (tree,) = statistics(energy, network(nn.Sigmoid, 12), X, T)
    assert network_page("f", [tree]).count("vanishing</span>") >= 6
    (tree,) = statistics(energy, network(), X, T)
    assert "vanishing</span>" not in network_page("f", [tree])


class Parser(HTMLParser):
    VOID = frozenset(["meta", "link", "polyline", "br", "input"])

    def __init__(self):
        super().__init__()
        self.open, self.details, self.tags = [], 0, []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    parser = Parser()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_repeated_blocks_are_folded():
    model = networks.ResNet(20)
    x = RNG.normal(size=(1, 3, 32, 32)).astype(np.float32)
    (tree,) = statistics(energy, model, x, np.array([3]))
    page = network_page("ResNet", [tree])
    parser = parsed(page)
    assert len(page) < 400_000
    assert sum(tag == "details" and attrs.get("class") == "block" for tag, attrs in parser.tags) >= 1
    assert '<span class="times">× 3</span>' in page
    assert not any("http" in (value or "") for tag, attrs in parser.tags for value in attrs.values() if tag != "meta")


def test_names_are_text():
    class Odd(nn.Module):
        def __init__(self):
            self.table = {"<script>alert(1)</script>": nn.Linear(5, 3, dtype="float64")}

        def fprop(self, x):
            return self.table["<script>alert(1)</script>"](x)

    (tree,) = statistics(energy, Odd(), X, T)
    page = network_page("<script>", [tree])
    parser = parsed(page)
    assert sum(tag == "script" for tag, _ in parser.tags) == 1
    assert "&lt;script&gt;" in page


def test_numbers_that_are_none():
    model = network()
    model.layers[0].b = np.full(5, np.nan)
    (tree,) = statistics(energy, model, X, T)
    page = network_page("f", [tree])
    assert "NaN or ∞" in page
    parsed(page)


def test_a_function_without_modules():
    with pytest.raises(ArgumentError, match="there is no module among its arguments"):
        statistics(lambda x: x * x, 2.0)
