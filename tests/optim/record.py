"""Record what PyTorch's optimizers, schedules and clipping do, as the oracle of test_pytorch.py.

In an environment with PyTorch (recorded with 2.13.0 on a CPU) run ``python tests/optim/record.py``: it writes
pytorch.json beside itself. The problem is a network of two layers with tanh on 12 examples, float64, 50 steps.
Numbers are written with the 17 digits that determine a float64.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.optim import lr_scheduler as scheduler

STEPS, SHOWN = 50, (1, 10, 50)
RNG = np.random.default_rng(20)
X = RNG.normal(size=(12, 3))
T = np.stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 1] * X[:, 2]], axis=1)
START = {
    "layers.0.W": RNG.normal(size=(4, 3)) * 0.7,
    "layers.0.b": RNG.normal(size=4) * 0.1,
    "layers.2.W": RNG.normal(size=(2, 4)) * 0.7,
    "layers.2.b": RNG.normal(size=2) * 0.1,
}
O = torch.optim

OPTIMIZERS = {
    "SGD": lambda p: O.SGD(p, 0.1),
    "SGD, weight decay": lambda p: O.SGD(p, 0.1, weight_decay=0.05),
    "SGD, momentum": lambda p: O.SGD(p, 0.05, momentum=0.9),
    "SGD, momentum, weight decay": lambda p: O.SGD(p, 0.05, momentum=0.9, weight_decay=0.05),
    "SGD, dampening": lambda p: O.SGD(p, 0.05, momentum=0.9, dampening=0.3, weight_decay=0.01),
    "Nesterov": lambda p: O.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "Nesterov, weight decay": lambda p: O.SGD(p, 0.05, momentum=0.8, nesterov=True, weight_decay=0.05),
    "Adagrad": lambda p: O.Adagrad(p, 0.1),
    "Adagrad, settings": lambda p: O.Adagrad(
        p, 0.1, lr_decay=0.05, weight_decay=0.02, initial_accumulator_value=0.1, eps=1e-3
    ),
    "RMSprop": lambda p: O.RMSprop(p, 0.01),
    "RMSprop, weight decay": lambda p: O.RMSprop(p, 0.01, alpha=0.9, eps=1e-4, weight_decay=0.05),
    "RMSprop, centered": lambda p: O.RMSprop(p, 0.01, alpha=0.9, centered=True),
    "RMSprop, momentum": lambda p: O.RMSprop(p, 0.005, momentum=0.8),
    "RMSprop, centered, momentum, weight decay": lambda p: O.RMSprop(
        p, 0.005, alpha=0.95, momentum=0.8, centered=True, weight_decay=0.01
    ),
    "Adam": lambda p: O.Adam(p, 0.05),
    "Adam, settings": lambda p: O.Adam(p, 0.05, betas=(0.7, 0.95), eps=1e-3),
    "Adam, weight decay": lambda p: O.Adam(p, 0.05, weight_decay=0.1),
    "Adam, amsgrad": lambda p: O.Adam(p, 0.05, betas=(0.9, 0.8), amsgrad=True),
    "AdamW": lambda p: O.AdamW(p, 0.05),
    "AdamW, settings": lambda p: O.AdamW(p, 0.05, betas=(0.7, 0.95), eps=1e-3, weight_decay=0.3),
    "AdamW, amsgrad": lambda p: O.AdamW(p, 0.05, weight_decay=0.3, betas=(0.9, 0.8), amsgrad=True),
    "groups": lambda p: O.AdamW(
        [
            {"params": [p[0]], "weight_decay": 0.3, "lr": 0.005},
            {"params": [p[2]], "weight_decay": 0.3},
            {"params": [p[1]], "weight_decay": 0.0, "lr": 0.005},
            {"params": [p[3]], "weight_decay": 0.0},
        ],
        0.05,
    ),
}
CLIPPED = {
    "clip_norm": (lambda p: O.SGD(p, 0.1, momentum=0.9), lambda p: torch.nn.utils.clip_grad_norm_(p, 0.2)),
    "clip_value": (lambda p: O.SGD(p, 0.1, momentum=0.9), lambda p: torch.nn.utils.clip_grad_value_(p, 0.05)),
}
SCHEDULES = {
    "Step": lambda o: scheduler.StepLR(o, 7, gamma=0.5),
    "MultiStep": lambda o: scheduler.MultiStepLR(o, [5, 12, 30], gamma=0.3),
    "Exponential": lambda o: scheduler.ExponentialLR(o, 0.93),
    "Cosine": lambda o: scheduler.CosineAnnealingLR(o, 49, eta_min=0.01),
    "CosineWarmRestarts": lambda o: scheduler.CosineAnnealingWarmRestarts(o, 6, T_mult=2, eta_min=0.01),
    "CosineWarmRestarts, equal": lambda o: scheduler.CosineAnnealingWarmRestarts(o, 7),
    "OneCycle": lambda o: scheduler.OneCycleLR(o, 0.3, total_steps=50, cycle_momentum=False),
    "OneCycle, settings": lambda o: scheduler.OneCycleLR(
        o, 0.3, total_steps=50, pct_start=0.45, div_factor=5, final_div_factor=100, cycle_momentum=False
    ),
    "Linear": lambda o: scheduler.LinearLR(o, 0.2, 0.9, total_iters=20),
    "Polynomial": lambda o: scheduler.PolynomialLR(o, 40, power=1.7),
    "WarmUp": lambda o: scheduler.SequentialLR(
        o,
        [scheduler.LinearLR(o, 0.25, 1.0, total_iters=10), scheduler.CosineAnnealingLR(o, 39)],
        milestones=[10],
    ),
    "InverseTime": lambda o: scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.1 * t)),
}
SEARCHES = {
    "LBFGS": {"lr": 1.0, "history_size": 10},
    "LBFGS, short history": {"lr": 0.7, "history_size": 3},
    "LBFGS, short first trials": {"lr": 0.01, "history_size": 10},
}


def parameters():
    return [torch.nn.Parameter(torch.tensor(value)) for value in START.values()]


def loss(p):
    """Mean over the examples of ½ |y - t|²."""
    h = torch.tanh(torch.tensor(X) @ p[0].T + p[1])
    y = h @ p[2].T + p[3]
    return 0.5 * ((y - torch.tensor(T)) ** 2).sum() / len(X)


def values(p):
    return [value.detach().numpy().tolist() for value in p]


def trajectory(make, clip=None):
    p = parameters()
    optimizer, shown, norms = make(p), {}, []
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        loss(p).backward()
        if clip is not None:
            norm = clip(p)
            norms += [] if norm is None else [float(norm)]
        optimizer.step()
        if step in SHOWN:
            shown[step] = values(p)
    return {"parameters": shown, **({"norms": norms} if norms else {})}


def rates(make):
    p = parameters()
    optimizer = O.SGD(p, 0.1)
    schedule, result = make(optimizer), []
    for _ in range(STEPS):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return result


def search(settings, steps=20):
    p = parameters()
    optimizer = O.LBFGS(p, max_iter=1, max_eval=100, line_search_fn="strong_wolfe", **settings)
    losses, shown = [], {}

    def closure():
        optimizer.zero_grad()
        E = loss(p)
        E.backward()
        return E

    for step in range(1, steps + 1):
        losses.append(optimizer.step(closure).item())
        if step in (1, 5, 10, 20):
            shown[step] = values(p)
    return {"parameters": shown, "losses": losses, "evaluations": optimizer.state[p[0]]["func_evals"]}


if __name__ == "__main__":
    record = {
        "torch": torch.__version__,
        "x": X.tolist(),
        "t": T.tolist(),
        "start": {path: value.tolist() for path, value in START.items()},
        "optimizers": {name: trajectory(make) for name, make in OPTIMIZERS.items()},
        "clipped": {name: trajectory(*one) for name, one in CLIPPED.items()},
        "rates": {name: rates(make) for name, make in SCHEDULES.items()},
        "searches": {name: search(settings) for name, settings in SEARCHES.items()},
    }
    Path(__file__).with_name("pytorch.json").write_text(json.dumps(record) + "\n")
