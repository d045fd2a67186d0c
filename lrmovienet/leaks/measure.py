"""What two splits of a release share: films, clips, labels, descriptions and frames."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lrmovienet.errors import UserError
from lrmovienet.leaks.near import Pairs, alike, near_texts
from lrmovienet.release.layout import Release
from lrmovienet.schema import SPLITS

EXAMPLES = 10
Ids = set[str]


def measure(
    release: Release, near: float, bits: int, hashes: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """Compare all pairs of splits.

    Args:
        release: what to look at.
        near: smallest share of common word triples at which two descriptions are the same.
        bits: most bits of 64 in which the perceptual hashes of two frames that look alike differ.
        hashes: reference of a keyframe -> its perceptual hash in hexadecimal, where frames were
            read now; otherwise those of the release count.

    Returns:
        ``splits`` with the size of each, and ``shared``: for each two splits, of which the second
        is the one further from training, how many of the second's films, clips and label classes
        are in the first, too; how many of its clips have a description that is nearly the same as
        that of another clip of the first; and how many of its frames are shown, or look alike one
        that is shown, by another clip of the first. With the first ten examples of each kind.

    Raises:
        UserError: a file of the release is missing or damaged.
    """
    rows = release.read("relevance", columns=["clip_id", "split", "label", "movie_id"]).to_pylist()
    clips = release.read("clips", columns=["clip_id", "description", "keyframes"]).to_pylist()
    lost = sorted({row["clip_id"] for row in rows} - {clip["clip_id"] for clip in clips})
    if lost:
        raise UserError(
            f"{release.root}: {len(lost)} clips of relevance are not in clips, such as {lost[0]}. "
            "Get the release again, or build it again."
        )
    sets: dict[str, dict[str, Ids]] = {
        split: {"films": set(), "clips": set(), "classes": set()} for split in SPLITS
    }
    for row in rows:
        mine = sets[row["split"]]
        mine["films"].add(row["movie_id"])
        mine["clips"].add(row["clip_id"])
        mine["classes"].add(row["label"])
    texts = _texts(clips, near)
    equal, looks = _frames(clips, hashes, bits)
    kinds = {"descriptions": texts, "frames_equal": equal, "frames_alike": looks}
    there = [split for split in SPLITS if sets[split]["clips"]]
    shown = {c["clip_id"]: {k["sha256"] for k in c["keyframes"]} for c in clips}
    sizes = {}
    for split in there:
        sizes[split] = {name: len(ids) for name, ids in sets[split].items()}
        sizes[split]["frames"] = len(set().union(*(shown[c] for c in sets[split]["clips"])))
    shared = []
    for a, b in combinations(there, 2):
        found: dict[str, Any] = {"splits": [a, b]}
        for name in ("films", "clips", "classes"):
            both = sorted(sets[a][name] & sets[b][name])
            found[name] = {"shared": len(both), "examples": both[:EXAMPLES]}
        for name, groups in kinds.items():
            pairs = groups.across(sets[a]["clips"], sets[b]["clips"])
            found[name] = {"shared": len(pairs), "examples": pairs[:EXAMPLES]}
        shared.append(found)
    return {
        "near": near,
        "bits": bits,
        "frames": len(equal.units),
        "frames_hashed": len(looks.units),
        "splits": sizes,
        "shared": shared,
    }


@dataclass(frozen=True)
class _Groups:
    """Things (descriptions, frames) that clips show, those that are the same in one group."""

    units: dict[str, tuple[int, Ids]]
    """Name of a thing -> its group, the clips that show it."""
    n_groups: int
    near: Pairs
    """Groups that are near each other; each is near itself besides."""

    def across(self, a: Ids, b: Ids) -> list[list[str]]:
        """Things that a clip of b shows, and *another* clip of a that shows one near it."""
        of_a: list[Ids] = [set() for _ in range(self.n_groups)]
        for group, clips in self.units.values():
            of_a[group] |= clips & a
        left, right = (np.concatenate(pair) for pair in (self.near[:2], self.near[1::-1]))
        order = np.argsort(left, kind="stable")
        ends = np.searchsorted(left[order], np.arange(self.n_groups + 1))
        found = []
        for name in sorted(self.units):
            group, clips = self.units[name]
            near = (int(g) for g in right[order[ends[group] : ends[group + 1]]])
            neighbours = [group, *near] if clips & b else []
            for clip in sorted(clips & b):
                others = (other for g in neighbours for other in _first(of_a[g], clip))
                other = next(others, None)
                if other is not None:
                    found.append([name, other])
                    break
        return found


def _first(clips: Ids, but: str) -> Iterable[str]:
    """The first of some clips by name that is not this one, if there is any."""
    return [min(clips - {but})] if clips - {but} else []


def _texts(clips: Sequence[Mapping[str, Any]], near: float) -> _Groups:
    texts = {text: i for i, text in enumerate(sorted({clip["description"] for clip in clips}))}
    units = {c["clip_id"]: (texts[c["description"]], {c["clip_id"]}) for c in clips}
    return _Groups(units, len(texts), near_texts(list(texts), near))


def _frames(
    clips: Sequence[Mapping[str, Any]], hashes: Mapping[str, str | None] | None, bits: int
) -> tuple[_Groups, _Groups]:
    """Frames by their bytes, and by how they look; a frame is named by its first reference."""
    showing: dict[str, Ids] = defaultdict(set)
    ref: dict[str, str] = {}
    looks: dict[str, str] = {}
    for clip in clips:
        for frame in clip["keyframes"]:
            sha256 = frame["sha256"]
            showing[sha256].add(clip["clip_id"])
            ref[sha256] = min(ref.get(sha256, frame["ref"]), frame["ref"])
            look = hashes.get(frame["ref"]) if hashes is not None else frame["phash"]
            if look is not None:
                looks[sha256] = look
    equal = {ref[sha256]: (i, showing[sha256]) for i, sha256 in enumerate(showing)}
    values = {look: i for i, look in enumerate(sorted({*looks.values()}))}
    similar = {ref[sha256]: (values[look], showing[sha256]) for sha256, look in looks.items()}
    return (
        _Groups(equal, len(showing), alike([], bits)),
        _Groups(similar, len(values), alike([int(look, 16) for look in values], bits)),
    )
