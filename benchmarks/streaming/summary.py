"""What the measurements of `sli.py` come to: medians, a table, the figures that the contract asks for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from streaming.corpus import GROWING, MAIN, SHORT, Case, Size

STATES_AND_CODE, KEPT = 350 << 20, 2
OTHERS = ("accelerate", "airllm")
COLUMNS = ("case", "contender", "rounds", "seconds", "GB read", "peak MB", "over limit", "nexus is faster", "equal")


class Medians:
    """The measurements, summed up."""

    def __init__(self, rows: list[dict[str, Any]], size: int) -> None:
        self.rows, self.size = [row for row in rows if "failed" not in row], size
        self.failed = {(row["case"], row["contender"]): row["failed"] for row in rows if "failed" in row}

    def of(self, case: Case | None, name: str, figure: str) -> float:
        """The median of a figure; NaN where there is none."""
        values = [
            float(row[figure]) for row in self.rows
            if row["contender"] == name and figure in row and (case is None or row["case"] == case.name)
        ]  # fmt: skip
        return statistics.median(values) if values else float("nan")

    def limit(self, case: Case) -> float:
        """The larger of reading once and computing once, in seconds."""
        return worst((self.of(None, "disk", "seconds"), self.of(case, "compute", "compute_seconds")))

    def over(self, case: Case) -> float:
        """How many times the limit Nexus takes."""
        return self.of(case, "nexus", "seconds") / self.limit(case)

    def faster(self, case: Case, than: str) -> float:
        """How many times less time Nexus takes."""
        return self.of(case, than, "seconds") / self.of(case, "nexus", "seconds")


def table(medians: Medians, cases: Sequence[Case], contenders: Sequence[str]) -> list[list[Any]]:
    """A row for each case and contender."""
    rows = []
    for case in cases:
        for name in contenders:
            found = [row for row in medians.rows if row["contender"] == name and row["case"] == case.name]
            if not found:
                if why := medians.failed.get((case.name, name)):
                    rows.append([case.name, name, 0, "", "", "", "", "", f"failed: {why[-60:]!r}"])
                continue
            seconds = medians.of(case, name, "compute_seconds" if name == "compute" else "seconds")
            part = found[-1].get("measured_batches", "")
            rows.append([
                case.name, f"{name} ({part})" if part else name, len(found), f"{seconds:.1f}",
                f"{medians.of(case, name, 'bytes_read') / 1e9:.2f}",
                f"{medians.of(case, name, 'peak_bytes') / 1e6:.0f}", f"{seconds / medians.limit(case):.2f}",
                f"{medians.faster(case, name):.2f}", {True: "yes", False: "no"}.get(found[-1].get("equal"), ""),
            ])  # fmt: skip
    return rows


def figures(medians: Medians, cases: Sequence[Case], size: Size) -> dict[str, Any]:
    """What the contract asks for, and beside a speed-up what the limit itself would reach; None for what was not
    measured."""
    main = [case for case in cases if case not in GROWING and case != SHORT]
    ours = [row for row in medians.rows if row["contender"] == "nexus"]
    named = {case.name: case for case in cases}
    predicted = {
        case.name: statistics.median(row["predicted_seconds"] / row["seconds"] for row in found)
        for case in cases if (found := [row for row in ours if row["case"] == case.name and "predicted_seconds" in row])
    }  # fmt: skip
    found: dict[str, Any] = {
        "bit_equal": bool(ours) and all(row.get("equal", False) for row in ours),
        "bytes_read_ratio": max((row["file_bytes"] / medians.size for row in ours), default=math.nan),
        "wall_over_limit": worst(medians.over(case) for case in main),
        "wall_over_limit_by_case": {case.name: medians.over(case) for case in cases},
        "predicted_over_measured": max(predicted.values(), key=lambda each: abs(math.log(each)), default=math.nan),
        "predicted_over_measured_by_case": predicted,
        "peak_bytes": max((row["peak_bytes"] for row in ours), default=0),
        "peak_over_allowed": max(
            (row["peak_bytes"] / allowed(size, named[row["case"]]) for row in ours if row["case"] in named),
            default=math.nan,
        ),
    }
    for other in OTHERS:
        found[f"speedup_over_{other}"] = medians.faster(main[0], other) if main else math.nan
        found[f"speedup_over_{other}_4"] = medians.faster(MAIN[1], other)
        found[f"possible_over_{other}_4"] = medians.of(MAIN[1], other, "seconds") / medians.limit(MAIN[1])
    found["speedup_over_accelerate_short"] = medians.faster(SHORT, "accelerate")
    return known(found | growth(medians))  # type: ignore[no-any-return]


def allowed(size: Size, case: Case) -> int:
    """Bytes of memory that a corpus may take: two layers, the states that wait, 350 MB; and the two taps of all samples
    that the benchmark's own sink keeps."""
    layer = 2 * (2 * size.hidden**2 + 2 * size.hidden * (size.hidden // 4) + 3 * size.hidden * size.inner)
    states = 2 * size.hidden * case.samples * case.tokens
    return 2 * layer + STATES_AND_CODE + (1 + KEPT) * states


def growth(medians: Medians) -> dict[str, Any]:
    """The corpus at 1 x, 4 x and 16 x: what every further second of arithmetic costs in seconds of the clock (1:
    linear), and bytes read, which should not change."""
    seconds = [medians.of(case, "nexus", "seconds") for case in GROWING]
    compute = [medians.of(case, "compute", "compute_seconds") for case in GROWING]
    read = [medians.of(case, "nexus", "file_bytes") for case in GROWING]
    steps = range(1, len(GROWING))
    return {
        "growing_seconds": seconds, "growing_compute_seconds": compute, "growing_bytes": read,
        "growing_slopes": [
            (seconds[at] - seconds[at - 1]) / (compute[at] - compute[at - 1]) for at in steps
        ],
    }  # fmt: skip


def worst(values: Iterable[float]) -> float:
    """The largest; NaN where one is not known."""
    found = list(values)
    return float("nan") if any(math.isnan(each) for each in found) else max(found, default=float("nan"))


def known(value: Any) -> Any:
    """None for what was not measured: JSON has no NaN."""
    if isinstance(value, dict):
        return {name: known(each) for name, each in value.items()}
    if isinstance(value, list):
        return [known(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
