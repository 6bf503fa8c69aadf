"""PyTorch op by op: fused Adam, gradients set to None, parameters as `torch.nn.Linear` keeps them."""

from typing import Any

from ..workload import BETAS, EPSILON, RATE, Workload
from . import Training, installed


class Peer(Training):
    def __init__(self, workload: Workload, threads: int) -> None:
        self.torch = torch = installed("torch")
        torch.set_num_threads(threads)
        self.data = workload.data()
        activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}[workload.activation]
        self.layers = [torch.nn.Linear(*w.shape) for w in self.data.weights]
        between = [part for layer in self.layers[:-1] for part in (layer, activation())]
        self.model = torch.nn.Sequential(*between, self.layers[-1])
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), RATE, BETAS, EPSILON, fused=True)
        self.x, self.t = torch.tensor(self.data.x), torch.tensor(self.data.t)
        self.start()

    def start(self) -> None:
        torch = self.torch
        with torch.no_grad():
            for layer, w, b in zip(self.layers, self.data.weights, self.data.biases, strict=True):
                layer.weight.copy_(torch.tensor(w.T.copy()))
                layer.bias.copy_(torch.tensor(b))
            for slots in self.optimizer.state.values():
                for slot in slots.values():
                    slot.zero_()

    def call(self) -> Any:
        self.optimizer.zero_grad(set_to_none=True)
        E = self.loss(self.model(self.x), self.t)
        E.backward()
        self.optimizer.step()
        return E

    def losses(self, result: Any) -> list[float]:
        return [float(result.detach())]

    def version(self) -> str:
        return f"PyTorch {self.torch.__version__}"
