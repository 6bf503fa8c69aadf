"""NumPy with its own BLAS, written out by hand, everything in place that can be: what the simplest way costs."""

from typing import Any

import numpy as np

from ..workload import BETAS, EPSILON, RATE, Workload
from . import Training, UnavailableError


class Peer(Training):
    def __init__(self, workload: Workload, threads: int) -> None:
        if workload.activation != "relu":
            raise UnavailableError("the hand-written step knows relu only")
        self.data = workload.data()
        self.rows = np.arange(workload.batch)
        self.start()

    def start(self) -> None:
        self.W = [w.copy() for w in self.data.weights]
        self.b = [b.copy() for b in self.data.biases]
        self.m = [np.zeros_like(p) for p in (*self.W, *self.b)]
        self.v = [np.zeros_like(p) for p in (*self.W, *self.b)]
        self.g = [np.empty_like(p) for p in (*self.W, *self.b)]
        self.count = 0

    def call(self) -> Any:
        W, b, (_, _, x, t) = self.W, self.b, self.data
        y = [x]
        for w, c in zip(W[:-1], b[:-1], strict=True):
            z = y[-1] @ w
            z += c
            y.append(np.maximum(z, 0, out=z))
        z = y[-1] @ W[-1]
        z += b[-1]
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        total = p.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - z[self.rows, t])
        p /= total
        p[self.rows, t] -= 1
        p /= np.float32(len(t))
        for layer in reversed(range(len(W))):
            np.matmul(y[layer].T, p, out=self.g[layer])
            np.sum(p, axis=0, out=self.g[len(W) + layer])
            if layer:
                p = p @ W[layer].T
                p *= y[layer] > 0
        self.count += 1
        rate = np.float32(RATE / (1 - BETAS[0] ** self.count))
        correction = np.float32(1 / np.sqrt(1 - BETAS[1] ** self.count))
        for w, g, m, v in zip((*W, *b), self.g, self.m, self.v, strict=True):
            m *= np.float32(BETAS[0])
            m += np.float32(1 - BETAS[0]) * g
            v *= np.float32(BETAS[1])
            g *= g
            g *= np.float32(1 - BETAS[1])
            v += g
            np.sqrt(v, out=g)
            g *= correction
            g += np.float32(EPSILON)
            np.divide(m, g, out=g)
            g *= rate
            w -= g
        return loss

    def losses(self, result: Any) -> list[float]:
        return [float(result)]

    def version(self) -> str:
        return f"NumPy {np.__version__}"
