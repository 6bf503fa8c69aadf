"""bprop: the step of the README under ``bprop.compile``."""

from typing import Any

from ..step import training
from ..workload import BETAS, EPSILON, RATE, Workload
from . import Training


class Peer(Training):
    def __init__(self, workload: Workload, threads: int) -> None:
        import bprop
        from bprop import optim

        self.bprop = bprop
        bprop.set_threads(threads)
        self.data = workload.data()
        activation = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}[workload.activation]
        rule = optim.Adam(RATE, BETAS, EPSILON)
        self.step, self.model, self.optimizer = training(workload.sizes, activation, rule)
        self.layers = self.model.layers[::2]
        self.numbers = {path: cell.read() for path, cell in self.optimizer.cells().items() if cell.array.size == 1}
        self.x, self.t = bprop.asarray(self.data.x), bprop.asarray(self.data.t)
        self.start()

    def start(self) -> None:
        for layer, w, b in zip(self.layers, self.data.weights, self.data.biases, strict=True):
            layer.W, layer.b = self.bprop.asarray(w.T.copy()), self.bprop.asarray(b.copy())
        for path, cell in self.optimizer.cells().items():
            known = self.numbers.get(path)  # the learning rate and the count; the rest are moments, and start at zero
            cell.write(self.bprop.zeros_like(cell.array) if known is None else known)

    def call(self) -> Any:
        return self.step(self.model, self.optimizer, self.x, self.t)

    def losses(self, result: Any) -> list[float]:
        return [float(result)]

    def version(self) -> str:
        return f"bprop {self.bprop.__version__}"
