"""Numbers as they are told: medians of several runs, percentiles of one. Knows nothing of what was measured."""
import statistics

import numpy as np


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest of several runs."""
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3), "runs": len(values)}


def percentiles(ns: np.ndarray) -> dict[str, float]:
    """p50, p99, p99.9 and the worst, in microseconds, of latencies in nanoseconds."""
    if not len(ns):
        return {"p50_us": 0.0, "p99_us": 0.0, "p999_us": 0.0, "max_us": 0.0, "count": 0}
    p50, p99, p999, worst = (round(float(x) / 1e3, 1) for x in np.percentile(ns, (50, 99, 99.9, 100)))
    return {"p50_us": p50, "p99_us": p99, "p999_us": p999, "max_us": worst, "count": len(ns)}


def median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    """Field by field, the median of several runs' percentiles."""
    return {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}
