"""Records what PyTorch answers for the recurrent layers and cells of bprop.nn, in pytorch_recurrent.json beside this file.

Run it in an environment that has PyTorch (a CPU will do) and NumPy: ``python tests/nn/record_recurrent.py``. The tests only read
the file. Numbers are wave(shape, phase), so that they need not be stored.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

STEPS, COUNT, INPUTS, HIDDEN = 4, 3, 3, 2
KINDS = {"RNN": {}, "RNN, relu": {"nonlinearity": "relu"}, "LSTM": {}, "GRU": {}}
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "layers": {"num_layers": 2},
    "both directions": {"bidirectional": True},
    "batch first": {"batch_first": True, "num_layers": 2, "bidirectional": True},
    "lengths": {"lengths": [4, 1, 3]},
    "lengths, all": {"lengths": [2, 4, 1], "batch_first": True, "num_layers": 2, "bidirectional": True},
    "one sequence": {"one": True, "num_layers": 2, "bidirectional": True},
    "state": {"state": True},
    "state, all": {"state": True, "lengths": [2, 4, 1], "num_layers": 2, "bidirectional": True},
}


def wave(shape, phase):
    return np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape)


def record(kind, options):
    """Return output, last state, and gradients of sum(y · wave) + sum(state · wave)."""
    options = {**KINDS.get(kind, {}), **options}
    lengths, state, single = (options.pop(name, None) for name in ("lengths", "state", "one"))
    module = getattr(torch.nn, kind.partition(",")[0])(INPUTS, HIDDEN, dtype=torch.float64, **options)
    with torch.no_grad():
        for phase, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.tensor(wave(tuple(parameter.shape), phase)))
    shape = (COUNT, STEPS, INPUTS) if options.get("batch_first") else (STEPS, COUNT, INPUTS)
    if single:
        shape = (STEPS, INPUTS)
    if "Cell" in kind:
        shape = (COUNT, INPUTS)
    x = torch.tensor(wave(shape, 0.5), requires_grad=True)
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    state_shape = (rows, COUNT, HIDDEN) if "Cell" not in kind else (COUNT, HIDDEN)
    starts = [torch.tensor(wave(state_shape, phase), requires_grad=True) for phase in (10, 11)][: 1 + ("LSTM" in kind)]
    inputs = [x if lengths is None else pack_padded_sequence(x, lengths, options.get("batch_first", False), False)]
    if state:
        inputs.append(tuple(starts) if "LSTM" in kind else starts[0])
    y = module(*inputs)
    results = list(y) if isinstance(y, tuple) else [y]
    if lengths is not None:
        results[0] = pad_packed_sequence(results[0], options.get("batch_first", False))[0]
    results = [leaf for result in results for leaf in (result if isinstance(result, tuple) else (result,))]
    sum((result * torch.tensor(wave(tuple(result.shape), 20 + i))).sum() for i, result in enumerate(results)).backward()
    lists = {
        "results": [result.detach().numpy() for result in results],
        "bars": [x.grad.numpy(), *(start.grad.numpy() for start in starts if state)],
        "parameters": {name: parameter.grad.numpy() for name, parameter in module.named_parameters()},
    }
    return json.loads(json.dumps(lists, default=lambda array: array.tolist()))


def cases():
    for kind in KINDS:
        for name, options in OPTIONS.items():
            yield f"{kind}; {name}", kind, options
    for kind in ("RNNCell", "LSTMCell", "GRUCell"):
        for name, options in (("plain", {}), ("state", {"state": True}), ("no bias", {"bias": False})):
            yield f"{kind}; {name}", kind, options


if __name__ == "__main__":
    answers = {name: {"kind": kind, "options": options, **record(kind, options)} for name, kind, options in cases()}
    content = {"torch": torch.__version__.partition("+")[0], "cases": answers}
    Path(__file__).with_name("pytorch_recurrent.json").write_text(
        json.dumps(content, indent=None).replace('}}, "', '}},\n"') + "\n"
    )
