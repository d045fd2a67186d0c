"""Whether a folder is the release that its manifest, its card and its data say it is."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrmovienet.errors import UserError
from lrmovienet.files import json_bytes, sha256_file
from lrmovienet.leaks.measure import measure
from lrmovienet.release import card
from lrmovienet.release.describe import croissant, evaluation
from lrmovienet.release.layout import (
    CARD,
    CROISSANT,
    EVALUATION,
    LEAKS,
    MANIFEST,
    Release,
    digest_of,
    is_known,
    membership,
    others,
    path_of,
)

IGNORED = (".gitattributes", ".cache", ".git")
"""What tools leave in a folder; none of it is published."""


def check(release: Release) -> list[str]:
    """Everything that is wrong with a release, in words; nothing where all is right.

    Files are held against the manifest, rows against their schema, and the card, Croissant and
    ``eval.yaml`` against what would be written from the data now.
    """
    problems = _files(release)
    if problems:
        return problems
    frames_only = (_rows, _frames_card)
    all_tests = (_rows, _splits, _leaks, _card, _descriptions)
    for test in frames_only if release.kind == "frames" else all_tests:
        problems += _said(test, release)
    return problems


def _said(test: Callable[[Release], list[str]], release: Release) -> list[str]:
    try:
        return test(release)
    except UserError as error:
        return [str(error)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        # What a release says of itself is anybody's text; what makes no sense is one more problem.
        return [f"{MANIFEST}, {CARD} or {LEAKS}: makes no sense ({type(error).__name__}: {error})"]


def _files(release: Release) -> list[str]:
    problems = []
    named = release.manifest["files"]
    for name, of in named.items():
        path = release.root / name
        if path.is_symlink() or not path.is_file():
            problems.append(f"{name}: not there, or not a plain file")
        elif sha256_file(path) != of["sha256"]:
            problems.append(f"{name}: is not what the manifest says (its sha256 differs)")
        if not is_known(name):
            problems.append(f"{name}: is no file of a release, though the manifest names it")
    needed = (CARD,) if release.kind == "frames" else (CARD, CROISSANT, EVALUATION, LEAKS)
    problems += [f"{name}: is missing in the manifest" for name in needed if name not in named]
    problems += [
        f"{name}: does not belong to the release; take it out" for name in others(release, IGNORED)
    ]
    if digest_of(named) != release.digest:
        problems.append(f"{MANIFEST}: its digest is not that of its files")
    return problems


def _rows(release: Release) -> list[str]:
    problems = []
    for config in release.configs:
        names = {path_of(config, f) for files in release.splits(config).values() for f in files}
        for name in sorted(names):
            try:
                there = pq.read_metadata(release.root / name).num_rows
            except (pa.ArrowInvalid, OSError) as error:
                problems.append(f"{name}: not a readable Parquet file ({error})")
                continue
            if there != release.manifest["files"][name].get("rows"):
                problems.append(f"{name}: has {there} rows, which is not what the manifest says")
        if config not in ("features", "frames") and not problems:
            release.read(config)  # which validates
    return problems


def _splits(release: Release) -> list[str]:
    named = {split: of["membership"] for split, of in release.manifest["splits"].items()}
    there = membership(release) if release.has("relevance") else {}
    return [
        f"{MANIFEST}: the split {split} is not what it says"
        for split in sorted({*named, *there})
        if named.get(split) != there.get(split)
    ]


def _leaks(release: Release) -> list[str]:
    told = read_leaks(release)
    if measure(release, told["near"], told["bits"]) == told:
        return []
    return [f"{LEAKS}: is not what the data say. Build the release again"]


def _card(release: Release) -> list[str]:
    text = (release.root / CARD).read_text(encoding="utf-8")
    if card.fill(text, release, read_leaks(release)) == text:
        return []
    return [
        f"{CARD}: its numbers or its YAML are not those of the data. Build the release again; for "
        "words of your own give --card"
    ]


def _frames_card(release: Release) -> list[str]:
    from lrmovienet.release.frames import frames_card

    if (release.root / CARD).read_text(encoding="utf-8") == frames_card(release):
        return []
    return [f"{CARD}: is not what the data say. Build the folder of frames again"]


def _descriptions(release: Release) -> list[str]:
    made = {CROISSANT: json_bytes(croissant(release)), EVALUATION: evaluation(release).encode()}
    return [
        f"{name}: is not what the data say. Build the release again"
        for name, content in made.items()
        if name in release.manifest["files"] and (release.root / name).read_bytes() != content
    ]


def read_leaks(release: Release) -> dict[str, Any]:
    """The release's own report of leaks. Raises UserError where it is not readable."""
    try:
        found = json.loads((release.root / LEAKS).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{release.root / LEAKS}: not readable ({error}).") from None
    if not isinstance(found, dict) or not {"near", "bits", "shared"} <= {*found}:
        raise UserError(f"{release.root / LEAKS}: not a report of leaks.")
    if not (0 < found["near"] <= 1 and 0 <= found["bits"] <= 64):
        raise UserError(f"{release.root / LEAKS}: no thresholds. Build the release again.")
    return found
