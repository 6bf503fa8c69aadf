"""Records what PyTorch answers for attention and the blocks of transformers, in pytorch_attention.json beside this file.

Run it in an environment that has PyTorch (a CPU will do) and NumPy: ``python tests/nn/record_attention.py``. The tests only read
the file. Numbers are wave(shape, phase), so that they need not be stored.
"""

import json
from pathlib import Path

import numpy as np
import torch

COUNT, TOKENS, KEYS, WIDTH, HEADS = 2, 3, 4, 4, 2
CAUSAL = [[True, False, False], [True, True, False], [True, True, True]]
SOME = [[True, False, True, True], [False, True, False, True], [True, True, True, False]]
ADDED = [[0.5, -1.0, 0.25, 2.0], [0.0, "-inf", 1.0, 0.0], [-0.5, 0.75, 0.0, 0.1]]
ONES, TWOS = [[True, True, False], [True, True, True]], [[True, True, False, True], [False, True, True, True]]
# q, k, v: the shapes of F.scaled_dot_product_attention. True is "may attend" throughout.
PRODUCT = {
    "plain": {},
    "causal": {"causal": True},
    "more keys, causal": {"keys": 5, "causal": True},
    "fewer keys, causal": {"keys": 2, "causal": True},
    "scale": {"scale": 0.3},
    "mask": {"keys": 4, "mask": SOME},
    "a row of nothing": {"keys": 4, "mask": [SOME[0], [False] * 4, SOME[2]]},
    "added": {"keys": 4, "mask": ADDED},
}
ATTENTION = {
    "self": {},
    "self, batch first": {"batch_first": True},
    "no bias": {"bias": False},
    "causal": {"mask": CAUSAL},
    "key mask": {"key_mask": ONES, "batch_first": True},
    "one sequence": {"single": True},
    "cross": {"inputs": [WIDTH] * 3},
    "cross, masks": {"inputs": [WIDTH] * 3, "mask": SOME, "key_mask": TWOS},
    "cross, added": {"inputs": [WIDTH] * 3, "mask": ADDED, "batch_first": True},
    "memory": {"inputs": [WIDTH] * 2},
    "other widths": {"kdim": 3, "vdim": 5, "inputs": [WIDTH, 3, 5], "batch_first": True},
    "other widths, no bias": {"kdim": 3, "vdim": 5, "inputs": [WIDTH, 3, 5], "bias": False},
}
BLOCK = {
    "plain": {},
    "norm first": {"norm_first": True},
    "gelu, batch first": {"activation": "gelu", "batch_first": True},
    "no bias": {"bias": False},
    "causal": {"mask": CAUSAL, "norm_first": True},
    "key mask": {"key_mask": ONES},
    "one sequence": {"single": True, "layer_norm_eps": 0.1},
}


def wave(shape, phase):
    return np.sin(1.7 * np.arange(int(np.prod(shape))) + phase).reshape(shape)


def shape_of(length, width, options):
    shape = (COUNT, length, width) if options.get("batch_first") else (length, COUNT, width)
    return (length, width) if options.get("single") else shape


def tensors(shapes):
    return [torch.tensor(wave(shape, 0.5 + i), requires_grad=True) for i, shape in enumerate(shapes)]


def refused(mask):
    """A mask as PyTorch's layers take it: True where a query may not attend."""
    if mask is None or isinstance(mask[0][0], float):
        return None if mask is None else torch.tensor(np.array(mask, dtype=float))
    return ~torch.tensor(mask)


def answer(y, inputs, module=None):
    (y * torch.tensor(wave(tuple(y.shape), 20))).sum().backward()
    lists = {
        "y": y.detach().numpy(),
        "bars": [x.grad.numpy() for x in inputs],
        "parameters": {name: p.grad.numpy() for name, p in module.named_parameters()} if module else {},
    }
    return json.loads(json.dumps(lists, default=lambda array: array.tolist()))


def product(options):
    keys = options.get("keys", 3)
    inputs = tensors([(2, 2, 3, 4), (2, 2, keys, 4), (2, 2, keys, 5)])
    mask = options.get("mask")
    if mask is not None:
        mask = torch.tensor(mask) if isinstance(mask[0][0], bool) else torch.tensor(np.array(mask, dtype=float))
    causal = options.get("causal", False)
    y = torch.nn.functional.scaled_dot_product_attention(*inputs, mask, is_causal=causal, scale=options.get("scale"))
    return answer(y, inputs)


def filled(module):
    with torch.no_grad():
        for phase, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.tensor(wave(tuple(parameter.shape), phase)))
    return module


def layer(options):
    settings = {name: options[name] for name in ("bias", "kdim", "vdim", "batch_first") if name in options}
    module = filled(torch.nn.MultiheadAttention(WIDTH, HEADS, dtype=torch.float64, **settings))
    widths = options.get("inputs", [WIDTH])
    inputs = tensors([shape_of(TOKENS if i == 0 else KEYS, width, options) for i, width in enumerate(widths)])
    three = inputs * 3 if len(inputs) == 1 else [*inputs, inputs[-1]][:3]
    masks = {"attn_mask": refused(options.get("mask")), "key_padding_mask": refused(options.get("key_mask"))}
    return answer(module(*three, need_weights=False, **masks)[0], inputs, module)


def block(kind, options):
    settings = {
        name: options[name]
        for name in ("norm_first", "activation", "batch_first", "bias", "layer_norm_eps")
        if name in options
    }
    module = getattr(torch.nn, kind)(WIDTH, HEADS, 6, 0.0, dtype=torch.float64, **settings)
    filled(module)
    mask, keys = refused(options.get("mask")), refused(options.get("key_mask"))
    if "Encoder" in kind:
        inputs = tensors([shape_of(TOKENS, WIDTH, options)])
        return answer(module(*inputs, src_mask=mask, src_key_padding_mask=keys), inputs, module)
    inputs = tensors([shape_of(TOKENS, WIDTH, options), shape_of(KEYS, WIDTH, options)])
    return answer(module(*inputs, tgt_mask=mask, tgt_key_padding_mask=keys, memory_mask=refused(SOME)), inputs, module)


def cases():
    for name, options in PRODUCT.items():
        yield f"attention; {name}", options, product(options)
    for name, options in ATTENTION.items():
        yield f"MultiHeadAttention; {name}", options, layer(options)
    for kind in ("Encoder", "Decoder"):
        for name, options in BLOCK.items():
            yield f"Transformer{kind}Block; {name}", options, block(f"Transformer{kind}Layer", options)


if __name__ == "__main__":
    answers = {name: {"options": options, **numbers} for name, options, numbers in cases()}
    content = {"torch": torch.__version__.partition("+")[0], "cases": answers}
    Path(__file__).with_name("pytorch_attention.json").write_text(
        json.dumps(content, indent=None).replace('}}, "', '}},\n"') + "\n"
    )
