"""What belongs to `fit` alone in the record, and losses, models and metrics that return what they cannot."""

from functools import partial

import numpy as np
import pytest

import bprop
from bprop import nn, optim
from bprop.train import Callback, EarlyStopping, evaluate, fit
from support.training import LINE, fit_line

fit_validated = partial(fit_line, validation=(LINE, LINE))


# --- names ---
@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ({"loss": lambda y, t: 0.0}, "no metric is called 'loss'"),
        ([lambda y, t: 0.0, lambda y, t: 1.0], "two metrics are called '<lambda>'"),
        (["mae", "mae"], "two metrics are called 'mae'"),
        ({3: "mae"}, "the name of a metric is a text, not 3"),
        ({"": "mae"}, "the name of a metric is a text, not ''"),
    ],
)
def test_names_that_no_metric_may_have(metrics, text, tmp_path):
    with pytest.raises(bprop.ArgumentError, match=f"fit: {text}"):
        fit_validated(metrics=metrics, out=tmp_path / "run", early_stopping=EarlyStopping())
    with pytest.raises(bprop.ArgumentError, match=f"evaluate: {text}"):
        evaluate(nn.Linear(1, 1), nn.SquaredError(), (LINE, LINE), metrics)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name", ["epoch", "train_loss", "validation_loss", "validation_mae", "learning_rate", "seconds"]
)
@pytest.mark.parametrize("how", ["change", "remove"])
def test_callbacks_leave_what_was_measured(name, how):
    class Meddling(Callback):
        def on_epoch(self, run, entry):
            if how == "change":
                entry[name] = 0.125
            else:
                del entry[name]

    with pytest.raises(bprop.ArgumentError, match=f"the callback Meddling changed '{name}' in the record"):
        fit_validated(metrics=["mae"], callbacks=[Meddling()])


def test_reserved_names_are_so_where_nothing_was_measured():
    def own(run, entry):
        entry["validation_loss"] = 0.0

    with pytest.raises(bprop.ArgumentError, match=r"callback .*own changed 'validation_loss'"):
        fit(
            nn.Linear(1, 1), nn.SquaredError(), optim.SGD(0.01), (LINE, LINE), epochs=1, progress=False, callbacks=[own]
        )
    for key in (3, ""):
        with pytest.raises(bprop.ArgumentError, match="names in a record are texts"):
            fit_validated(callbacks=[lambda run, entry, key=key: entry.update({key: 1.0})])
    assert fit_validated(callbacks=[lambda run, entry: entry.update(mine=1.0)]).history[0]["mine"] == 1.0


# --- what is returned ---
LOSSES = {
    "None": (lambda y, t: None, "returned None: end it with `return`"),
    "float": (lambda y, t: float(bprop.mean(y)), "a number of type float, which no derivative leads to"),
    "int": (lambda y, t: 1, "a number of type int, which no derivative"),
    "bool": (lambda y, t: True, "a number of type bool, which no derivative"),
    "complex": (lambda y, t: 1j, "is complex128, which has no derivative"),
    "text": (lambda y, t: "a", "returned str, not an array"),
    "tuple": (lambda y, t: (bprop.mean(y), y), "returned a tuple of 2, not one scalar"),
    "mapping": (lambda y, t: {"a": bprop.mean(y)}, "returned dict, not an array"),
    "NumPy": (lambda y, t: np.mean(np.asarray(y)), "a number of type float32, which no derivative"),
    "ndarray": (lambda y, t: np.asarray(bprop.mean(y)), "a number of type ndarray, which no derivative"),
    "vector": (lambda y, t: y - t, r"has shape \(8, 1\); it is a scalar"),
    "one entry": (lambda y, t: bprop.sum(y, keepdims=True), r"has shape \(1, 1\); it is a scalar"),
    "integer array": (lambda y, t: bprop.asarray(3), "is int64, which has no derivative"),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_is_none(name, compiled):
    loss, text = LOSSES[name]
    with pytest.raises(bprop.BpropError, match=f"fit: train data: the loss .*{text}"):
        fit_validated(loss, compiled=compiled)


@pytest.mark.parametrize("transform", [bprop.grad, bprop.value_and_grad, lambda f: bprop.compile(bprop.grad(f))])
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "ndarray"])  # under a transform that is one value
def test_gradients_of_what_is_no_loss(name, transform):
    with pytest.raises(bprop.BpropError, match="grad of "):
        transform(lambda y: LOSSES[name][0](y * 1, LINE))(bprop.asarray(LINE))


@pytest.mark.parametrize("result", [None, "a", {"a": 1}])
def test_evaluations_of_what_is_no_loss_and_models_of_no_output(result):
    class Wrong(nn.Module):
        def __init__(self):
            self.w = nn.parameter(np.ones(1, np.float32))

        def fprop(self, x):
            return result

    with pytest.raises(bprop.ArgumentError, match=r"the loss .* returned"):
        evaluate(nn.Linear(1, 1), lambda y, t: result, (LINE, LINE))
    with pytest.raises(bprop.ArgumentError, match=r"the model \(Wrong\.fprop\) returned"):
        fit_validated(model=Wrong())
    with pytest.raises(bprop.ArgumentError, match=r"metric 'own' of outputs .* returned"):
        fit_validated(metrics={"own": lambda y, t: result})


def test_a_complex_loss_is_named():
    with pytest.raises(bprop.DTypeError, match=r"the loss .* is complex128"):
        evaluate(nn.Linear(1, 1), lambda y, t: 1j, (LINE, LINE))


@pytest.mark.parametrize("value", [np.complex64(1), np.ones(3), (1.0, 2.0), b"1", 10**400, np.array("1"), {1}])
def test_metrics_that_are_no_number(value):
    with pytest.raises(bprop.ArgumentError, match=r"metric 'own' of outputs .* returned .*, not a number"):
        fit_validated(metrics={"own": lambda y, t: value})
