"""AffineIndex arithmetic: a formula in normal form has the value of the integer arithmetic it stands for, at every position."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from bprop.compile.ir.affine_index import AffineIndex, flattened, variable
from support.profile import examples

SIZES = (3, 4, 1, 6)
POSITIONS = list(product(*map(range, SIZES)))


def evaluate(index, at):
    """Return the value at a position; every atom is looked at: it is below its size, and not below zero."""
    total = index.constant
    for atom, coefficient in index.terms.items():
        assert coefficient != 0
        if atom.kind == "loop":
            value = at[atom.detail]
        else:
            inner, divisor = atom.detail
            e = evaluate(inner, at)
            value = e // divisor if atom.kind == "quotient" else e % divisor
        assert 0 <= value < atom.size
        total += coefficient * value
    return total


NUMBERS = st.integers(-7, 7)
DIVISORS = st.integers(1, 12)
LEAVES = st.integers(0, 3).map(lambda n: (variable(n, SIZES[n]), lambda at: at[n]))


def larger(children):
    """Sums, products with numbers, quotients and remainders: (formula, what it means)."""

    def both(f):
        return lambda one, n: (f(one[0], n), lambda at: f(one[1](at), n))

    by_number = [
        (lambda e, n: e + n, NUMBERS), (lambda e, n: n + e, NUMBERS), (lambda e, n: e - n, NUMBERS),
        (lambda e, n: n - e, NUMBERS), (lambda e, n: e * n, NUMBERS), (lambda e, n: n * e, NUMBERS),
        (lambda e, n: e // n, DIVISORS), (lambda e, n: e % n, DIVISORS), (lambda e, n: e // n * n + e % n, DIVISORS),
    ]  # fmt: skip
    pairs = [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * 6 + b]
    return st.one_of(
        *(st.builds(both(f), children, numbers) for f, numbers in by_number),
        *(
            st.builds(lambda a, b, f=f: (f(a[0], b[0]), lambda at: f(a[1](at), b[1](at))), children, children)
            for f in pairs
        ),
        children.map(lambda one: (-one[0], lambda at: -one[1](at))),
    )


@examples(400)
@given(st.recursive(LEAVES, larger, max_leaves=6))
def test_formulas_mean_what_they_say(pair):
    index, meaning = pair
    values = [meaning(at) for at in POSITIONS]
    assert [evaluate(index, at) for at in POSITIONS] == values
    low, high = index.bounds()
    assert low <= min(values)
    assert max(values) <= high
    if index.linear():  # then every variable stands alone, and the bounds are reached
        assert (low, high) == (min(values), max(values))
    if not index.terms:
        assert set(values) == {index.constant}


@examples(100)
@given(st.recursive(LEAVES, larger, max_leaves=4), DIVISORS)
def test_quotient_and_remainder_make_the_whole_again(pair, n):
    index, _ = pair
    whole = index // n * n + index % n
    assert [evaluate(whole, at) for at in POSITIONS] == [evaluate(index, at) for at in POSITIONS]


def test_normal_forms():
    """What a reshape, a flip or a slice makes of positions is linear again wherever the ranges allow it."""
    i, j = variable(0, 3), variable(1, 4)
    flat = i * 4 + j
    assert (flat // 4, flat % 4) == (i, j)
    assert (flat // 6) * 6 + flat % 6 == flat
    assert flat % 6 + 6 * (flat // 6) == flat
    assert (3 * ((flat // 6) * 6 + flat % 6)).linear()
    assert (flat // 5 // 2, flat % 6 % 3) == (flat // 10, flat % 3)
    assert ((flat * 5) // 10, (flat * 5) % 10) == (flat // 2, flat % 2 * 5)
    assert ((2 * flat + 1) // 4, (2 * flat + 1) % 4) == (flat // 2, flat % 2 * 2 + 1)
    reverse = (2 - i) * 4 + (3 - j)
    assert (reverse // 4, reverse % 4) == (2 - i, 3 - j)
    assert ((reverse + 12) // 4, (reverse - 12) // 4) == (5 - i, -1 - i)
    assert flat // 12 == AffineIndex()
    assert flat % 12 == flat
    assert flat // 1 == flat
    assert flat % 1 == AffineIndex()
    assert (flat // 11).bounds() == (0, 1)
    assert (flat % 11).bounds() == (0, 10)
    assert not (flat // 6).linear()
    assert not (flat % 6).linear()
    assert i - i == AffineIndex()
    assert variable(0, 1) == AffineIndex()
    assert flat.coefficient(next(iter(i.terms))) == 4
    assert j.coefficient(next(iter(i.terms))) == 0
    assert (flat // 0, flat % 0) == (AffineIndex(), AffineIndex())  # an axis without entries: no loop over it runs
    assert flattened((i, j), (3, 4)) == flat
    assert flattened((), ()) == AffineIndex()
    assert AffineIndex(2) * i == i * AffineIndex(2) == 2 * i
    assert hash(i + j) == hash(j + i)
    assert (repr(flat), repr(AffineIndex()), repr(i - 1)) == ("4·i0 + i1", "0", "i0 + -1")
