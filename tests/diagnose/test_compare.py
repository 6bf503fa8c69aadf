"""The ways side by side: agreement, counts, and why one was skipped."""

import numpy as np

import bprop
from bprop import nn


def energy(w, x, t):
    y = 1 / (1 + np.exp(-(x @ w)))
    return 0.5 * np.sum((t - y) ** 2)


ARGS = np.array([0.3, -0.2]), np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]]), np.array([1.0, 0.0, 1.0])


def test_all_ways_agree_and_cost_what_the_lecture_says():
    table = bprop.compare(energy, *ARGS)
    assert table.ok
    assert {way.name: way.evaluations for way in table.ways} == {
        "reverse": 1, "forward": 1, "numerical, central": 4, "numerical, complex": 2, "symbolic": 1, "paths": 1,
    }  # fmt: skip
    assert table["paths"].note == "6 paths"
    assert table["numerical, complex"].difference < 1e-14
    lines = str(table).splitlines()
    assert lines[0] == "gradient of energy, 2 entries"
    assert len(lines) == 2 + 6
    assert all("yes" in line for line in lines[2:])


def test_a_wrong_derivative_is_seen():
    @bprop.custom(vjp=lambda y_bar, y, x: 2.001 * x * y_bar)
    def square(x):
        return x * x

    table = bprop.compare(lambda x: bprop.sum(square(x)), np.array([1.0, 2.0]))
    assert not table.ok
    assert "NO" in str(table)
    assert table["numerical, central"].difference > 4e-4
    assert table["symbolic"].difference < 1e-12


def test_what_cannot_go_is_skipped_with_the_reason():
    def deep(x):
        for _ in range(15):
            x = x + bprop.tanh(x)
        return x

    paths = bprop.compare(deep, 0.1)["paths"]
    assert paths.difference is None
    assert paths.note == "32768 paths: more than 10000"
    complex_step = bprop.compare(lambda a: bprop.sum(bprop.cholesky(a)), np.eye(2))["numerical, complex"]
    assert complex_step.note.startswith("cholesky has no complex form")
    symbolic = bprop.compare(lambda x: x * x if x > 0 else x, 2.0)["symbolic"]
    assert symbolic.note.startswith("Python `if`")
    assert "skipped" in str(bprop.compare(deep, 0.1))


def test_float32_modules_agree_within_what_float32_can_tell():
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
    table = bprop.compare(lambda m, x: bprop.sum(m(x) ** 2), model, np.ones((2, 3), np.float32))
    assert table.ok, str(table)
    assert table.size == 11


def test_arguments_and_notebook():
    table = bprop.compare(lambda a, b: bprop.sum(a * b), np.ones(2), np.ones(2), argnums=(0, 1))
    assert table.size == 4
    html = table._repr_html_()
    assert "<caption>gradient of &lt;lambda&gt;</caption>" in html
    assert html.count("<tr>") == html.count("</tr>") == 7
