"""Runs far above the others, by median and median absolute deviation: a rare spike moves neither."""

from collections.abc import Sequence

from jobmeter.model.statistics import median

# 1.4826 × MAD is the standard deviation where values are normal; 3.5 of them is the usual mark.
_SCALE, _MARK = 1.4826, 3.5
# Where runs are all but equal, a small step is no outlier; below so many nothing is usual yet.
_LEAST_SHARE, _LEAST_VALUES = 0.25, 5


def high_outliers(values: Sequence[float]) -> tuple[float, list[int]]:
    """The median, and the places of what is far above it; needs one value at least."""
    middle = median(values)
    spread = median([abs(each - middle) for each in values])
    mark = middle + max(_MARK * _SCALE * spread, _LEAST_SHARE * middle)
    far = [place for place, each in enumerate(values) if each > mark]
    return middle, far if len(values) >= _LEAST_VALUES else []
