"""Which labels become candidates. Nothing leaves without a reason.

The rules, in the order in which they are asked:

1. `form`: a label that is another form of one goes under the form most clips have (`forms`).
2. `no word`: without letters, or stop words only.
3. `blocked`: on the block list, of all clips or of one.
4. `actor`: an actor's name where the character's is meant (`people`).
5. `score`: only the tagger saw it, in too few frames above the threshold.
6. `common`: in more than a share of all clips: it tells no clip from another.
7. `near`: means nearly the same as a candidate before it (`near`).
8. `cap`: beyond the first so many of the clip and domain (`order`).

A dropped row's reason begins with the rule's name.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import floor
from typing import Any

from lrmovienet.candidates.forms import block_key, fault, tidy, written_forms
from lrmovienet.candidates.near import Vectors, near_duplicates
from lrmovienet.candidates.order import Candidate, Found, Order, in_order, target_domain
from lrmovienet.candidates.people import Actors

RULES = {
    "form": "another form of the label",
    "no word": "no letters, or stop words only",
    "blocked": "on the block list",
    "actor": "an actor's name",
    "score": "too low a score, and only the tagger saw it",
    "common": "in too many clips",
    "near": "nearly the same as another",
    "cap": "beyond the cap",
}

Dropped = dict[str, list[tuple[str, str]]]
"""clip_id -> (label, reason)."""


@dataclass(frozen=True)
class Rules:
    """What the rules are given."""

    kinds: Sequence[str] = ("event", "entity", "image")
    block: frozenset[str] = frozenset()
    """Labels that no clip may have, in any form."""
    block_of_clip: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ceiling: float = 1.0
    ceiling_from: int = 20
    """A label in this many clips or fewer is never too common."""
    near: float = 1.0
    cap: int = 20
    by_domain: bool = True
    tail_genres: int | None = None
    order: Order = "turns"


def select(
    found: Mapping[str, Iterable[Found]],
    clips: Sequence[Mapping[str, Any]],
    rules: Rules,
    *,
    cast: Mapping[str, Iterable[Mapping[str, str | None]]] | None = None,
    vectors_of: Callable[[Sequence[str]], Vectors] | None = None,
) -> tuple[dict[str, list[Candidate]], Dropped]:
    """All clips' labels -> their candidates in order, and what was dropped, with the reason.

    Every label that goes in comes out: as a candidate, or dropped, or both where it is written in
    another form.

    Args:
        found: clip_id -> its labels.
        clips: rows with clip_id, movie_id, genres and description.
        rules: what to apply.
        cast: movie_id -> its cast.
        vectors_of: labels -> their vectors; needed where `rules.near` is below 1.

    Raises:
        UserError: `tail_genres` is not possible with these genres.
    """
    rules = replace(
        rules,
        block=_block_keys(rules.block),
        block_of_clip={clip: _block_keys(own) for clip, own in rules.block_of_clip.items()},
    )
    dropped: Dropped = {clip["clip_id"]: [] for clip in clips}
    candidates = _by_form({c["clip_id"]: found.get(c["clip_id"], ()) for c in clips}, dropped)
    actors = {movie_id: Actors(people) for movie_id, people in (cast or {}).items()}
    for clip in clips:
        clip_id = clip["clip_id"]
        kept = []
        for candidate in candidates[clip_id]:
            reason = _own_reason(candidate, clip, rules, actors.get(clip["movie_id"]))
            if reason is None:
                kept.append(candidate)
            else:
                dropped[clip_id].append((candidate.label, reason))
        candidates[clip_id] = kept
    _drop_common(candidates, rules, dropped)
    for clip_id, kept in candidates.items():
        candidates[clip_id] = in_order(kept, rules.kinds, rules.order)
    if rules.near < 1:
        assert vectors_of is not None
        _merge_near(candidates, vectors_of, rules, dropped)
    target = target_domain(clips, candidates, rules.tail_genres) if rules.by_domain else set()
    for clip_id, kept in candidates.items():
        candidates[clip_id] = _cap(kept, target, rules.cap, dropped[clip_id])
    return candidates, dropped


def _by_form(found: Mapping[str, Iterable[Found]], dropped: Dropped) -> dict[str, list[Candidate]]:
    """Each clip's labels under the form they are written in."""
    tidied: dict[str, list[tuple[str, Found]]] = {}
    for clip_id, labels in found.items():
        tidied[clip_id] = []
        for one in labels:
            form = tidy(one.label)
            if reason := fault(form):
                _drop(dropped[clip_id], one.label, f"no word: {reason}")
            else:
                tidied[clip_id].append((form, one))
    written = written_forms([form for form, _ in labels] for labels in tidied.values())
    candidates: dict[str, list[Candidate]] = {}
    for clip_id, forms in tidied.items():
        own: dict[str, Candidate] = {}
        for form, one in forms:
            label = written[form]
            own.setdefault(label, Candidate(label)).sources.append(one)
            if one.label != label:
                _drop(dropped[clip_id], one.label, f"form: written as {label!r}")
        candidates[clip_id] = list(own.values())
    return candidates


def _block_keys(labels: Iterable[str]) -> frozenset[str]:
    return frozenset(block_key(label) for label in labels) - {""}


def _drop(dropped: list[tuple[str, str]], label: str, reason: str) -> None:
    """Note a label once, however many sources it had."""
    if (label, reason) not in dropped:
        dropped.append((label, reason))


def _own_reason(
    candidate: Candidate, clip: Mapping[str, Any], rules: Rules, actors: Actors | None
) -> str | None:
    """Why a candidate goes, by itself."""
    forms = {block_key(candidate.label), *(block_key(s.label) for s in candidate.sources)}
    if not forms.isdisjoint(rules.block):
        return "blocked: of all clips"
    if not forms.isdisjoint(rules.block_of_clip.get(clip["clip_id"], ())):
        return "blocked: of this clip"
    if actors is not None:
        # A tagger reads no names: its "wood" is none of Elijah Wood's.
        read = any(source.kind != "image" for source in candidate.sources)
        if says := actors.reason(candidate.label, clip["description"], read):
            return f"actor: {says}"
    if not any(source.counts for source in candidate.sources):
        best = max(candidate.sources, key=lambda source: source.score or 0.0)
        if best.score is None:
            return "score: seen in too few frames"
        few = f" in too few frames ({best.frames})" if best.frames else ""
        return f"score: {best.score:.2f}{few}"
    return None


def _drop_common(candidates: dict[str, list[Candidate]], rules: Rules, dropped: Dropped) -> None:
    in_clips = Counter(c.label for kept in candidates.values() for c in kept)
    # Exactly: .29 of 100 clips is 29, not 28.999….
    share = floor(Fraction(str(rules.ceiling)) * len(candidates))
    limit = max(share, rules.ceiling_from)
    for clip_id, kept in candidates.items():
        for candidate in kept:
            number = in_clips[candidate.label]
            if number > limit:
                reason = f"common: in {number} of {len(candidates)} clips"
                dropped[clip_id].append((candidate.label, reason))
        candidates[clip_id] = [c for c in kept if in_clips[c.label] <= limit]


def _merge_near(
    candidates: dict[str, list[Candidate]],
    vectors_of: Callable[[Sequence[str]], Vectors],
    rules: Rules,
    dropped: Dropped,
) -> None:
    """A near duplicate's sources go to the candidate that stays."""
    vectors = vectors_of(sorted({c.label for kept in candidates.values() for c in kept}))
    for clip_id, kept in candidates.items():
        by_label = {c.label: c for c in kept}
        gone = near_duplicates(list(by_label), vectors, rules.near)
        for label, (stays, cosine) in gone.items():
            by_label[stays].sources += by_label[label].sources
            dropped[clip_id].append((label, f"near: {stays!r} ({cosine:.2f})"))
        candidates[clip_id] = [c for c in kept if c.label not in gone]


def _cap(
    listed: Sequence[Candidate], target: set[str], cap: int, dropped: list[tuple[str, str]]
) -> list[Candidate]:
    """The first `cap` of each domain."""
    taken = Counter[bool]()
    result = []
    for candidate in listed:
        domain = candidate.label in target
        taken[domain] += 1
        if taken[domain] <= cap:
            result.append(candidate)
        else:
            which = " of the target domain" if domain else " of the source domain" if target else ""
            dropped.append((candidate.label, f"cap: beyond the first {cap}{which}"))
    return result
