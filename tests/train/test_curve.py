"""Pictures of any name that a metric, a column or a run may have."""

import pytest

import bprop
from bprop.train.curve import draw
from bprop.train.table.sensitivity import draw_influence

NAMES = ["$\\frac{$", "a$b$", "^_{", "\\", "_hidden", "\ud800", "\0", "\x1b[2J", "a\nb", "\u202e", "𝔸", " "]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_they_are(name, tmp_path):
    history = [{"epoch": 1, "train_loss": 1.0, f"{name}_loss": 1.0, f"validation_{name}": 2.0, name: 3.0}]
    draw(history, tmp_path / "curves.png", name)
    draw_influence({name: 1.0}, tmp_path / "influence.png", name)


def test_a_metric_may_be_called_like_mathematics(tmp_path):
    x = [[1.0], [2.0]]
    run = bprop.train.fit(
        bprop.nn.Linear(1, 1), bprop.nn.SquaredError(), bprop.optim.SGD(0.01), (x, x), (x, x), epochs=1, progress=False,
        compiled=False, out=tmp_path / "run", metrics={"$\\frac{$": lambda y, t: 1.0, "\ud800": lambda y, t: 2.0},
    )  # fmt: skip
    assert run.status == "finished"
    assert (tmp_path / "run" / "curves.png").is_file()
    run = bprop.train.fit(
        bprop.nn.Linear(1, 1), bprop.nn.SquaredError(), bprop.optim.SGD(0.01), (x, x), (x, x), epochs=2, progress=False,
        compiled=False, out=tmp_path / "run", metrics={"$\\frac{$": lambda y, t: 1.0, "\ud800": lambda y, t: 2.0}, resume=True,
    )  # fmt: skip
    assert [entry["validation_\ud800"] for entry in run.history] == [2.0, 2.0]
