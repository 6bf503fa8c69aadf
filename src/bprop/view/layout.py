"""Where the boxes and arrows of a graph are: ranks and order from the order of computation, then coordinates.

A box stands one rank below the last of its operands; an input stands one rank above its first use. An arrow that
passes ranks goes through a slot in each of them, so that it runs round the boxes there; arrows from one box share slots. The order within a rank follows
the order of computation and, where crossings decide, the mean position of the neighbours; the same graph always gives the
same coordinates.

**Source:** Sugiyama, Tagawa & Toda (1981), Methods for visual understanding of hierarchical system structures.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import NamedTuple

GAP, RANK_GAP, MARGIN = 28.0, 46.0, 16.0
SLOTS = 20_000
"""Slots beyond which arrows run straight."""
SLOT = 14.0
"""Width of the slot in which an arrow passes a rank."""


class Size(NamedTuple):
    """Width and height of a box."""

    width: float
    height: float


class Layout(NamedTuple):
    """The centre of every box, the points of every arrow from its tail to its head, and the size of the whole."""

    centres: list[tuple[float, float]]
    arrows: list[list[tuple[float, float]]]
    width: float
    height: float


def layout(sizes: Sequence[Size], operands: Sequence[Sequence[int]]) -> Layout:
    """Return coordinates for boxes of these sizes; ``operands`` are for each box the boxes it is computed from.

    Boxes are in order of computation, inputs first. There is one arrow for each operand, in that order.

    >>> from bprop.view.layout import Size, layout
    >>> box = Size(40, 20)
    >>> layout([box, box, box], [[], [], [0, 1]]).centres
    [(36.0, 26.0), (104.0, 26.0), (70.0, 92.0)]
    """
    ranks = _ranks(operands)
    graph = _Ranked(sizes, operands, ranks)
    graph.sort()
    xs = graph.coordinates()
    heights = [0.0] * len(graph.rows)
    for item, row in enumerate(graph.rank):
        heights[row] = max(heights[row], graph.sizes[item].height)
    ys, y = [], MARGIN
    for height in heights:
        ys.append(y + height / 2)
        y += height + RANK_GAP
    left = min((xs[item] - graph.sizes[item].width / 2 for item in range(len(xs))), default=0.0) - MARGIN
    right = max((xs[item] + graph.sizes[item].width / 2 for item in range(len(xs))), default=0.0) + MARGIN
    points = [(round(x - left, 1), round(ys[graph.rank[item]], 1)) for item, x in enumerate(xs)]
    arrows = [
        _route([points[item] for item in chain], graph, chain, port, heights)
        for chain, port in zip(graph.chains, graph.ports(), strict=True)
    ]
    return Layout(points[: len(sizes)], arrows, round(right - left, 1), round(y - RANK_GAP + MARGIN, 1))


def _ranks(operands: Sequence[Sequence[int]]) -> list[int]:
    ranks = [0] * len(operands)
    for box, sources in enumerate(operands):
        ranks[box] = 1 + max((ranks[source] for source in sources), default=-1)
    first_use: dict[int, int] = {}
    for box, sources in enumerate(operands):
        for source in sources:
            first_use[source] = min(first_use.get(source, ranks[box]), ranks[box])
    return [
        first_use[box] - 1 if not sources and box in first_use else ranks[box] for box, sources in enumerate(operands)
    ]


class _Ranked:
    """The boxes and the slots of passing arrows, rank by rank."""

    def __init__(self, sizes: Sequence[Size], operands: Sequence[Sequence[int]], ranks: Sequence[int]) -> None:
        self.sizes = list(sizes)
        self.rank = list(ranks)
        self.above: list[list[int]] = [[] for _ in sizes]
        self.below: list[list[int]] = [[] for _ in sizes]
        self.chains: list[list[int]] = []
        self.slots: dict[tuple[int, int], int] = {}  # by box and rank
        last = {source: ranks[box] for box, sources in enumerate(operands) for source in sources}
        self.is_routed = sum(row - ranks[source] for source, row in last.items()) < SLOTS
        self.first_arrow: dict[int, int] = {}
        for box, sources in enumerate(operands):
            self.first_arrow[box] = len(self.chains)
            for source in sources:
                self._join(source, box)
        self.rows: list[list[int]] = [[] for _ in range(max(self.rank, default=-1) + 1)]
        for item, row in enumerate(self.rank):
            self.rows[row].append(item)

    def _join(self, source: int, box: int) -> None:
        chain = [source]
        for row in range(self.rank[source] + 1, self.rank[box]) if self.is_routed else ():
            slot = self.slots.get((source, row))
            if slot is None:
                slot = self.slots[source, row] = len(self.sizes)
                self.sizes.append(Size(SLOT, 0.0))
                self.rank.append(row)
                self.above.append([chain[-1]])
                self.below.append([])
                self.below[chain[-1]].append(slot)
            chain.append(slot)
        self.above[box].append(chain[-1])
        self.below[chain[-1]].append(box)
        self.chains.append([*chain, box])

    def sort(self) -> None:
        """Order every rank by the mean position of the neighbours above, then below, and keep the best order."""
        best, fewest = [list(row) for row in self.rows], self.crossings()
        for sweep in range(6):
            rows = self.rows if sweep % 2 == 0 else self.rows[::-1]
            neighbours = self.above if sweep % 2 == 0 else self.below
            at = self._places()
            for row in rows:
                centre = {
                    item: sum(at[n] for n in neighbours[item]) / len(neighbours[item]) if neighbours[item] else at[item]
                    for item in row
                }
                row.sort(key=lambda item, centre=centre, at=at: (centre[item], at[item]))  # type: ignore[misc]
                for number, item in enumerate(row):
                    at[item] = (number + 0.5) / len(row)
            crossings = self.crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _places(self) -> list[float]:
        places = [0.0] * len(self.sizes)
        for row in self.rows:
            for number, item in enumerate(row):
                places[item] = (number + 0.5) / len(row)
        return places

    def crossings(self) -> int:
        """Return how many pairs of arrows cross between neighbouring ranks."""
        places, total = self._places(), 0
        for row in self.rows[:-1]:
            ends = [(places[item], places[other]) for item in row for other in self.below[item]]
            ends.sort()
            seen: list[float] = []
            for _, end in ends:
                total += len(seen) - bisect_right(seen, end)
                insort(seen, end)
        return total

    def coordinates(self) -> list[float]:
        """Return the horizontal centre of every item: near its neighbours, and no two too close."""
        xs = [0.0] * len(self.sizes)
        for row in self.rows:
            x = 0.0
            for item in row:
                xs[item] = x + self.sizes[item].width / 2
                x += self.sizes[item].width + GAP
        widest = max((xs[row[-1]] + self.sizes[row[-1]].width / 2 for row in self.rows if row), default=0.0)
        for row in self.rows:
            shift = (widest - xs[row[-1]] - self.sizes[row[-1]].width / 2) / 2
            for item in row:
                xs[item] += shift
        for sweep in range(8):
            rows = self.rows if sweep % 2 == 0 else self.rows[::-1]
            neighbours = self.above if sweep % 2 == 0 else self.below
            for row in rows:
                wish = [
                    sum(xs[n] for n in neighbours[item]) / len(neighbours[item]) if neighbours[item] else xs[item]
                    for item in row
                ]
                for item, x in zip(row, self._apart(row, wish), strict=True):
                    xs[item] = x
        return xs

    def ports(self) -> list[float]:
        """Return where each arrow ends at its head, from the middle: side by side, in the order in which they come in."""
        places, ports = self._places(), list[float]()
        for chain in self.chains:
            box, before = chain[-1], len(ports)
            sources = self.above[box]
            first = before - self.first_arrow[box]  # which of the box's arrows this is
            order = sorted(range(len(sources)), key=lambda number, sources=sources: (places[sources[number]], number))  # type: ignore[misc]
            step = min(40.0, (self.sizes[box].width - 24) / max(1, len(sources)))
            ports.append(step * (order.index(first) - (len(sources) - 1) / 2))
        return ports

    def _apart(self, row: Sequence[int], wish: Sequence[float]) -> list[float]:
        """Return the places nearest to the wishes, in least squares, that keep order and distance: pool adjacent violators."""
        offsets, offset = [], 0.0
        for number, item in enumerate(row):
            if number:
                offset += (self.sizes[row[number - 1]].width + self.sizes[item].width) / 2 + GAP
            offsets.append(offset)
        blocks: list[tuple[float, int]] = []  # mean, how many
        for x, offset in zip(wish, offsets, strict=True):
            mean, count = x - offset, 1
            while blocks and blocks[-1][0] > mean:
                other, size = blocks.pop()
                mean, count = (mean * count + other * size) / (count + size), count + size
            blocks.append((mean, count))
        bases = [mean for mean, count in blocks for _ in range(count)]
        return [base + offset for base, offset in zip(bases, offsets, strict=True)]


def _route(
    points: list[tuple[float, float]], graph: _Ranked, chain: Sequence[int], port: float, heights: Sequence[float]
) -> list[tuple[float, float]]:
    """Return the points of an arrow: from the lower edge of its tail through its slots to its port at the head."""
    (x, y), (head_x, head_y) = points[0], points[-1]
    middle: list[tuple[float, float]] = []
    for item, (slot_x, slot_y) in zip(chain[1:-1], points[1:-1], strict=True):
        half = heights[graph.rank[item]] / 2
        middle += [(slot_x, round(slot_y - half, 1)), (slot_x, round(slot_y + half, 1))]
    start = (x, round(y + graph.sizes[chain[0]].height / 2, 1))
    return [start, *middle, (round(head_x + port, 1), round(head_y - graph.sizes[chain[-1]].height / 2, 1))]


__all__ = ["Layout", "Size", "layout"]
