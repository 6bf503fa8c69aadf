"""What a distribution of `bprop.scipy.stats` is: formulas of the standardised variable, with loc and scale around them."""

import inspect
from collections.abc import Callable
from math import inf, nan
from typing import Any

from ..core.dtype import result_type, to_float
from ..core.error import ArgumentError
from ..core.value import Array
from ..ops.exponential import exp, log, log1p
from ..ops.rounding import floor
from ..ops.selection import where
from ..ops.special_function import together

__all__ = ["Continuous", "Discrete", "Freezable"]

Formula = Callable[..., Any]


class Frozen:
    """A distribution with its parameters: its methods take the variable alone."""

    def __init__(self, distribution: "Freezable", args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.distribution = distribution
        self.args = args
        self.options = options

    def __getattr__(self, method: str) -> Callable[[Any], Array]:
        own = getattr(self.distribution, method)
        return lambda x: own(x, *self.args, **self.options)


class Freezable:
    """What may be called with parameters: ``norm(loc, scale).logpdf(x)`` is ``norm.logpdf(x, loc, scale)``.

    >>> import bprop
    >>> bprop.scipy.stats.norm(0.5, scale=2.0).logpdf(1.0)
    Array(-1.64333571)
    """

    def __call__(self, *args: Any, **options: Any) -> Frozen:
        return Frozen(self, args, options)


class Distribution(Freezable):
    """The methods that both kinds share. ``formulas``: functions of the variable and the shapes by the name of the method.

    ``support`` says where the formulas count; ``inside`` is a point of it, of which a distribution function is 0 or 1 on either
    side. Where ``valid`` says no to the shapes everything is NaN.
    """

    density: str
    parameters: tuple[tuple[str, float], ...]

    def __init__(
        self,
        name: str,
        shapes: str = "",
        *,
        support: Callable[..., Any],
        inside: float,
        valid: Callable[..., Any] | None = None,
        **formulas: Formula,
    ) -> None:
        self.name = name
        self.shapes = tuple(shapes.split())
        self.support = support
        self.inside = inside
        self.valid = valid
        self.formulas = formulas
        order = [inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        order += [inspect.Parameter(shape, inspect.Parameter.POSITIONAL_OR_KEYWORD) for shape in self.shapes]
        order += [
            inspect.Parameter(parameter, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
            for parameter, default in self.parameters
        ]
        self.signature = inspect.Signature(order)

    def __repr__(self) -> str:
        return f"<bprop.scipy.stats.{self.name}{self.signature}>"

    def _bound(self, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, list[Any], list[Any]]:
        """Return variable, shapes, and the rest of the parameters as arrays."""
        first = {"k": "x", "q": "x"}
        options = {
            first.get(key, key) if first.get(key) not in options else key: value for key, value in options.items()
        }
        try:
            bound = self.signature.bind(*args, **options)
        except TypeError as error:
            raise ArgumentError(f"{self.name}.{method}: {error}: it takes {self.signature}") from None
        bound.apply_defaults()
        values = together(f"{self.name}.{method}", *bound.arguments.values())
        count = 1 + len(self.shapes)
        return values[0], values[1:count], values[count:]

    def _refused(self, method: str) -> ArgumentError:
        return ArgumentError(
            f"{self.name}.{method} has no formula with a derivative; {self.name} has {', '.join(sorted(self.methods()))}"
        )

    def methods(self) -> list[str]:
        """Return the names of the methods that this distribution has formulas for."""
        own = {f"log{self.density}", self.density}
        for tail in ("cdf", "sf"):
            if tail in self.formulas or f"log{tail}" in self.formulas:
                own |= {tail, f"log{tail}"}
        return sorted(own | {method for method in ("ppf", "isf") if method in self.formulas})

    def _standard(self, x: Any, rest: list[Any]) -> tuple[Any, Any, Any]:
        """Return the standardised variable, what is subtracted from the log-density, and whether the rest is valid."""
        raise NotImplementedError

    def _evaluate(self, method: str, args: Any, options: Any, formula: Formula, outside: float, density: bool) -> Array:
        x, shapes, rest = self._bound(method, args, options)
        z, log_scale, valid = self._standard(x, rest)
        if self.valid is not None:
            valid = valid & self.valid(*shapes)
        if not density and method not in ("pdf", "pmf"):
            z = self._stepped(z)
        missing = (z != z) | ~valid
        supported = self.support(z, *shapes) | missing
        if outside == outside:  # a density: at infinity it is none of its terms that counts
            supported = supported & (abs(z) != inf)
        y = formula(z, *shapes)  # what `where` does not take has no derivative, so it may be infinite or NaN
        if density:
            y = y - log_scale
        # without a value there is no derivative either, so that NaN is a factor
        y = where(supported, y * where(missing, nan, 1).astype(y.dtype), self._beyond(z, outside, method))
        return y.astype(_dtype(x, *shapes, *rest))

    def _stepped(self, z: Any) -> Any:
        """Return the point of the support at which a distribution function last grew."""
        return z

    def _beyond(self, z: Any, outside: float, method: str) -> Any:
        """Return the value outside the support: of a distribution function it is another on either side."""
        if method.removeprefix("log") not in ("cdf", "sf"):
            return outside
        certain, impossible = (0.0, -inf) if method.startswith("log") else (1.0, 0.0)
        above, below = (certain, impossible) if method.endswith("cdf") else (impossible, certain)
        return where(z > self.inside, above, below)

    def _log_density(self, args: Any, options: Any) -> Array:
        method = f"log{self.density}"
        return self._evaluate(method, args, options, self.formulas[method], -inf, density=True)

    def _tail(self, method: str, args: Any, options: Any) -> Array:
        """Return cdf, sf or a logarithm of them, from the formula that there is."""
        return self._evaluate(method, args, options, self._tail_formula(method), nan, density=False)

    def _tail_formula(self, method: str) -> Formula:
        logarithm, tail = method.startswith("log"), method.removeprefix("log")
        if method in self.formulas:
            return self.formulas[method]
        if logarithm and tail in self.formulas:
            other = "sf" if tail == "cdf" else "cdf"
            there = other in self.formulas or f"log{other}" in self.formulas
            return _log_of(self.formulas[tail], self._tail_formula(other) if there else None)
        if not logarithm and f"log{tail}" in self.formulas:
            return _exp_of(self.formulas[f"log{tail}"])
        raise self._refused(method)

    def cdf(self, *args: Any, **options: Any) -> Array:
        """Return the distribution function at the first argument."""
        return self._tail("cdf", args, options)

    def logcdf(self, *args: Any, **options: Any) -> Array:
        """Return the logarithm of the distribution function."""
        return self._tail("logcdf", args, options)

    def sf(self, *args: Any, **options: Any) -> Array:
        """Return the survival function, 1 - cdf."""
        return self._tail("sf", args, options)

    def logsf(self, *args: Any, **options: Any) -> Array:
        """Return the logarithm of the survival function."""
        return self._tail("logsf", args, options)


def _dtype(*arguments: Any) -> Any:
    """Return the dtype of a result; a `where` of two Python numbers in a formula is float64."""
    return to_float(result_type(*(x.dtype for x in arguments)))


def _exp_of(own: Formula) -> Formula:
    def formula(z: Any, *shapes: Any) -> Any:
        return exp(own(z, *shapes))

    return formula


def _log_of(own: Formula, other: Formula | None) -> Formula:
    """Return the logarithm of a probability: where it is above a half from its complement, if that has a formula."""

    def formula(z: Any, *shapes: Any) -> Any:
        p = own(z, *shapes)
        if other is None:
            return log(p)
        rest = other(z, *shapes)
        return where(p < 0.5, log(where(p < 0.5, p, 1)), log1p(-where(p < 0.5, 0, rest)))

    return formula


class Continuous(Distribution):
    """A continuous distribution, with the parameters ``loc`` and ``scale``: the variable is (x - loc)/scale.

    >>> import bprop
    >>> bprop.scipy.stats.expon.logpdf(bprop.asarray([-1.0, 2.0]), scale=2.0)
    Array([       -inf, -1.69314718])
    """

    density = "pdf"
    parameters = (("loc", 0.0), ("scale", 1.0))

    def _standard(self, x: Any, rest: list[Any]) -> tuple[Any, Any, Any]:
        loc, scale = rest
        return (x - loc) / scale, log(scale), scale > 0

    def logpdf(self, *args: Any, **options: Any) -> Array:
        """Return the logarithm of the density, -∞ outside the support."""
        return self._log_density(args, options)

    def pdf(self, *args: Any, **options: Any) -> Array:
        """Return the density, 0 outside the support."""
        if "pdf" not in self.formulas:
            return exp(self._log_density(args, options))
        y = self._evaluate("pdf", args, options, self.formulas["pdf"], 0.0, density=False)
        _, _, (_, scale) = self._bound("pdf", args, options)
        return y / scale

    def _quantile(self, method: str, args: Any, options: Any) -> Array:
        if method not in self.formulas:
            raise self._refused(method)
        q, shapes, (loc, scale) = self._bound(method, args, options)
        valid = (scale > 0) & (q >= 0) & (q <= 1)
        if self.valid is not None:
            valid = valid & self.valid(*shapes)
        y = self.formulas[method](q, *shapes)
        y = loc + scale * y
        return (y * where(valid, 1, nan).astype(y.dtype)).astype(_dtype(q, *shapes, loc, scale))

    def ppf(self, *args: Any, **options: Any) -> Array:
        """Return the quantile, the inverse of `cdf`."""
        return self._quantile("ppf", args, options)

    def isf(self, *args: Any, **options: Any) -> Array:
        """Return the inverse of `sf`."""
        return self._quantile("isf", args, options)


class Discrete(Distribution):
    """A distribution of whole numbers, with the parameter ``loc``: the variable is k - loc.

    >>> import bprop
    >>> bprop.scipy.stats.poisson.logpmf(bprop.asarray([-1, 0, 2]), 0.5)
    Array([       -inf, -0.5       , -2.57944154])
    """

    density = "pmf"
    parameters = (("loc", 0.0),)

    def _standard(self, x: Any, rest: list[Any]) -> tuple[Any, Any, Any]:
        (loc,) = rest
        return x - loc, 0.0, x == x

    def _stepped(self, z: Any) -> Any:
        return floor(z)

    def logpmf(self, *args: Any, **options: Any) -> Array:
        """Return the logarithm of the probability, -∞ outside the support and between whole numbers."""
        return self._log_density(args, options)

    def pmf(self, *args: Any, **options: Any) -> Array:
        """Return the probability, 0 outside the support and between whole numbers."""
        return self._evaluate("pmf", args, options, self.formulas["pmf"], 0.0, density=False)
