"""bprop: the step of the README under ``bprop.compile``."""

from typing import Any

from ..workload import BETAS, EPSILON, RATE, Workload
from . import Training


class Peer(Training):
    def __init__(self, workload: Workload, threads: int) -> None:
        import bprop
        from bprop import nn, optim

        self.bprop = bprop
        if hasattr(bprop, "set_threads"):
            bprop.set_threads(threads)
        self.data = workload.data()
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[workload.activation]
        self.layers = [nn.Linear(*w.shape) for w in self.data.weights]
        between = [part for layer in self.layers[:-1] for part in (layer, activation())]
        self.model = nn.Sequential(*between, self.layers[-1])
        self.loss = nn.CrossEntropy()
        self.optimizer = optim.Adam(RATE, BETAS, EPSILON)
        self.optimizer.init(self.model)
        self.numbers = {path: cell.read() for path, cell in self.optimizer.cells().items() if cell.array.size == 1}
        self.x, self.t = bprop.asarray(self.data.x), bprop.asarray(self.data.t)
        loss = self.loss

        @bprop.compile
        def step(model: Any, optimizer: Any, x: Any, t: Any) -> Any:
            E, gradients = bprop.value_and_grad(lambda m: loss(m(x), t))(model)
            optimizer.update(model, gradients)
            return E

        self.step = step
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
