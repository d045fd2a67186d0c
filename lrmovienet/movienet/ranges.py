"""What MovieNet does not say of its numbers: whether ranges include their end, and frames a second.

Neither the documentation nor the files tell whether ``"shot": [60, 424]`` includes shot 424. Scenes
follow each other without a gap, so the next one's first shot gives it away. Times hang on frames by
a rate that is not stored either; stories carry both, so it can be fitted.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
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
    """time in seconds = frame / fps + offset, and how well that fits."""

    fps: float
    start_offset_s: float
    """For the first frames of stories."""
    end_offset_s: float
    """For their last frames; some copies give the time at which the last frame goes."""
    residual_s: float
    """The median distance of the points from their line."""
    worst_s: float
    """The largest distance."""
    points: int

    def seconds(self, frames: Range) -> tuple[float, float]:
        """The times of a story's first and last frame, not before the film's beginning."""
        start_s = max(0.0, frames[0] / self.fps + self.start_offset_s)
        return start_s, max(start_s, frames[1] / self.fps + self.end_offset_s)

    def frames(self, seconds: tuple[float, float]) -> Range:
        """The first and last frame of a story at these times, not before the first."""
        first = max(0, round((seconds[0] - self.start_offset_s) * self.fps))
        return first, max(first, round((seconds[1] - self.end_offset_s) * self.fps))


def fit_fps(starts: Sequence[Point], ends: Sequence[Point] = ()) -> FrameRate | None:
    """The rate of two parallel lines, through the starts and through the ends of a film's stories.

    It is the weighted median of the slopes between all pairs of starts and all pairs of ends: a
    median, because one story with a wrong time must not bend the film's clock; weighted by the
    pair's distance in frames, because near pairs say little. (Theil-Sen, as weighted by Jaeckel,
    Ann. Math. Stat. 43, 1972.) Starts and ends are not paired, as it is not known whether an end's
    time is that of its last frame's beginning or end; only a film's single story leaves no other
    way, and then the one of the two counts that gives a known rate.

    Returns:
        None where no two frames differ or the rate would be none of a film (1 to 1000).
    """
    starts, ends = _thinned(starts), _thinned(ends)
    slopes, weights = _slopes([(starts, starts), (ends, ends)])
    if not len(slopes) and ends:
        for shift in (0, 1):
            slopes, weights = _slopes([(starts, [(f + shift, t) for f, t in ends])])
            if len(slopes) and _known(1 / slopes[0]):
                break
        else:
            slopes, weights = _slopes([(starts, ends)])
    if not len(slopes):
        return None
    order = np.argsort(slopes)
    middle = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    slope = float(slopes[order][middle])
    if not 1e-3 <= slope <= 1:
        return None
    fps = _known(1 / slope) or 1 / slope
    start_offset, start_distances = _line(starts, fps)
    end_offset, end_distances = _line(ends, fps) if ends else (start_offset, start_distances[:0])
    distances = np.concatenate([start_distances, end_distances])
    return FrameRate(
        fps, start_offset, end_offset, float(np.median(distances)), float(distances.max()),
        len(distances),
    )  # fmt: skip


def _thinned(points: Sequence[Point]) -> list[Point]:
    if len(points) <= MAX_POINTS:
        return list(points)
    return [points[i * len(points) // MAX_POINTS] for i in range(MAX_POINTS)]


def _slopes(pairs: Sequence[tuple[list[Point], list[Point]]]) -> tuple[Array, Array]:
    """Seconds a frame between points of the first and the second list, and frames in between."""
    slopes: list[Array] = [np.empty(0)]
    weights: list[Array] = [np.empty(0)]
    for first, second in pairs:
        frames = np.subtract.outer([f for f, _ in second], [f for f, _ in first]).ravel()
        seconds = np.subtract.outer([t for _, t in second], [t for _, t in first]).ravel()
        later = frames > 0
        slopes.append(seconds[later] / frames[later])
        weights.append(frames[later].astype(np.float64))
    return np.concatenate(slopes), np.concatenate(weights)


def _line(points: list[Point], fps: float) -> tuple[float, Array]:
    """The offset of the line of a rate through points, and their distances from it."""
    rests = np.array([t - f / fps for f, t in points])
    offset = float(np.median(rests))
    return offset, np.abs(rests - offset)


def _known(fps: float) -> float | None:
    return next((known for known in KNOWN_FPS if abs(fps / known - 1) < SNAP), None)
