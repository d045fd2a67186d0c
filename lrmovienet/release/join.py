"""Frames that a release refers to, looked for in the user's own copy of the films."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lrmovienet.errors import ItemError
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.phash import distance, phash

HERE = ("same", "moved", "alike")
ABSENT = ("other", "missing")
KINDS = {
    "same": "under its name, byte for byte",
    "moved": "byte for byte, under another name",
    "alike": "under its name, other bytes, the same picture by how it looks",
    "other": "its name is there, but not this picture",
    "missing": "not there",
}
"""What can become of a reference; the first three are joined."""


@dataclass(frozen=True)
class Found:
    """What became of one reference."""

    kind: str
    ref: str
    """Where the picture is in the user's copy; the release's own reference where it is not."""
    sha256: str
    """Of the user's picture; the release's where there is none."""


def join_film(
    reader: KeyframeReader,
    movie_id: str,
    frames: Sequence[Mapping[str, Any]],
    bits: int,
    problems: list[str] | None = None,
) -> dict[str, Found]:
    """Look for the frames of one film.

    Args:
        reader: of the user's copy.
        movie_id: the film.
        frames: what the release says of each: ref, sha256, phash (or None).
        bits: most bits in which the look of the same picture, encoded anew, differs.
        problems: takes what is there and cannot be read, in words.

    Returns:
        The release's reference -> what became of it. A film that is not there has all missing.
    """
    refs: set[str] = set()
    problems = [] if problems is None else problems
    try:
        if reader.place(movie_id) is not None:
            refs = set(reader.refs(movie_id))
    except ItemError as error:
        problems.append(str(error))
    hashes: dict[str, str] = {}

    def digest(ref: str) -> str:
        if ref not in hashes:
            try:
                hashes[ref] = hashlib.sha256(reader.read(ref)).hexdigest()
            except ItemError as error:
                hashes[ref] = "not readable"
                problems.append(str(error))
        return hashes[ref]

    found: dict[str, Found] = {}
    by_content: dict[str, str] | None = None
    for frame in frames:
        ref, sha256 = frame["ref"], frame["sha256"]
        if ref in refs and digest(ref) == sha256:
            found[ref] = Found("same", ref, sha256)
            continue
        if by_content is None and refs:
            by_content = {digest(other): other for other in sorted(refs, reverse=True)}
        if by_content and sha256 in by_content:
            found[ref] = Found("moved", by_content[sha256], sha256)
        elif ref in refs and _looks_the_same(reader, frame, bits):
            found[ref] = Found("alike", ref, digest(ref))
        else:
            found[ref] = Found("other" if ref in refs else "missing", ref, sha256)
    return found


def coverage(films: Mapping[str, Mapping[str, Found]]) -> dict[str, Any]:
    """How much was found: of all frames, and film by film."""
    by_film = {
        movie_id: _counts(found.values()) for movie_id, found in sorted(films.items())
    }  # fmt: skip
    total = {kind: sum(film[kind] for film in by_film.values()) for kind in KINDS}
    joined = {m: sum(film[kind] for kind in HERE) for m, film in by_film.items()}
    whole = sum(joined[m] == sum(film.values()) for m, film in by_film.items())
    none = sum(n == 0 for n in joined.values())
    return {
        "frames": {**total, "all": sum(total.values()), "joined": sum(joined.values())},
        "films": {
            "all": len(by_film), "whole": whole, "in part": len(by_film) - whole - none,
            "absent": none,
        },
        "by_film": by_film,
    }  # fmt: skip


def _counts(found: Any) -> dict[str, int]:
    counted = Counter(one.kind for one in found)
    return {kind: counted[kind] for kind in KINDS}


def _looks_the_same(reader: KeyframeReader, frame: Mapping[str, Any], bits: int) -> bool:
    if frame["phash"] is None:
        return False
    try:
        mine = phash(reader.read(frame["ref"]))
    except ItemError:
        return False
    return mine is not None and distance(mine, int(frame["phash"], 16)) <= bits
