"""A recurrent cell over all steps of a sequence, in one direction, with backpropagation through time written by hand.

The share of x in the activations does not depend on the steps before, so it is one product for all steps, outside of
the loop; the loop adds h W_hᵀ. On the way back the loop gives the error derivatives ∂E/∂a_t of the activations of every
step, and those of the weights, Σ_t (∂E/∂a_t)ᵀ x_t and Σ_t (∂E/∂a_t)ᵀ h_{t-1}, are one product each over all steps and
examples.

Sequences of several lengths are marked by ``mask``, (T, N, 1): where it is False, the state stays as it is and y is 0.
With ``reverse`` the loop goes from the last step to the first.

**Source:** Werbos (1990), Backpropagation through time: what it does and how to do it.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from ..core.value import Array
from ..ops import concat, matmul, sigmoid, sum, tanh, where
from ..ops.sigmoidal import sech_squared
from ..region.scan import scan
from .linear import rows_of
from .recurrent_cell import GRUStep, LSTMStep, RecurrentStep, RNNStep, split_gates


class OverTime(RecurrentStep):
    """Base class: a cell over time. ``x``: (T, N, inputs); ``h0``: (N, hidden); ``mask``: (T, N, 1) or ``None``."""

    pytorch_names: ClassVar[dict[str, str]] = {}  # the layer that holds this one names the paths
    reverse = False

    def loop(
        self, step: Callable[..., Any], start: tuple[Any, ...], rows: tuple[Any, ...], mask: Any, back: bool
    ) -> Any:
        """Return the last carry and the stacked results of ``step(carry, rows, m)`` over the steps, or ``back`` over them.

        ``m`` says which examples the step is a part of; it is ``None`` where all are.
        """
        reverse = self.reverse != back
        if mask is None:
            return scan(lambda carry, row: step(carry, row, None), start, rows, reverse=reverse)
        return scan(lambda carry, row: step(carry, row[0], row[1]), start, (rows, mask), reverse=reverse)

    def outside_loop(self, x: Any) -> Array:
        """Return what the steps before have no part in, x W_xᵀ + b_x + b_h, for all steps."""
        a = self.activations_of_x(x)
        return a + self.b_h if self.has_bias else a

    def weight_gradients(self, x: Any, x_share_bar: Any, h_before: Any, h_share_bar: Any) -> Array:
        """Leave the gradients of weights and biases, and return x_bar.

        ``x_share_bar``, ``h_share_bar``: ∂E/∂(x W_xᵀ + b_x) and ∂E/∂(h W_hᵀ + b_h) of all steps, (T, N, gates · hidden).
        """
        over_x, over_h = rows_of(x_share_bar), rows_of(h_share_bar)
        self.W_x_bar = matmul(over_x.T, rows_of(x))  # Σ over steps and examples, in one product
        self.W_h_bar = matmul(over_h.T, rows_of(h_before))
        if self.has_bias:
            self.b_x_bar, self.b_h_bar = sum(over_x, axis=0), sum(over_h, axis=0)
        x_bar: Array = matmul(x_share_bar, self.W_x)
        return x_bar


def chosen(m: Any, new: Any, old: Any) -> Any:
    """Return ``new`` for the examples that the step is a part of, ``old`` for the others."""
    return new if m is None else where(m, new, old)


class RNNOverTime(OverTime, RNNStep):
    """h_t = tanh(a_t) or relu(a_t) with a_t = x_t W_xᵀ + b_x + h_{t-1} W_hᵀ + b_h, for t = 1, …, T; y_t = h_t."""

    result = ("y", "h")

    def fprop(self, x: Any, h0: Any, mask: Any) -> tuple[Array, Array]:
        def step(carry: Any, row: Any, m: Any) -> Any:
            (h,), (x_share,) = carry, row
            a = x_share + matmul(h, self.W_h.T)
            h_new = self.activate(a)
            return (chosen(m, h_new, h),), (chosen(m, h_new, 0), a, h)

        (h,), (y, a, h_before) = self.loop(step, (h0,), (self.outside_loop(x),), mask, back=False)
        self.keep(a=a, h_before=h_before)
        return y, h

    def bprop(self, y_bar: Any, h_bar: Any) -> Any:
        x, _, mask = self.inputs

        def step(carry: Any, row: Any, m: Any) -> Any:
            (h_bar,), (y_bar, a) = carry, row
            # h_t is used by y_t and by the step after it: ∂E/∂h_t is the sum. Then through the nonlinearity to a_t …
            a_bar = chosen(m, (y_bar + h_bar) * self.slope(a), 0)
            # … and by the weights to h_{t-1}, as in any layer
            return (chosen(m, matmul(a_bar, self.W_h), h_bar),), a_bar

        (h0_bar,), a_bar = self.loop(step, (h_bar,), (y_bar, self.a), mask, back=True)
        return self.weight_gradients(x, a_bar, self.h_before, a_bar), h0_bar

    def slope(self, a: Any) -> Array:
        """Return ∂h/∂a: 1 - tanh²a, or 1 where a > 0."""
        return sech_squared(a) if self.nonlinearity == "tanh" else where(a <= 0, 0, 1)


class LSTMOverTime(OverTime, LSTMStep):
    """c_t = f_t c_{t-1} + i_t g_t, h_t = o_t tanh c_t for t = 1, …, T, with the gates of `LSTMCell`; y_t = h_t."""

    result = ("y", "h", "c")

    def fprop(self, x: Any, h0: Any, c0: Any, mask: Any) -> tuple[Array, Array, Array]:
        def step(carry: Any, row: Any, m: Any) -> Any:
            (h, c), (x_share,) = carry, row
            a = x_share + matmul(h, self.W_h.T)
            h_new, c_new = self.step(a, c)
            return (chosen(m, h_new, h), chosen(m, c_new, c)), (chosen(m, h_new, 0), a, h, c)

        (h, c), (y, a, h_before, c_before) = self.loop(step, (h0, c0), (self.outside_loop(x),), mask, back=False)
        self.keep(a=a, h_before=h_before, c_before=c_before)
        return y, h, c

    def bprop(self, y_bar: Any, h_bar: Any, c_bar: Any) -> Any:
        x, _, _, mask = self.inputs

        def step(carry: Any, row: Any, m: Any) -> Any:
            (h_bar, c_bar), (y_bar, a, c_before) = carry, row
            a_i, a_f, a_g, a_o = split_gates(a, self.hidden)
            i, f, g, o = sigmoid(a_i), sigmoid(a_f), tanh(a_g), sigmoid(a_o)
            c = f * c_before + i * g
            # h_t is used by y_t and by the gates of the step after it: ∂E/∂h_t is the sum.
            h_t_bar = y_bar + h_bar
            # c_t is used by h_t = o tanh c_t and by c_{t+1} = f c_t + …, whose share is c_bar.
            c_t_bar = h_t_bar * o * sech_squared(c) + c_bar
            # c_t = f c_{t-1} + i g, and through the nonlinearities to the activations: σ' = σ(a) σ(-a), tanh' = 1 - tanh²a
            a_bar = concat(
                [
                    c_t_bar * g * i * sigmoid(-a_i),
                    c_t_bar * c_before * f * sigmoid(-a_f),
                    c_t_bar * i * sech_squared(a_g),
                    h_t_bar * tanh(c) * o * sigmoid(-a_o),
                ],
                axis=-1,
            )
            a_bar = chosen(m, a_bar, 0)
            # To the step before: by the weights to h_{t-1}; to c_{t-1} by the forget gate alone, the constant error carousel.
            return (chosen(m, matmul(a_bar, self.W_h), h_bar), chosen(m, c_t_bar * f, c_bar)), a_bar

        rows = y_bar, self.a, self.c_before
        (h0_bar, c0_bar), a_bar = self.loop(step, (h_bar, c_bar), rows, mask, back=True)
        return self.weight_gradients(x, a_bar, self.h_before, a_bar), h0_bar, c0_bar


class GRUOverTime(OverTime, GRUStep):
    """h_t = (1 - z_t) n_t + z_t h_{t-1} for t = 1, …, T, with the gates of `GRUCell`; y_t = h_t."""

    result = ("y", "h")

    def fprop(self, x: Any, h0: Any, mask: Any) -> tuple[Array, Array]:
        def step(carry: Any, row: Any, m: Any) -> Any:
            (h,), (x_share,) = carry, row
            h_share = self.activations_of_h(h)
            h_new, _ = self.step(x_share, h_share, h)
            return (chosen(m, h_new, h),), (chosen(m, h_new, 0), h_share, h)

        x_share = self.activations_of_x(x)
        (h,), (y, h_share, h_before) = self.loop(step, (h0,), (x_share,), mask, back=False)
        self.keep(x_share=x_share, h_share=h_share, h_before=h_before)
        return y, h

    def bprop(self, y_bar: Any, h_bar: Any) -> Any:
        x, _, mask = self.inputs

        def step(carry: Any, row: Any, m: Any) -> Any:
            (h_bar,), (y_bar, x_share, h_share, h) = carry, row
            (x_r, x_z, x_n), (h_r, h_z, h_n) = split_gates(x_share, self.hidden), split_gates(h_share, self.hidden)
            r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
            a_n = x_n + r * h_n
            h_t_bar = y_bar + h_bar  # of y_t and of the step after it
            # h_t = (1 - z) n + z h_{t-1}, and through the nonlinearities: σ' = σ(a) σ(-a), tanh' = 1 - tanh²a
            one_less_z = sigmoid(-(x_z + h_z))
            a_n_bar = h_t_bar * one_less_z * sech_squared(a_n)
            a_z_bar = h_t_bar * (h - tanh(a_n)) * z * one_less_z
            # a_n = x_n + r h_n: the reset gate gets its share by h_n, and h_n by the reset gate
            a_r_bar = a_n_bar * h_n * r * sigmoid(-(x_r + h_r))
            x_share_bar = chosen(m, concat([a_r_bar, a_z_bar, a_n_bar], axis=-1), 0)
            h_share_bar = chosen(m, concat([a_r_bar, a_z_bar, a_n_bar * r], axis=-1), 0)
            # To the step before: by the weights, and directly by the update gate.
            before = matmul(h_share_bar, self.W_h) + h_t_bar * z
            return (chosen(m, before, h_bar),), (x_share_bar, h_share_bar)

        rows = y_bar, self.x_share, self.h_share, self.h_before
        (h0_bar,), (x_share_bar, h_share_bar) = self.loop(step, (h_bar,), rows, mask, back=True)
        return self.weight_gradients(x, x_share_bar, self.h_before, h_share_bar), h0_bar


__all__ = ["GRUOverTime", "LSTMOverTime", "OverTime", "RNNOverTime"]
