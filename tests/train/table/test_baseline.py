"""Baselines, scores and influences against scikit-learn's numbers, closed forms and the conditions of an optimum."""

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.train import auc
from bprop.train.table.baseline import baselines, logistic, probabilities, ridge
from bprop.train.table.score import classification_scores, regression_scores, row_losses, verdict
from bprop.train.table.sensitivity import bars, draw_influence, sensitivity

i = np.arange(40)
X = np.stack([i % 7 / 3 - 1, (i * i) % 11 / 5 - 1], axis=1)
t = (i % 7 + (i * i) % 11 + i % 3) // 6
y = X @ [1.5, -2] + np.sin(i)


def test_ridge_is_scikit_learns():
    model = ridge(X, y, 3.0)  # sklearn.linear_model.Ridge(alpha=3.0)
    assert np.allclose(model.W, [1.31063242, -1.66803716], atol=1e-8)
    assert np.isclose(model.b, 0.0923091520738209, rtol=1e-12)
    assert np.isclose(regression_scores(model(X), y)["r2"], 0.8159186731531524, rtol=1e-12)


def test_a_target_that_is_the_same_everywhere_has_no_r2():
    constant = np.full(10, 0.1)  # whose mean is not 0.1
    assert set(regression_scores(X[:10, 0], constant)) == {"mae", "rmse"}


def test_logistic_regression_is_scikit_learns():
    model = logistic(X, t, 3, penalty=0.5)  # sklearn.linear_model.LogisticRegression(C=2.0)
    W = [[-1.44633176, 0.06245492, 1.38387684], [-2.71191401, 0.23081687, 2.48109714]]
    assert np.allclose(model.W, W, atol=2e-5)
    P = probabilities(model(X))
    assert np.allclose(P[0], [8.42635121e-01, 1.56586973e-01, 7.77905956e-04], atol=1e-5)
    assert np.isclose(classification_scores(P, t)["log_loss"], 0.4346192628183914, atol=1e-7)


@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_logistic_regression_is_at_its_optimum(penalty):
    model = logistic(X, t, 3, penalty)
    difference = probabilities(model(X)) - np.eye(3)[t]
    assert np.abs(X.T @ difference + penalty * model.W).max() < 1e-4
    assert np.abs(difference.sum(axis=0)).max() < 1e-4


def test_baselines_are_learned_on_the_first_part_alone():
    parts = [slice(0, 24), slice(24, 32), slice(32, 40)]
    majority, linear = baselines([X[p] for p in parts], [t[p] for p in parts], 3)
    assert majority.outputs[0].tolist() == (np.bincount(t[:24], minlength=3) / 24).tolist()
    assert np.allclose(linear.outputs, probabilities(logistic(X[:24], t[:24], 3, linear.penalty)(X[32:])), atol=1e-4)
    changed = [y[:24], y[24:32], y[32:] + 1e6]
    mean, linear = baselines([X[p] for p in parts], changed, 0)
    assert mean.outputs.tolist() == [y[:24].mean()] * 8
    assert np.allclose(linear.outputs, ridge(X[:24], y[:24], linear.penalty)(X[32:]))


def test_auc_counts_pairs():
    score, label = np.round(np.sin(i * 1.7), 1), (i % 5 < 2).astype(int)
    assert auc(score, label) == 0.4921875  # sklearn.metrics.roc_auc_score
    pairs = score[label == 1][:, None] - score[label == 0]
    assert auc(score, label) == np.mean((pairs > 0) + 0.5 * (pairs == 0))


def test_scores_that_do_not_exist_are_left_out():
    assert "auc" not in classification_scores(np.array([[0.5, 0.5]]), np.array([0]))
    assert regression_scores(np.array([1.0, 2.0]), np.array([3.0, 3.0])) == {"mae": 1.5, "rmse": np.sqrt(2.5)}
    assert classification_scores(np.array([[1.0, 0.0]]), np.array([1]))["log_loss"] < 35


@pytest.mark.parametrize(("shift", "word"), [(-1.0, "is better"), (1.0, "is WORSE"), (0.0, "No clear difference")])
def test_the_verdict_is_honest(shift, word):
    noise = np.random.default_rng(0).normal(size=50)
    losses = {"network": {"e": 5 + shift + 0.1 * noise}, "ridge": {"e": 5 + 0 * noise}, "mean": {"e": 6 + 0 * noise}}
    said = verdict(losses)
    assert word in said
    assert "ridge" in said


def test_the_verdict_looks_at_probabilities_where_classes_are_equally_right():
    P, Q, label = np.array([[0.9, 0.1]] * 9), np.array([[0.6, 0.4]] * 9), np.zeros(9, int)
    said = verdict({"network": row_losses(Q, label, True), "majority": row_losses(P, label, True)})
    assert "WORSE" in said
    assert "log loss" in said


def test_influence_of_a_linear_model_is_its_weights():
    W = np.array([[1.0, -2.0, 0.5, 0.0], [3.0, 1.0, 0.5, 0.0], [0.0, 0.0, 0.5, 0.0]])
    model = nn.Linear(4, 3, np.float64)
    model.W = bprop.asarray(W)
    x = np.random.default_rng(0).normal(size=(30, 4)) * [1, 2, 3, 4]
    groups = {"a": slice(0, 1), "b": slice(1, 3), "d": slice(3, 4)}
    centred = (W - W.mean(axis=0)) * x.std(axis=0)
    expected = {name: np.sqrt((centred[:, place] ** 2).sum() / 3) for name, place in groups.items()}
    found = sensitivity(model, x, groups)
    assert list(found) == ["b", "a", "d"]
    assert all(np.isclose(found[name], expected[name], rtol=1e-12) for name in groups)
    assert found["d"] == 0


def test_influence_agrees_with_central_differences():
    generator = bprop.Generator(0)
    layers = nn.Linear(2, 5, np.float64, generator), nn.Tanh(), nn.Linear(5, 1, np.float64, generator)
    model = nn.Sequential(*layers)
    x = np.random.default_rng(1).normal(size=(20, 2))
    found = sensitivity(model, x, {"a": slice(0, 1), "b": slice(1, 2)}, scale=10.0)
    for name, step in (("a", np.array([1e-6, 0])), ("b", np.array([0, 1e-6]))):
        rise = (np.asarray(model(bprop.asarray(x + step))) - np.asarray(model(bprop.asarray(x - step)))) / 2e-6
        assert np.isclose(found[name], 10 * np.mean(np.abs(rise)) * x.std(axis=0)[step > 0], rtol=1e-7)


def test_bars_and_picture_take_any_name(tmp_path):
    values = {"$x^{$": 3.0, "名前" * 40: 2.0, **{f"column {k}": 0.0 for k in range(30)}}
    lines = bars(values, 60)
    assert max(map(len, lines)) <= 60
    assert lines[-1] == "… and 17 more"
    assert lines[0].count("█") > lines[1].count("█") > lines[2].count("█") == 0
    draw_influence(values, tmp_path / "i.png", "of $y_{")
    assert (tmp_path / "i.png").read_bytes().startswith(b"\x89PNG")
    assert bars({"a": 0.0}) != []
