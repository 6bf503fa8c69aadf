"""Record the values and derivatives of PyTorch's losses, as the oracle of test_pytorch.py.

In an environment with PyTorch (recorded with 2.13.0 on a CPU) run ``python tests/nn/record_loss.py``: it writes pytorch_loss.json
beside itself. A case names the loss and its options as bprop has them, the inputs, and what PyTorch makes of them in
float64: the value, and the derivatives by the inputs that have one. Classes are on the last axis.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch

F = torch.nn.functional
RNG = np.random.default_rng(30)


def normal(*shape, scale=1.5):
    return RNG.normal(size=shape) * scale


INPUTS = {
    "y": normal(6, 4),
    "t": normal(6, 4),
    "far": normal(6, 4, scale=1e4),
    "near": normal(6, 4, scale=1e-6),
    "labels": np.array([0, 3, 2, 2, 1, 0]),
    "probabilities": RNG.dirichlet(np.ones(4), size=6),
    "sparse": np.array([[0, 0.25, 0.75, 0], [1, 0, 0, 0]] * 3),
    "y3": normal(2, 3, 4),
    "labels3": np.array([[0, 2, 2], [1, 3, 2]]),
    "probabilities3": RNG.dirichlet(np.ones(4), size=(2, 3)),
    "signs": np.where(normal(6, 4) > 0, 1.0, -1.0),
    "pair_signs": np.array([1.0, -1, -1, 1, -1, 1]),
    "counts": RNG.poisson(2.0, size=(6, 4)).astype(float),
    "rates": RNG.uniform(0.1, 4, size=(6, 4)),
    "variance": np.where(normal(6, 4) > 1.5, 1e-9, RNG.uniform(0.1, 4, size=(6, 4))),
    "column": RNG.uniform(0.1, 4, size=(6, 1)),
    "anchor": normal(6, 4, scale=1),
    "positive": normal(6, 4, scale=1),
    "negative": normal(6, 4, scale=1),
    "weight": np.array([0.5, 2.0, 1.0, 0.25]),
}
INPUTS["log_y"] = np.log(RNG.dirichlet(np.ones(4), size=6))
INPUTS["log_t"] = np.log(INPUTS["probabilities"])
W = INPUTS["weight"].tolist()
CASES = []


def case(kind, function, inputs, variables=1, **options):
    """Record one loss on named inputs, of which the first ``variables``, or those listed, are differentiated."""
    places = range(variables) if isinstance(variables, int) else variables
    for reduction in ("mean", "sum", "none"):
        tensors = [torch.tensor(INPUTS[name]) for name in inputs]
        for place in places:
            tensors[place].requires_grad_(True)
        E = function(*tensors, reduction=reduction)
        E.sum().backward()
        CASES.append(
            {
                "kind": kind,
                "options": {"reduction": reduction, **options},
                "inputs": inputs,
                "value": E.detach().numpy().tolist(),
                "gradients": {place: tensors[place].grad.numpy().tolist() for place in places},
            }
        )


def last(function):
    """PyTorch has the classes on axis 1."""

    def moved(y, t, **options):
        return function(y.movedim(-1, 1), t.movedim(-1, 1) if t.shape == y.shape else t, **options)

    return moved


def tensor(weight):
    return None if weight is None else torch.tensor(weight, dtype=torch.float64)


for y in ("y", "far", "near"):
    case("MeanSquaredError", F.mse_loss, [y, "t"], 2)
    case("MeanAbsoluteError", F.l1_loss, [y, "t"], 2)
    for delta in (1.0, 0.3):
        case("Huber", lambda y, t, delta=delta, **o: F.huber_loss(y, t, delta=delta, **o), [y, "t"], 2, delta=delta)
    for beta in (1.0, 0.3, 0.0):
        case("SmoothL1", lambda y, t, beta=beta, **o: F.smooth_l1_loss(y, t, beta=beta, **o), [y, "t"], 2, beta=beta)
    case("BinaryCrossEntropy", F.binary_cross_entropy_with_logits, [y, "probabilities"], 2)

for y, labels in (("y", "labels"), ("far", "labels"), ("y3", "labels3")):
    for weight, smoothing, ignore in itertools.product((None, W), (0.0, 0.2), (None, 2)):
        function = last(
            lambda y, t, reduction, weight=weight, smoothing=smoothing, ignore=ignore: F.cross_entropy(
                y,
                t,
                weight=tensor(weight),
                label_smoothing=smoothing,
                ignore_index=-100 if ignore is None else ignore,
                reduction=reduction,
            )
        )
        case("CrossEntropy", function, [y, labels], weight=weight, label_smoothing=smoothing, ignore_index=ignore)
for y, p in (("y", "probabilities"), ("far", "probabilities"), ("y3", "probabilities3")):
    for weight, smoothing in itertools.product((None, W), (0.0, 0.2)):
        function = last(
            lambda y, t, reduction, weight=weight, smoothing=smoothing: F.cross_entropy(
                y, t, weight=tensor(weight), label_smoothing=smoothing, reduction=reduction
            )
        )
        case("CrossEntropy", function, [y, p], 2, weight=weight, label_smoothing=smoothing)
for weight, ignore in itertools.product((None, W), (None, 2)):
    function = lambda y, t, reduction, weight=weight, ignore=ignore: F.nll_loss(
        y, t, weight=tensor(weight), ignore_index=-100 if ignore is None else ignore, reduction=reduction
    )
    case("NegativeLogLikelihood", function, ["log_y", "labels"], weight=weight, ignore_index=ignore)
for y in ("y", "far"):
    for weight, p, margin in itertools.product((None, W), (1, 2), (1.0, 0.4)):
        function = lambda y, t, reduction, weight=weight, p=p, margin=margin: F.multi_margin_loss(
            y, t, p=p, margin=margin, weight=tensor(weight), reduction=reduction
        )
        case("MultiClassHinge", function, [y, "labels"], weight=weight, p=p, margin=margin)
case("SoftMargin", F.soft_margin_loss, ["y", "signs"])  # far from 0 it overflows


def divergence(y, t, reduction, log_target=False):
    return F.kl_div(y, t, log_target=log_target, reduction="batchmean" if reduction == "mean" else reduction)


case("KLDivergence", divergence, ["log_y", "probabilities"], 2)
case("KLDivergence", divergence, ["log_y", "sparse"])
case("KLDivergence", lambda y, t, **o: divergence(y, t, log_target=True, **o), ["log_y", "log_t"], 2, log_target=True)

for full in (False, True):
    case(
        "PoissonNLL", lambda y, t, full=full, **o: F.poisson_nll_loss(y, t, full=full, **o), ["y", "counts"], full=full
    )
    case(
        "PoissonNLL",
        lambda y, t, full=full, **o: F.poisson_nll_loss(y, t, log_input=False, full=full, eps=1e-3, **o),
        ["rates", "counts"],
        log_input=False,
        full=full,
        epsilon=1e-3,
    )
    for variance in ("variance", "column"):
        case(
            "GaussianNLL",
            lambda y, t, v, full=full, **o: F.gaussian_nll_loss(y, t, v, full=full, **o),
            ["y", "t", variance],
            (0, 1, 2),
            full=full,
        )

for margin in (0.0, 0.3):
    case(
        "CosineEmbedding",
        lambda a, b, t, margin=margin, **o: F.cosine_embedding_loss(a, b, t, margin=margin, **o),
        ["anchor", "positive", "pair_signs"],
        2,
        margin=margin,
    )
for p, swap in itertools.product((1.0, 2.0, 3.0), (False, True)):
    case(
        "TripletMargin",
        lambda a, b, c, p=p, swap=swap, **o: F.triplet_margin_loss(a, b, c, p=p, swap=swap, **o),
        ["anchor", "positive", "negative"],
        3,
        p=p,
        swap=swap,
    )

if __name__ == "__main__":
    record = {
        "torch": torch.__version__,
        "inputs": {name: value.tolist() for name, value in INPUTS.items()},
        "cases": CASES,
    }
    Path(__file__).with_name("pytorch_loss.json").write_text(json.dumps(record) + "\n")
