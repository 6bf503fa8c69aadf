"""NumPy's public functions, what bprop does with each, and the page that says so.

python tests/support/numpy_namespace.py > docs/numpy.md
"""

import numpy as np

from bprop.core.function import NUMPY, TRACED, declare_all
from bprop.core.nondifferentiable import INSTEAD, NONDIFFERENTIABLE

declare_all()

IN_PLACE = ("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask")
REFUSED = dict.fromkeys(IN_PLACE, "it writes into its first argument, and arrays never change")
"""What has no rule and would cut a derivative, and why. A rule takes a name from here."""

CEILING = 6
"""How many there are at most: this number only becomes smaller."""


def _public():
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name in dir(module):
            function = getattr(module, name)
            dispatched = isinstance(function, np.ufunc) or hasattr(function, "_implementation")
            if not name.startswith("_") and not isinstance(function, type) and dispatched:
                yield prefix + name, function


PUBLIC = dict(_public())
"""Every function that asks an array of another library what to do."""


def passes(function):
    return function in NONDIFFERENTIABLE


WITH_RULE = sorted(name for name, function in PUBLIC.items() if function in NUMPY and not passes(function))
PASSING = sorted(name for name, function in PUBLIC.items() if passes(function))
WITHOUT = sorted(name for name, function in PUBLIC.items() if function not in NUMPY and not passes(function))


def _listed(names):
    groups = {}
    for name in names:
        module, _, short = name.rpartition(".")
        groups.setdefault(module, []).append(f"`{short}`")
    return "\n\n".join(
        (f"`numpy.{module}`: " if module else "`numpy`: ") + ", ".join(shorts)
        for module, shorts in sorted(groups.items())
    )


def _reason(name):
    instead = INSTEAD.get(name)
    return f"| `{name}` | {REFUSED[name]} | {f'`{instead}`' if instead else ''} |"


def _names(functions):
    *others, last = sorted(f"`{function.__name__}`" for function in functions)
    return ", ".join(others) + " and " + last


def page():
    """Return the page as Markdown."""
    refused = "\n".join(map(_reason, sorted(set(WITHOUT) & set(REFUSED))))
    return f"""# NumPy's functions

Code that says `import numpy as np` differentiates as it stands. Of the {len(PUBLIC)} functions of `numpy`, `numpy.linalg` and
`numpy.fft` that ask an array what to do, **{len(WITH_RULE)} have a rule, {len(PASSING)} pass through and {len(WITHOUT)} are refused**. This page
is made from the tables of the library and compared with them by a test.

## With a rule: {len(WITH_RULE)}

In forward and reverse mode, of any order, in `vmap` and compiled, with NumPy's own parameters: names, positions and defaults.
The result is an `Array` of the dtype that NumPy gives. Of `out=` alone there is none inside a transform, since arrays never
change.

{_listed(WITH_RULE)}

What holds for them:

- NumPy's and SciPy's own code, which hands on to C what it gets, gets NumPy's result of an array without a derivative.
- An entry that is left out, by `where=`, by a condition or as NaN in a function of that name, has no derivative: 0 in a gradient,
  never NaN.
- Ties of the largest and the smallest share the derivative evenly, as in `bprop.max`; a norm and a standard deviation have the
  derivative 0 at 0.
- A quantile has the derivatives of the two entries it lies between, and that of q; by a method that returns an entry, of that entry.
- Where the shape of the result depends on numbers (`unique`, `trim_zeros`, `extract`, `polymul`, `polydiv`, `compress` with a computed
  condition), a function is for eager code and derivatives, and an error inside `compile` and `vmap` says what to write.
- `piecewise` hands a function the entries that are meant for it, as NumPy does; where which these are is not known, in `compile` and
  `vmap`, it hands it all of them: it has to work entry by entry.
- `partition` and `argpartition` return all entries in order, which is one of the orders that NumPy allows; `unique_values`, too.
- `order="A"` and `"K"` mean `"C"`: arrays have no order in memory.

## Passing through: {len(PASSING)}

What they return does not depend on the numbers, or only in steps. Inside a transform they see the numbers, and return what NumPy
returns. In `compile`, `trace` and `scan`, where there are none, {_names(TRACED)} are computed with ops; the others are an error
there that says what to write: `allclose` and `array_equal` answer Python, `argwhere` and `flatnonzero` have a shape that depends on
numbers.

{_listed(PASSING)}

## Refused: {len(WITHOUT)}

Inside a transform that differentiates they raise an error that says what to write; outside they return what NumPy returns.

| function | why | instead |
|---|---|---|
{refused}

## What asks no array

Some names of NumPy are no functions that ask an array what to do. Under differentiation `vectorize`, `ndenumerate`, `ndindex` and
`broadcast` go through the entries, and the derivative goes along. Refused by name are `nditer` (write `for entry in x.ravel()`, or
`for index, entry in numpy.ndenumerate(x)`), ufuncs of `frompyfunc` (write the function with NumPy's, or take `numpy.vectorize`) and
`fromiter` (write `bprop.stack(list(values))`).
"""


if __name__ == "__main__":
    print(page(), end="")
