"""JAX, the whole step jitted, parameters and moments donated, so that they are overwritten in place."""

from typing import Any

import numpy as np

from ..workload import BETAS, EPSILON, RATE, Workload
from . import Training, installed


class Peer(Training):
    def __init__(self, workload: Workload, threads: int) -> None:
        self.jax = jax = installed("jax")
        jax.config.update("jax_platforms", "cpu")
        jnp = installed("jax.numpy")
        self.data = workload.data()
        activation = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}[workload.activation]
        self.x, self.t = jnp.asarray(self.data.x), jnp.asarray(self.data.t.astype(np.int32))

        def objective(parameters: Any, x: Any, t: Any) -> Any:
            for W, b in parameters[:-1]:
                x = activation(x @ W + b)
            W, b = parameters[-1]
            y = jax.nn.log_softmax(x @ W + b)
            return -jnp.mean(jnp.take_along_axis(y, t[:, None], axis=1))

        def step(state: Any, x: Any, t: Any) -> Any:
            parameters, m, v, count = state
            E, g = jax.value_and_grad(objective)(parameters, x, t)
            count = count + 1
            rate, correction = RATE / (1 - BETAS[0] ** count), 1 / jnp.sqrt(1 - BETAS[1] ** count)
            m = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, m, g)
            v = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, v, g)
            parameters = jax.tree.map(
                lambda p, m, v: p - rate * m / (jnp.sqrt(v) * correction + EPSILON), parameters, m, v
            )
            return (parameters, m, v, count), E

        self.step = jax.jit(self.repeated(step), donate_argnums=0)
        self.start()

    def repeated(self, step: Any) -> Any:
        """Return the function that one call runs."""
        return step

    def start(self) -> None:
        jax = self.jax
        pairs = list(zip(self.data.weights, self.data.biases, strict=True))
        zeros = jax.tree.map(np.zeros_like, pairs)
        # copies: what is donated is given away, and JAX would else share NumPy's memory
        host = (pairs, zeros, zeros, np.float32(0))
        self.state = jax.block_until_ready(jax.tree.map(lambda one: jax.numpy.array(one, copy=True), host))

    def call(self) -> Any:
        self.state, E = self.step(self.state, self.x, self.t)
        return E

    def wait(self, result: Any) -> None:
        self.jax.block_until_ready((self.state, result))

    def losses(self, result: Any) -> list[float]:
        self.wait(result)
        if (made := self.step._cache_size()) != 1:
            raise RuntimeError(f"jax.jit made {made} programs of one step: it compiled again")
        return [float(one) for one in np.ravel(result)]

    def version(self) -> str:
        return f"JAX {self.jax.__version__}"
