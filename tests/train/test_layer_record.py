"""What a training keeps of its layers, and the page that shows it."""

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.train import LayerRecord, StorageError, fit, training_page
from bprop.train.layer_record import FILE, read_layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2)).astype(np.float32)
T = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
loss = nn.CrossEntropy()


def trained(folder, epochs=3, **options):
    model = nn.Sequential(
        nn.Linear(2, 8, seed=0), nn.Tanh(), nn.Linear(8, 2, seed=1), nn.Tanh(), nn.Linear(2, 2, seed=2)
    )
    record = LayerRecord(X, T, loss)
    run = fit(model, loss, optim.Adam(0.05), (X, T), epochs=epochs, out=folder, callbacks=[record], seed=0, **options)
    return model, run, record


def test_every_epoch_is_kept(tmp_path):
    model, run, record = trained(tmp_path / "run")
    epochs = read_layers(tmp_path / "run")
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    gradient = bprop.grad(lambda m, x, t: loss(m(x), t))(model, X, T)
    last = {layer["path"]: layer for layer in epochs[-1]["layers"]}
    expected = np.hypot(*(np.linalg.norm(gradient[f"layers.0.{name}"].numpy()) for name in "Wb"))
    assert last["layers.0"]["gradient_norm"] == pytest.approx(expected, rel=1e-5)
    assert 0 < last["layers.0"]["update_ratio"] < 1
    assert sum(last["layers.2"]["weights"]["counts"]) == 8 * 2 + 2
    assert last["layers.1"]["saturated"] is not None
    plane = epochs[-1]["plane"]
    assert len(plane["said"]) == 1600
    assert set(plane["said"]) <= {0.0, 1.0}
    np.testing.assert_allclose(plane["features"], model[:4](X).numpy(), atol=1e-5)
    assert record.epochs[0]["epoch"] == 1
    assert run.history[-1]["epoch"] == 3


def test_looking_does_not_change_the_training(tmp_path):
    model, _, _ = trained(tmp_path / "a")
    plain = nn.Sequential(
        nn.Linear(2, 8, seed=0), nn.Tanh(), nn.Linear(8, 2, seed=1), nn.Tanh(), nn.Linear(2, 2, seed=2)
    )
    fit(plain, loss, optim.Adam(0.05), (X, T), epochs=3, seed=0)
    for path, cell in model.cells().items():
        np.testing.assert_array_equal(cell.array.numpy(), plain.cells()[path].array.numpy())


def test_the_page(tmp_path):
    _, run, _ = trained(tmp_path / "run")
    page = training_page("moons <b>", run.history, read_layers(tmp_path / "run"))
    assert "moons &lt;b&gt;" in page
    for part in (
        "‖∂E/∂W‖ by layer",
        "update ‖ΔW‖ / ‖W‖",
        "Decision boundary",
        "layers.0 Linear",
        'data-part="features"',
    ):
        assert part in page
    assert "connect-src" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert len(page) < 3_000_000
    assert "connect-src 'self'" in training_page("t", run.history, live=True)
    assert "The first epoch is not over yet" in training_page("t", [])


def test_numbers_that_are_none():
    history = [{"epoch": 1, "train_loss": float("nan")}, {"epoch": 2, "train_loss": float("inf")}]
    layers = [
        {
            "path": "a",
            "kind": "Linear",
            "gradient_norm": None,
            "update_ratio": 0.0,
            "weights": None,
            "y_std": None,
            "saturated": None,
        }
    ]
    page = training_page("t", history, [{"epoch": 1, "layers": layers}, {"epoch": 2, "layers": layers}])
    assert "NaN" in page
    assert "nan" not in page.split("<svg")[1].split(">")[0]


def test_a_damaged_record_is_named(tmp_path):
    trained(tmp_path / "run")
    path = tmp_path / "run" / FILE
    path.write_text(path.read_text().replace('"path": "layers.0"', '"path": 7'))
    with pytest.raises(StorageError, match=r"layers.json: epochs\[0\].layers\[0\].path is a text"):
        read_layers(tmp_path / "run")
    path.write_text("{")
    with pytest.raises(StorageError, match=r"layers.json"):
        read_layers(tmp_path / "run")


def test_a_run_shows_its_curves_in_a_notebook():
    model = nn.Sequential(nn.Linear(2, 2, seed=0))
    run = fit(model, loss, optim.Adam(0.05), (X, T), epochs=2, seed=0, progress=False, title="<b>moons")
    shown = run._repr_html_()
    assert shown.startswith("<iframe")
    assert "polyline" in shown
    assert "<b>moons" not in shown
