"""Some records as cards, as in figure C.2 of the paper: graded labels, or pairs of labels.

The draw is by hashes: it hangs on the seed and on each record alone, so that more cards, or a later
version with more records, leave the first ones as they are as far as can be.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lrmovienet.cards import GRADE_NAMES, KINDS, MOST_FRAMES, Card, Shown
from lrmovienet.errors import ItemError, UserError
from lrmovienet.files import sha256_of
from lrmovienet.keyframes import KeyframeReader, evenly
from lrmovienet.pictures import picture
from lrmovienet.release.layout import Release
from lrmovienet.stats.words import cut, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PAIRS, MOST_LETTERS = 14, 40
"""Pairs on a card, and letters of each of their labels."""


@dataclass(frozen=True)
class Sample:
    """A record that is shown."""

    domain: str
    card: Card
    """Its frames are not read yet."""
    keyframes: list[dict[str, str]]
    """The references and hashes of the frames that it shows."""


def sampled(release: Release, wanted: int, seed: int) -> list[Sample]:
    """Draw records: half of them (rounded up) graded source records, half records with pairs.

    Args:
        release: what to draw from.
        wanted: records in all, 0 or more; there are fewer where the release has no more.
        seed: of the draw.

    Returns:
        The samples, source records first.

    Raises:
        UserError: a file of the release is damaged, or its tables do not fit together.
    """
    if not wanted:
        return []
    labels, pairs = _graded(release), _pairs(release)
    source = drawn(labels, (wanted + 1) // 2, seed, "source")
    target = drawn(pairs, wanted // 2, seed, "target")
    clips = _clips(release, {*source, *target})
    samples = [_sample(clips[c], "source", _by_grade(labels[c]), []) for c in source]
    for clip_id in target:
        chosen = sorted(drawn(pairs[clip_id], MOST_PAIRS, seed, clip_id))
        share = f"{len(chosen)} of {len(pairs[clip_id])} pairs"
        shown = [_pair(better, worse) for better, worse in chosen]
        samples.append(_sample(clips[clip_id], "target", shown, [share]))
    return samples


def with_frames(sample: Sample, reader: KeyframeReader | None) -> tuple[Card, list[str]]:
    """The card with its frames, and of each frame that cannot be read, why.

    Args:
        sample: the record.
        reader: where frames are read, each checked against its sha256; None: nowhere.
    """
    frames: list[Image | None] = []
    problems = []
    for frame in sample.keyframes:
        frames.append(None)
        if reader is not None:
            try:
                frames[-1] = picture(reader.read(frame["ref"], frame["sha256"]))
            except (ItemError, OSError) as error:
                problems.append(str(error))
    return replace(sample.card, frames=tuple(frames)), problems


def too_few(samples: Sequence[Sample], wanted: int) -> list[str]:
    """What is to be said where there are fewer samples than wanted."""
    if len(samples) == wanted:
        return []
    source = sum(sample.domain == "source" for sample in samples)
    return [
        f"{len(samples)} samples, not {wanted}: {source} graded source records and "
        f"{len(samples) - source} records with pairs are all that could be drawn"
    ]


def drawn(things: Iterable[Any], n: int, seed: int, what: str) -> list[Any]:
    """At most `n` of some things, in a random order that is the same everywhere."""
    return sorted(things, key=lambda thing: sha256_of(["sample", seed, what, thing]))[:n]


def _graded(release: Release) -> dict[str, list[dict[str, Any]]]:
    """The labels of each source record that has grades, in the record's order."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if "source_train" not in release.splits("relevance"):
        return found
    names = ("clip_id", "position", "label", "grade", "source")
    rows = release.read("relevance", "source_train", names)
    rows = rows.filter(pc.is_valid(rows["grade"]))
    for row in rows.sort_by([("clip_id", "ascending"), ("position", "ascending")]).to_pylist():
        found[row["clip_id"]].append(row)
    return found


def _pairs(release: Release) -> dict[str, list[tuple[str, str]]]:
    """The preferences, better label first, of each clip that has any."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    if release.has("preferences"):
        rows = release.read("preferences", columns=("clip_id", "better", "worse"))
        for row in rows.to_pylist():
            found[row["clip_id"]].append((row["better"], row["worse"]))
    return found


def _clips(release: Release, wanted: set[str]) -> dict[str, dict[str, Any]]:
    rows = release.read("clips", columns=("clip_id", "movie_id", "title", "genres", "description",
                                          "keyframes"))  # fmt: skip
    rows = rows.filter(pc.is_in(rows["clip_id"], value_set=pa.array(sorted(wanted), pa.string())))
    clips = {row["clip_id"]: row for row in rows.to_pylist()}
    if lost := sorted(wanted - clips.keys()):
        raise UserError(
            f"{release.root}: {len(lost)} records are of clips that it does not hold, such as "
            f"{lost[0]}. Get the release again, or build it again."
        )
    return clips


def _by_grade(rows: Sequence[dict[str, Any]]) -> list[Shown]:
    kind = {name: (name,) for name in KINDS}
    return [
        Shown(one_line(row["label"]), kind.get(row["source"], ()), None, GRADE_NAMES[row["grade"]])
        for row in rows
    ]


def _pair(better: str, worse: str) -> Shown:
    text = f"{cut(better, MOST_LETTERS)} > {cut(worse, MOST_LETTERS)}"
    return Shown(text, (), None, "pairs")


def _sample(clip: dict[str, Any], domain: str, shown: list[Shown], notes: list[str]) -> Sample:
    facts = [clip["clip_id"], *clip["genres"], f"{domain} record", *notes]
    keyframes = evenly(clip["keyframes"], MOST_FRAMES)
    card = Card(
        clip_id=one_line(clip["clip_id"]),
        heading=one_line(clip["title"] or clip["movie_id"]),
        facts=one_line(" · ".join(facts)),
        description=one_line(clip["description"]),
        labels=tuple(shown),
        frames=(None,) * len(keyframes),
        frames_in_all=len(clip["keyframes"]),
    )
    return Sample(domain, card, keyframes)
