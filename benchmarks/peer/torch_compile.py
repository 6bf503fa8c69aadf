"""PyTorch's compiler on the whole step, update included: one graph, called through C++.

``torch.compile`` of a step with ``backward()`` and ``optimizer.step()`` breaks into three graphs and was three times
slower on the smallest workload; the same with Inductor's Python wrapper, twice. So gradients come from `torch.func`, Adam is
written out, parameters change in place, and the wrapper is C++. ``fullgraph`` makes a break an error.
"""

import shutil
from typing import Any

from ..workload import BETAS, EPSILON, RATE, Workload
from . import Training, UnavailableError, installed


class Peer(Training):
    def __init__(self, workload: Workload, threads: int) -> None:
        if not any(map(shutil.which, ("g++", "clang++"))):
            raise UnavailableError("torch.compile needs a C++ compiler, and neither g++ nor clang++ is here")
        self.torch = torch = installed("torch")
        torch.set_num_threads(threads)
        installed("torch._inductor.config").cpp_wrapper = True
        self.data = workload.data()
        activation = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}[workload.activation]
        linear, cross_entropy = torch.nn.functional.linear, torch.nn.functional.cross_entropy
        self.parameters = [
            made
            for w, b in zip(self.data.weights, self.data.biases, strict=True)
            for made in (torch.empty(w.shape[::-1]), torch.empty(b.shape))
        ]
        self.m, self.v = ([torch.zeros_like(p) for p in self.parameters] for _ in range(2))
        self.count = torch.zeros(())
        self.x, self.t = torch.tensor(self.data.x), torch.tensor(self.data.t)

        def objective(parameters: Any, x: Any, t: Any) -> Any:
            *hidden, W, b = parameters
            for V, c in zip(hidden[::2], hidden[1::2], strict=True):
                x = activation(linear(x, V, c))
            return cross_entropy(linear(x, W, b), t)

        def step(parameters: Any, first: Any, second: Any, count: Any, x: Any, t: Any) -> Any:
            gradients, E = torch.func.grad_and_value(objective)(parameters, x, t)
            count.add_(1)
            rate, correction = RATE / (1 - BETAS[0] ** count), torch.rsqrt(1 - BETAS[1] ** count)
            for p, m, v, g in zip(parameters, first, second, gradients, strict=True):
                m.mul_(BETAS[0]).add_(g, alpha=1 - BETAS[0])
                v.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
                p.sub_(rate * m / (v.sqrt() * correction + EPSILON))
            return E

        self.step = torch.compile(step, fullgraph=True, dynamic=False)
        self.start()

    def start(self) -> None:
        torch = self.torch
        for p, q in zip(self.parameters[::2], self.data.weights, strict=True):
            p.copy_(torch.tensor(q.T.copy()))
        for p, q in zip(self.parameters[1::2], self.data.biases, strict=True):
            p.copy_(torch.tensor(q))
        for one in (*self.m, *self.v, self.count):
            one.zero_()

    def call(self) -> Any:
        return self.step(self.parameters, self.m, self.v, self.count, self.x, self.t)

    def losses(self, result: Any) -> list[float]:
        made = installed("torch._dynamo.utils").counters["stats"]["unique_graphs"]
        if made != 1:
            raise RuntimeError(f"torch.compile made {made} graphs of one step: it compiled again, or broke it")
        return [float(result)]

    def version(self) -> str:
        return f"PyTorch {self.torch.__version__}"
