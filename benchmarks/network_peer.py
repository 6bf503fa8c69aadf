"""The networks of `benchmarks.networks` by bprop, PyTorch and JAX: training steps, and the networks alone."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .in_turn import Call

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
STAGES = (
    (16, 16, 1),
    (16, 16, 1),
    (16, 16, 1),
    (16, 32, 2),
    (32, 32, 1),
    (32, 32, 1),
    (32, 64, 2),
    (64, 64, 1),
    (64, 64, 1),
)
"""Channels and stride of the blocks of ResNet-20."""


class Task(NamedTuple):
    """What is timed: a training step, or the network alone, on so many examples of the batch."""

    network: str
    training: bool = True
    examples: int | None = None

    @classmethod
    def read(cls, text: str) -> "Task":
        """Return the task that ``str`` wrote."""
        network, *rest = text.split()
        return cls(network, not rest, int(rest[1]) if len(rest) > 1 else None)

    def __str__(self) -> str:
        parts = [
            self.network,
            *["inference"] * (not self.training),
            *[str(self.examples)] * (self.examples is not None),
        ]
        return " ".join(parts)

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and labels."""
        x, t = batch(self.network)
        return x[: self.examples], t[: self.examples]


def batch(network: str) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels."""
    rng = np.random.default_rng(0)
    if network in ("lstm", "gpt"):
        shape = (32, 64) if network == "lstm" else (16, 64)
        return rng.integers(0, 64, shape), rng.integers(0, 64, shape)
    shape = (64, 1, 28, 28) if network == "lenet" else (32, 3, 32, 32)
    return rng.normal(size=shape).astype(np.float32), rng.integers(0, 10, shape[0])


# --- bprop: its weights are everybody's ---
def bprop_model(network: str) -> Any:
    """Return the network with the weights that all start with."""
    from bprop import nn

    seeds = iter(range(1000))
    if network == "lenet":
        return nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1, seed=next(seeds)), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1, seed=next(seeds)), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(3136, 128, seed=next(seeds)), nn.ReLU(), nn.Linear(128, 10, seed=next(seeds)),
        )  # fmt: skip
    if network == "lstm":
        return nn.Sequential(
            nn.Embedding(64, 256, seed=next(seeds)), nn.LSTM(256, 256, batch_first=True, seed=next(seeds)),
            nn.Linear(256, 64, seed=next(seeds)),
        )  # fmt: skip
    if network == "gpt":
        blocks = (
            nn.TransformerEncoderBlock(
                128,
                4,
                512,
                dropout=0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
                causal=True,
                seed=next(seeds),
            )
            for _ in range(4)
        )
        return nn.Sequential(
            nn.Embedding(64, 128, seed=next(seeds)), nn.LearnedPositions(64, 128, seed=next(seeds)), *blocks, nn.LayerNorm(128),
            nn.Linear(128, 64, seed=next(seeds)),
        )  # fmt: skip

    def normalised(inputs: int, outputs: int, size: int, stride: int) -> list[Any]:
        conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False, seed=next(seeds))
        return [conv, nn.BatchNorm2d(outputs)]

    layers = [*normalised(3, 16, 3, 1), nn.ReLU()]
    for inputs, outputs, stride in STAGES:
        body = [*normalised(inputs, outputs, 3, stride), nn.ReLU(), *normalised(outputs, outputs, 3, 1)]
        shortcut = {} if stride == 1 else {"shortcut": nn.Sequential(*normalised(inputs, outputs, 1, stride))}
        layers += [nn.Residual(nn.Sequential(*body), **shortcut), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10, seed=next(seeds)))


def weights(network: str) -> list[np.ndarray]:
    """Return the weights in the order of the layers, of a residual block the body first."""
    return [np.array(value) for value in bprop_model(network).parameters().values()]


def bprop_step(task: Task) -> Call:
    """Return a compiled step, as the README writes it, or the compiled network."""
    import bprop
    from bprop import nn, optim

    model, rule, loss = bprop_model(task.network), optim.Adam(RATE, (BETA1, BETA2), EPSILON), nn.CrossEntropy()
    x, t = task.batch()
    if not task.training:
        model.eval()
        forward = bprop.compile(lambda model, x: model(x))
        return lambda: [np.asarray(forward(model, x))]

    @bprop.compile
    def step(model: Any, rule: Any, x: Any, t: Any) -> Any:
        E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
        rule.update(model, gradients)
        return E

    return lambda: [np.asarray(step(model, rule, x, t))]


# --- PyTorch ---
def torch_step(task: Task, compiled: bool) -> Call:
    """Return a step that runs op by op or is ``compiled``, with fused Adam; or the network alone."""
    import torch
    from torch import nn

    network = task.network

    class Residual(nn.Module):
        def __init__(self, body: Any, shortcut: Any) -> None:
            super().__init__()
            self.body, self.shortcut = body, shortcut

        def forward(self, x: Any) -> Any:
            return self.body(x) + (x if self.shortcut is None else self.shortcut(x))

    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(64, 256), nn.LSTM(256, 256, batch_first=True)
            self.head = nn.Linear(256, 64)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.embedding(x))[0]).transpose(1, 2)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.joint, self.out, self.norm1 = nn.Linear(128, 384), nn.Linear(128, 128), nn.LayerNorm(128)
            self.wide, self.narrow, self.norm2 = nn.Linear(128, 512), nn.Linear(512, 128), nn.LayerNorm(128)

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = self.joint(self.norm1(x)).view(n, t, 3, 4, 32).permute(2, 0, 3, 1, 4)
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(n, t, 128))
            return x + self.narrow(nn.functional.gelu(self.wide(self.norm2(x))))

    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(64, 128), nn.Parameter(torch.zeros(64, 128))
            self.blocks = nn.Sequential(*(Block() for _ in range(4)))
            self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 64)

        def forward(self, x: Any) -> Any:
            return self.head(self.norm(self.blocks(self.tokens(x) + self.positions))).transpose(1, 2)

        def in_order(self) -> list[Any]:
            params = [self.tokens.weight, self.positions]
            for block in self.blocks:
                first, last = block.joint, block.out
                params += [first.weight, last.weight, first.bias, last.bias]
                params += [
                    p for part in (block.norm1, block.wide, block.narrow, block.norm2) for p in part.parameters()
                ]
            return [*params, *self.norm.parameters(), *self.head.parameters()]

    def normalised(inputs: int, outputs: int, size: int, stride: int) -> list[Any]:
        return [nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)]

    if network == "lenet":
        model: Any = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
        )  # fmt: skip
    elif network in ("lstm", "gpt"):
        model = Sequence() if network == "lstm" else Language()
    else:
        layers: list[Any] = [*normalised(3, 16, 3, 1), nn.ReLU()]
        for inputs, outputs, stride in STAGES:
            body = [*normalised(inputs, outputs, 3, stride), nn.ReLU(), *normalised(outputs, outputs, 3, 1)]
            shortcut = None if stride == 1 else nn.Sequential(*normalised(inputs, outputs, 1, stride))
            layers += [Residual(nn.Sequential(*body), shortcut), nn.ReLU()]
        model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        parameters = model.in_order() if network == "gpt" else model.parameters()
        for parameter, value in zip(parameters, weights(network), strict=True):
            parameter.copy_(torch.from_numpy(value))
    x, t = map(torch.from_numpy, task.batch())
    if x.ndim == 4:
        x, model = x.to(memory_format=torch.channels_last), model.to(memory_format=torch.channels_last)
    if compiled:
        if not any(map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))):
            raise RuntimeError("there is no C++ compiler for torch.compile")
        model = torch.compile(model)
    if not task.training:
        model.eval()

        def forward() -> list[np.ndarray]:
            with torch.inference_mode():
                y = model(x)
            return [(y.transpose(1, 2) if y.ndim == 3 else y).numpy()]

        return forward
    rule = torch.optim.Adam(model.parameters(), RATE, (BETA1, BETA2), EPSILON, fused=True)

    def step() -> list[np.ndarray]:
        rule.zero_grad(set_to_none=True)
        E = nn.functional.cross_entropy(model(x), t)
        E.backward()
        rule.step()
        return [E.detach().numpy()]

    return step


# --- JAX ---
def jax_forward(network: str, training: bool) -> Callable[[list[Any], Any], Any]:
    """Return the network as a function of the weights and a batch, images with the channels last.

    Not in ``training``, running statistics are those of the start.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    def conv(x: Any, W: Any, stride: int) -> Any:
        pad = W.shape[2] // 2
        return lax.conv_general_dilated(
            x, W, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=("NHWC", "OIHW", "NHWC")
        )

    def normalised(x: Any, take: Iterator[Any], stride: int) -> Any:
        x = conv(x, next(take), stride)
        mean, variance = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if training else (0.0, 1.0)
        return (x - mean) * lax.rsqrt(variance + 1e-5) * next(take) + next(take)

    def pool(x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def lenet(params: list[Any], x: Any) -> Any:
        take = iter(params)
        for _ in range(2):
            x = pool(jax.nn.relu(conv(x, next(take), 1) + next(take)))
        x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        x = jax.nn.relu(x @ next(take).T + next(take))
        return x @ next(take).T + next(take)

    def resnet(params: list[Any], x: Any) -> Any:
        take = iter(params)
        x = jax.nn.relu(normalised(x, take, 1))
        for _, _, stride in STAGES:
            y = normalised(jax.nn.relu(normalised(x, take, stride)), take, 1)
            x = jax.nn.relu(y + (x if stride == 1 else normalised(x, take, stride)))
        return x.mean((1, 2)) @ next(take).T + next(take)

    def lstm(params: list[Any], x: Any) -> Any:
        table, W_x, W_h, b_x, b_h, W, b = params
        inputs = (table[x] @ W_x.T + b_x + b_h).transpose(1, 0, 2)

        def turn(carry: Any, z: Any) -> Any:
            h, c = carry
            i, f, g, o = jnp.split(z + h @ W_h.T, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((x.shape[0], 256))
        return lax.scan(turn, (zeros, zeros), inputs)[1].transpose(1, 0, 2) @ W.T + b

    def layer_norm(x: Any, take: Iterator[Any]) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * next(take) + next(take)

    def gpt(params: list[Any], x: Any) -> Any:
        table, positions, *rest = params
        x, causal = table[x] + positions, jnp.tril(jnp.ones((64, 64), bool))
        for start in range(0, 48, 12):
            W_in, W_out, b_in, b_out, gamma1, beta1, W1, b1, W2, b2, gamma2, beta2 = rest[start : start + 12]
            z = layer_norm(x, iter((gamma1, beta1))) @ W_in.T + b_in
            q, k, v = z.reshape(*x.shape[:2], 3, 4, 32).transpose(2, 0, 3, 1, 4)
            scores = jnp.where(causal, q @ k.transpose(0, 1, 3, 2) / 32**0.5, -jnp.inf)
            y = (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(x.shape)
            x = x + y @ W_out.T + b_out
            x = x + jax.nn.gelu(layer_norm(x, iter((gamma2, beta2))) @ W1.T + b1, approximate=False) @ W2.T + b2
        return layer_norm(x, iter(rest[48:50])) @ rest[50].T + rest[51]

    return {"lenet": lenet, "resnet20": resnet, "lstm": lstm, "gpt": gpt}[network]


def jax_step(task: Task) -> Call:
    """Return the whole step jitted, parameters and moments donated; or the network alone."""
    import jax
    import jax.numpy as jnp

    forward = jax_forward(task.network, task.training)
    x, t = task.batch()
    x = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    params = [jnp.asarray(value) for value in weights(task.network)]
    if not task.training:
        apply, images = jax.jit(forward), jnp.asarray(x)
        return lambda: [np.asarray(apply(params, images))]

    def loss(params: list[Any], x: Any, t: Any) -> Any:
        scores = jax.nn.log_softmax(forward(params, x))
        return -jnp.take_along_axis(scores, t[..., None], -1).mean()

    def step(state: Any, x: Any, t: Any) -> Any:
        params, firsts, seconds, count = state
        E, bars = jax.value_and_grad(loss)(params, x, t)
        count = count + 1
        firsts = [BETA1 * m + (1 - BETA1) * bar for m, bar in zip(firsts, bars, strict=True)]
        seconds = [BETA2 * v + (1 - BETA2) * bar * bar for v, bar in zip(seconds, bars, strict=True)]
        new = [
            p - RATE * (m / (1 - BETA1**count)) / (jnp.sqrt(v / (1 - BETA2**count)) + EPSILON)
            for p, m, v in zip(params, firsts, seconds, strict=True)
        ]
        return (new, firsts, seconds, count), E

    jitted = jax.jit(step, donate_argnums=0)
    state = params, [jnp.zeros_like(p) for p in params], [jnp.zeros_like(p) for p in params], jnp.float32(0)
    x, t = jnp.asarray(x), jnp.asarray(t)

    def call() -> list[np.ndarray]:
        nonlocal state
        state, E = jitted(state, x, t)
        return [np.asarray(E)]

    return call


def build(peer: str, task: str) -> Call:
    """Return a task by a library."""
    read = Task.read(task)
    if peer in ("bprop", "jax"):
        return bprop_step(read) if peer == "bprop" else jax_step(read)
    return torch_step(read, peer == "torch-compile")
