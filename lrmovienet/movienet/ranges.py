"""What MovieNet does not say of its numbers: whether ranges include their end, and frames a second.

Neither the documentation nor the files tell whether ``"shot": [60, 424]`` includes shot 424. Scenes
follow each other without a gap, so the next one's first shot gives it away. Times hang on frames by
a rate that is not stored either; stories carry both, so it can be fitted.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Range = tuple[int, int]
Point = tuple[int, float]
"""A frame and its time in seconds."""

KNOWN_FPS = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0)
SNAP = 3e-4
"""A fitted rate so near (relatively) to a known one is that one; 23.976 and 24 are 1e-3 apart."""
MAX_POINTS = 200


class Votes(NamedTuple):
    """How many pairs of neighbours speak for ranges that include their end, and for others."""

    inclusive: int = 0
    half_open: int = 0

    @property
    def answer(self) -> bool | None:
        """Whether the end is included; None where nothing or as much speaks for either."""
        if self.inclusive == self.half_open:
            return None
        return self.inclusive > self.half_open


def vote(ranges: Sequence[Range]) -> Votes:
    """Count neighbours, in the order of time, where one begins after the other's last or at it.

    A range whose ends are equal speaks for inclusion too: otherwise it would be empty.
    """
    inclusive = sum(first == last for first, last in ranges)
    half_open = 0
    for (_, last), (first, _) in itertools.pairwise(sorted(ranges)):
        inclusive += first == last + 1
        half_open += first == last
    return Votes(inclusive, half_open)


class FrameRate(NamedTuple):
    """time in seconds = frame / fps + offset_s, and how well that fits."""

    fps: float
    offset_s: float
    residual_s: float
    """The median distance of the points from the line."""
    worst_s: float
    """The largest distance."""
    points: int

    def seconds(self, frame: int) -> float:
        """The time of a frame, not before the film's beginning."""
        return max(0.0, frame / self.fps + self.offset_s)

    def frame(self, seconds: float) -> int:
        """The frame at a time, not before the first."""
        return max(0, round((seconds - self.offset_s) * self.fps))


def fit_fps(points: Sequence[Point]) -> FrameRate | None:
    """The line through frames and times: the weighted median of the slopes between all pairs.

    A median, because one story with a wrong time must not bend the film's clock; weighted by the
    pair's distance in frames, because near pairs say little. (Theil-Sen, as weighted by Jaeckel,
    Ann. Math. Stat. 43, 1972.)

    Returns:
        None where fewer than two frames differ or the rate would be none of a film (1 to 1000).
    """
    if len(points) > MAX_POINTS:
        points = [points[i * len(points) // MAX_POINTS] for i in range(MAX_POINTS)]
    frames = np.array([p[0] for p in points], dtype=np.float64)
    times = np.array([p[1] for p in points], dtype=np.float64)
    i, j = np.triu_indices(len(points), k=1)
    apart = frames[j] - frames[i]
    use = apart != 0
    if not use.any():
        return None
    slopes, weights = (times[j] - times[i])[use] / apart[use], np.abs(apart[use])
    order = np.argsort(slopes)
    middle = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    slope = float(slopes[order][middle])
    if not 1e-3 <= slope <= 1:
        return None
    fps = 1 / slope
    fps = next((known for known in KNOWN_FPS if abs(fps / known - 1) < SNAP), fps)
    offset_s = float(np.median(times - frames / fps))
    distances = np.abs(times - frames / fps - offset_s)
    return FrameRate(
        fps, offset_s, float(np.median(distances)), float(distances.max()), len(points)
    )
