"""What was measured as text: one table per workload and comparison, and how bprop stands in each."""

from .measurement import Measured, Row
from .peer import LOOP, STEP

OURS = "bprop"


def text(measured: Measured, threads: int) -> str:
    """Return both comparisons of one workload."""
    workload = measured.workload
    lines = [
        f"{workload.name}, batch {workload.batch}, {workload.activation}: {workload.parameters:,} parameters, "
        f"{workload.flops / 1e6:,.1f} Mflop per step; peak {measured.peak:.0f} GFLOP/s on {threads} "
        f"thread{'s'[: threads > 1]} (spread {measured.peak_spread:.0%})"
    ]
    eager = next((row for row in measured.rows if row.peer == "torch"), None)
    for comparison in (STEP, LOOP):
        rows = [row for row in measured.rows if row.comparison == comparison]
        if not rows:
            continue
        title = comparison + " (16 steps a call)" * (comparison == LOOP)
        again = "" if all(row.cached_s is None for row in rows) else "cached"
        lines.append(
            f"  {title:34} {'µs/step':>10} {'spread':>7} {'fastest':>9} {'GFLOP/s':>8} {'of peak':>8} "
            f"{'first step s':>13} {again:>8} {'RSS MB':>7}"
        )
        lines += map(_line, sorted(rows, key=lambda row: row.us_per_step))
        lines += [f"  {one}" for one in standing(rows, eager)]
    return "\n".join(lines)


def _line(row: Row) -> str:
    cached = "" if row.cached_s is None else f"{row.cached_s:.2f}"
    return (
        f"    {row.peer:14} {row.version[:17]:17} {row.us_per_step:10.1f} {row.spread:7.0%} {row.fastest_us:9.1f} "
        f"{row.gflops:8.1f} {row.share_of_peak:8.1%} {row.compile_s:13.2f} {cached:>8} {row.peak_rss_mb:7.0f}"
    )


def standing(rows: list[Row], eager: Row | None) -> list[str]:
    """Return how many times as fast as others bprop's row is: as the best peer, PyTorch op by op, and changed peers."""
    ours = next((row for row in rows if row.peer.startswith(OURS)), None)
    others = [row for row in rows if row is not ours]
    if ours is None:
        return []
    against: dict[str, Row] = {}
    if installed := [row for row in others if not row.changed]:
        best = min(installed, key=lambda row: row.us_per_step)
        against[f"the best peer as installed ({best.peer})"] = best
    if eager is not None:
        against["PyTorch op by op (torch)"] = eager
    against |= {f"{row.peer}, which is not as installed": row for row in others if row.changed}
    return [
        f"{ours.peer} is {row.us_per_step / ours.us_per_step:.2f} times as fast as {name}"
        for name, row in against.items()
    ]
