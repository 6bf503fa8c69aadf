"""Metrics against their definitions, and as fit takes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop import nn, optim
from bprop.train import auc, evaluate, f1, fit, mae, mse, r2, rmse
from support.training import classifier, fit_eagerly, separable

RNG = np.random.default_rng(0)
X, T = separable(40)
LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


def counted(y, t, c):
    pairs = list(zip(y, t, strict=True))
    right = sum(a == c == b for a, b in pairs)
    precision = right / max(sum(a == c for a, _ in pairs), 1)
    recall = right / max(sum(b == c for _, b in pairs), 1)
    return 2 * precision * recall / (precision + recall) if right else 0.0


@given(LABELS)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(pairs):
    y, t = (list(part) for part in zip(*pairs, strict=True))
    classes = sorted({*y, *t})
    each = [counted(y, t, c) for c in classes]
    assert f1(y, t, "macro") == pytest.approx(np.mean(each))
    assert f1(y, t, "weighted") == pytest.approx(
        sum(e * t.count(c) for e, c in zip(each, classes, strict=True)) / len(t)
    )
    assert f1(y, t, "micro") == pytest.approx(np.mean(np.equal(y, t)))
    binary = [v > 1 for v in y], [v > 1 for v in t]
    assert f1(np.array(binary[0], int), np.array(binary[1], int)) == pytest.approx(counted(*binary, True))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auc_counts_pairs(pairs):
    scores, t = np.array([s for s, _ in pairs], float), np.array([int(b) for _, b in pairs])
    wins = [(p > n) + (p == n) / 2 for p in scores[t == 1] for n in scores[t == 0]]
    if wins:
        assert auc(scores, t) == pytest.approx(np.mean(wins))
        assert auc(scores[:, None], t[:, None]) == auc(scores, t)
        assert auc(np.stack([-scores, scores], 1), t) == auc(scores, t)
    else:
        assert np.isnan(auc(scores, t))


def test_auc_of_several_classes():
    y, t = RNG.normal(size=(60, 3)), RNG.integers(0, 3, 60)
    assert auc(y, t) == pytest.approx(np.mean([auc(y[:, c], (t == c).astype(int)) for c in range(3)]))
    assert auc(y, np.eye(3)[t]) == auc(y, t)
    assert auc(np.eye(3)[t], t) == 1


def test_recorded_numbers_of_scikit_learn():
    """f1_score, roc_auc_score (one against the rest, macro) and r2_score of scikit-learn 1.9.1."""
    y, t = [0, 2, 1, 2, 2, 0, 1, 0], [0, 1, 1, 2, 0, 0, 2, 1]
    assert f1(y, t, "macro") == pytest.approx(0.48888888888888893, abs=1e-12)
    assert f1(y, t, "weighted") == pytest.approx(0.5, abs=1e-12)
    assert auc([0.1, 0.4, 0.35, 0.8, 0.4], [0, 0, 1, 1, 1]) == pytest.approx(0.75, abs=1e-12)
    assert r2([2.5, 0.0, 2, 8], [3, -0.5, 2, 7]) == pytest.approx(0.9486081370449679, abs=1e-12)
    scores = [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]
    assert auc(scores, [0, 1, 2, 2, 1]) == pytest.approx(0.7777777777777777, abs=1e-12)
    assert r2([[0, 2], [-1, 2], [8, -5]], [[0.5, 1], [-1, 1], [7, -6]]) == pytest.approx(0.9368005266622779, abs=1e-12)


def test_regression_measures():
    y, t = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 3))
    assert mae(y, t) == pytest.approx(np.abs(y - t).mean())
    assert mse(y, t) == pytest.approx(((y - t) ** 2).mean())
    assert rmse(y, t) == pytest.approx(np.sqrt(((y - t) ** 2).mean()))
    assert r2(y, t) == pytest.approx(np.mean([1 - ((y - t) ** 2)[:, k].mean() / t[:, k].var() for k in range(3)]))
    assert r2(t, t) == r2([1.0, 1.0], [1.0, 1.0]) == 1
    assert r2([1.0, 2.0], [1.0, 1.0]) == 0
    assert mae(np.ones((3, 1), np.float32), [1, 1, 1]) == 0
    for metric in (mae, mse, r2, rmse):
        with pytest.raises(bprop.ShapeError, match=r"outputs of shape \(2,\) and targets of shape \(3,\)"):
            metric([1, 2], [1, 2, 3])
        with pytest.raises(bprop.ShapeError):
            metric([], [])


def test_wrong_arguments():
    with pytest.raises(bprop.ArgumentError, match="use 'macro'"):
        f1([0, 2], [0, 1], "binary")
    with pytest.raises(bprop.ArgumentError, match="average is"):
        f1([0, 1], [0, 1], "mean")
    with pytest.raises(bprop.ShapeError):
        f1([0, 1], [0])
    with pytest.raises(bprop.ShapeError):
        auc([0, 1], [0])
    with pytest.raises(bprop.ShapeError):
        auc(np.zeros((2, 2, 2)), [0, 1])


def fit_measured(**options):
    return fit_eagerly(classifier(4, 6, 2, seed=1), (X, T), **{"validation": (X, T), "epochs": 2, **options})


def test_metrics_by_name():
    def ones(y, t):
        return np.mean(y.argmax(axis=1))

    run = fit_measured(metrics=["accuracy", "f1", "auc", ones])
    y = np.asarray(run.model(X))
    last = run.history[-1]
    assert last["validation_f1"] == f1(y.argmax(axis=1), T)
    assert last["validation_auc"] == auc(y[:, 1] - y[:, 0], T)
    assert last["validation_ones"] == np.mean(y.argmax(axis=1))
    assert fit_measured(metrics="auc").history[0].keys() == fit_measured(metrics={"auc": "auc"}).history[0].keys()
    run = fit(
        nn.Linear(4, 1, seed=0), nn.SquaredError(), optim.SGD(0.1), (X, X[:, :1]), (X, X[:, :1]), metrics=["r2", "mae"],
        epochs=40, compiled=False, progress=False,
    )  # fmt: skip
    assert run.history[-1]["validation_r2"] > 0.9
    assert run.history[-1]["validation_mae"] == pytest.approx(mae(run.model(X), X[:, :1]), rel=1e-6)


def failing(y, t):
    raise KeyError("nothing there")


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (failing, r"metric 'm' of outputs float32\[40, 2\] and targets int64\[40\] raised KeyError: 'nothing there'"),
        (lambda y, t: y, r"metric 'm' .* returned array"),
        (lambda y, t: None, "returned None, not a number"),
        (lambda y, t: "good", "returned 'good', not a number"),
        (mae, r"metric 'm' .*mae: outputs of shape"),
    ],
)
def test_a_metric_that_fails_is_found_before_the_first_step(tmp_path, metric, text):
    with pytest.raises(bprop.BpropError, match=rf"fit: validation data: .*{text}"):
        fit_measured(metrics={"m": metric}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(bprop.BpropError, match=text.replace("float32", "float64")):
        evaluate(nn.Linear(4, 2, np.float64, seed=0), nn.CrossEntropy(), (X.astype(float), T), {"m": metric})
