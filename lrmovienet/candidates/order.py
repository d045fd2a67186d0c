"""In which order a clip's candidates stand, and where they are cut.

The paper has 20 labels a clip and domain and says of the cut only that it truncates.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lrmovienet.domains import tail_genres, target_labels
from lrmovienet.errors import UserError

Order = Literal["turns", "agreement", "kinds"]


@dataclass(frozen=True)
class Found:
    """A label of image_labels or text_labels."""

    label: str
    kind: str
    """event, entity or image."""
    model: str
    rank: int
    """Place among the clip's labels of that kind, from 0."""
    score: float | None = None
    counts: bool = True
    """Whether the tagger's score is above the threshold; text labels have none to pass."""
    frames: int = 0
    """In how many frames it is: too few, if it does not count."""


@dataclass
class Candidate:
    """A label and where it was found."""

    label: str
    sources: list[Found] = field(default_factory=list)


def in_order(
    candidates: Sequence[Candidate], kinds: Sequence[str], order: Order
) -> list[Candidate]:
    """Candidates as they are listed, and cut.

    Within a kind, events and entities go by their place in the answer and image labels by score.
    Between kinds:

    - ``turns``: an event, an entity, an image label, an event, … (as `kinds` has them);
    - ``agreement``: labels that more kinds found come first, equal ones take turns;
    - ``kinds``: all of the first kind, then all of the next.
    """
    queues = {kind: _of_kind(candidates, kind) for kind in kinds}
    if order == "kinds":
        listed = list(dict.fromkeys(label for queue in queues.values() for label in queue))
    else:
        listed = _take_turns(queues.values())
    by_label = {candidate.label: candidate for candidate in candidates}
    result = [by_label[label] for label in listed]
    if order == "agreement":
        result.sort(key=lambda c: -len({s.kind for s in c.sources}))  # stable
    return result


def _of_kind(candidates: Iterable[Candidate], kind: str) -> list[str]:
    """The labels of one kind, best first."""
    ranked = [
        (-(s.score or 0.0), s.rank, c.label)
        for c in candidates
        for s in c.sources
        if s.kind == kind
    ]
    return list(dict.fromkeys(label for *_, label in sorted(ranked)))


def _take_turns(queues: Iterable[Sequence[str]]) -> list[str]:
    """Each queue in turn gives its first label that is not listed yet, until none has any."""
    listed: dict[str, None] = {}
    waiting = [iter(queue) for queue in queues]
    while waiting:
        for queue in list(waiting):
            label = next((label for label in queue if label not in listed), None)
            if label is None:
                waiting.remove(queue)
            else:
                listed[label] = None
    return list(listed)


def target_domain(
    clips: Sequence[Mapping[str, Any]],
    labels: Mapping[str, Sequence[Candidate]],
    wanted: int | None,
) -> set[str]:
    """The labels that `split` would count to the target domain, were all candidates graded.

    Empty where genres do not allow a split: a clip then has one domain.

    Args:
        clips: rows with clip_id and genres.
        labels: each clip's candidates.
        wanted: how many tail genres; None as `split` chooses.

    Raises:
        UserError: `wanted` is not possible with these genres.
    """
    rows = {clip_id: [{"label": c.label} for c in own] for clip_id, own in labels.items()}
    genres = {genre for clip in clips for genre in clip["genres"]}
    if len(genres) < 2 and wanted is not None:
        raise UserError(f"--tail_genres {wanted}: the clips have {len(genres)} genres.")
    if len(genres) < 2 or not any(rows.values()):
        return set()
    plain = [dict(clip) for clip in clips]
    return target_labels(plain, rows, tail_genres(plain, rows, wanted))
