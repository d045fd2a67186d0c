"""What lies in a release, and how it is read.

::

    README.md        the dataset card, with the Hub's YAML
    croissant.json   the same for machines (MLCommons Croissant)
    eval.yaml        which split is the test
    leaks.json       what splits share
    CHANGELOG.md     what changed since the release before, where there was one
    manifest.json    version, where everything came from, the sha256 of every other file
    clips/clips.parquet
    relevance/source_train.parquet, target_pairs.parquet, target_dev.parquet, target_test.parquet
    preferences/pct5.parquet, pct10.parquet, …   what each subset adds to the one before
    ratings/ratings.parquet, pair_ratings/pair_ratings.parquet   (where there are any)
    features/features.parquet                    (only when asked for)

A folder of pictures (`lrmovienet.release.frames`) has the same manifest and frames/*.parquet.

A *config* is a folder of Parquet files with one schema, a *split* one or several of its files: the
split ``pct20`` of preferences is the files ``pct5``, ``pct10`` and ``pct20``.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrmovienet.columns import Column, Table
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file, sha256_of
from lrmovienet.release.versions import number
from lrmovienet.schema import (
    CLIPS,
    KEYFRAME,
    PAIR_PERCENTS,
    PAIR_RATINGS,
    PAIRS,
    PREFERENCES,
    RATINGS,
    RECORDS,
    RELEVANCE,
    SPLITS,
)
from lrmovienet.validation import validate
from lrmovienet.workspace import read_rows

MAX_ROWS = 5_000_000
"""Of one file; a file of some kilobytes can claim to hold billions."""
FORMAT = 1
"""Raised when a release of this program cannot be read by the one before."""

CARD, CROISSANT, EVALUATION, LEAKS, CHANGELOG, MANIFEST = (
    "README.md", "croissant.json", "eval.yaml", "leaks.json", "CHANGELOG.md", "manifest.json",
)  # fmt: skip

_HASHED = pa.struct([*KEYFRAME, pa.field("phash", pa.string())])
"""A keyframe, with 64 bits of how it looks in hexadecimal where frames were read."""

_VECTOR = pa.list_(pa.float16())
_PICTURE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


def _are_frames(values: pa.Array) -> pa.Array:
    """At least one keyframe, each with reference and sha256; looks of up to 64 bits."""
    return pa.array(
        [
            bool(frames)
            and all(
                frame is not None
                and frame["ref"]
                and frame["sha256"]
                and _LOOK.fullmatch(frame["phash"] or "0")
                for frame in frames
            )
            for frames in values.to_pylist()
        ],
        pa.bool_(),
    )


_LOOK = re.compile(r"[0-9a-f]{1,16}", re.ASCII)
_CLIPS = tuple(
    Column("keyframes", pa.list_(_HASHED), "keyframes, each with ref and sha256", _are_frames)
    if column.name == "keyframes"
    else column
    for column in CLIPS.columns
)


def _of(table: Table, *names: str) -> tuple[Column, ...]:
    """Some columns of a table, which may be empty."""
    return tuple(
        Column(c.name, c.type, c.expected, c.ok, nullable=True)
        for c in table.columns
        if c.name in names
    )


CONFIGS = {
    "clips": Table("clips", CLIPS.key, _CLIPS),
    "relevance": Table(
        "relevance",
        RECORDS.key,
        (*RECORDS.columns, *_of(RELEVANCE, "n_ratings", "spread", "method")),
    ),
    "preferences": Table(
        "preferences", PAIRS.key, (*PAIRS.columns, *_of(PREFERENCES, "n", "agreement"))
    ),
    "ratings": RATINGS,
    "pair_ratings": PAIR_RATINGS,
    "features": Table(
        "features",
        ("clip_id",),
        (
            CLIPS.columns[0],
            Column("frames", pa.list_(_VECTOR), "a vector a keyframe"),
            Column("labels", pa.list_(pa.string()), "the labels that have features"),
            Column("tokens", pa.list_(pa.list_(_VECTOR)), "a vector a token, a label"),
            Column("label_span", pa.list_(pa.list_(pa.int32())), "where each label's tokens lie"),
            Column("tokens_cut", pa.list_(pa.int32()), "tokens that were cut off, a label"),
        ),
    ),
    "frames": Table(
        "frames",
        ("clip_id",),
        (
            CLIPS.columns[0],
            Column("refs", pa.list_(pa.string()), "a reference a picture"),
            Column("frames", pa.list_(_PICTURE), "a picture a reference"),
        ),
    ),
}  # fmt: skip
"""Each config's columns. In `target_pairs` of relevance grade, n_ratings, spread and method are
empty: only pairs are known there."""


def files_of(config: str) -> dict[str, tuple[str, ...]]:
    """Split -> the files (without folder and ending) that it consists of."""
    if config == "relevance":
        return {split: (split,) for split in SPLITS}
    if config == "preferences":
        names = [f"pct{percent}" for percent in PAIR_PERCENTS]
        return {name: tuple(names[: i + 1]) for i, name in enumerate(names)}
    return {"full": (config,)}


def is_known(name: str) -> bool:
    """Whether a release may have a file of this name."""
    config, _, file = name.partition("/")
    if not file:
        return name in (CARD, CROISSANT, EVALUATION, LEAKS, CHANGELOG)
    if config == "frames":
        return re.fullmatch(r"frames-\d{5}\.parquet", file) is not None
    return config in CONFIGS and name in {
        path_of(config, f) for files in files_of(config).values() for f in files
    }


def path_of(config: str, file: str) -> str:
    """A file's place in a release."""
    return f"{config}/{file}.parquet"


@dataclass(frozen=True)
class Release:
    """A release on disk. Opening it reads its manifest only."""

    root: Path
    manifest: dict[str, Any]
    seen: set[str] = field(default_factory=set, repr=False, compare=False)
    """Files that were read once, and are what they should be."""

    @classmethod
    def open(cls, root: Path, kind: str | None = None) -> "Release":
        """Open the release in a folder.

        Args:
            root: the folder.
            kind: ``labels`` or ``frames``; None for either.

        Raises:
            UserError: there is none, or its manifest is damaged or of another format or kind.
        """
        path = root / MANIFEST
        if not path.is_file():
            raise UserError(
                f"{root}: no release here (it has no {MANIFEST}). Make one: lrmovienet release "
                "build --workspace … --out …"
            )
        try:
            manifest = json.loads(path.read_bytes())
            known = manifest["format"]
            whole = _is_manifest(manifest)
            inside = all(_is_inside(name) for name in manifest["files"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: not a readable manifest ({error}).") from None
        if known != FORMAT:
            raise UserError(
                f"{path}: a release of format {known}; this program reads format {FORMAT}."
            )
        if not whole:
            raise UserError(f"{path}: not a release's manifest: something is missing in it.")
        if not inside:
            raise UserError(f"{path}: not a release's manifest: it names files outside the folder.")
        release = cls(root, manifest)
        if kind not in (None, release.kind):
            raise UserError(f"{root}: is a release of {release.kind}; give the one of {kind}.")
        return release

    @property
    def kind(self) -> str:
        """``labels``, or ``frames`` for a folder of pictures that goes with a release."""
        return str(self.manifest.get("kind", "labels"))

    @property
    def version(self) -> str:
        """Such as 1.0.0."""
        return str(self.manifest["version"])

    @property
    def digest(self) -> str:
        """Hash over the hashes of all files but the manifest."""
        return str(self.manifest["digest"])

    def has(self, config: str) -> bool:
        """Whether the release has this config."""
        return any(name.startswith(f"{config}/") for name in self.manifest["files"])

    @property
    def configs(self) -> list[str]:
        """The configs it has, in the order of `CONFIGS`."""
        return [config for config in CONFIGS if self.has(config)]

    def splits(self, config: str) -> dict[str, tuple[str, ...]]:
        """Split -> its files, of those that are there."""
        there = self.manifest["files"]
        if config == "frames":
            names = sorted(name for name in there if name.startswith("frames/"))
            pieces = tuple(Path(name).stem for name in names)
            return {"full": pieces} if pieces else {}
        found = {
            split: tuple(f for f in files if path_of(config, f) in there)
            for split, files in files_of(config).items()
        }
        return {split: files for split, files in found.items() if files}

    def path(self, config: str, file: str) -> Path:
        """Where a file of a config lies."""
        return self.root / path_of(config, file)

    def read(
        self, config: str, split: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Rows of a config: of one split, or of all files, each once.

        Raises:
            UserError: there is no such config or split, or a file is not what the manifest says.
        """
        splits = self.splits(config)
        if not splits or (split is not None and split not in splits):
            there = ", ".join(splits) if splits else ", ".join(self.configs)
            raise UserError(
                f"{self.root}: no {f'split {split}' if splits else f'config {config}'} here; it "
                f"has {there}."
            )
        files = splits[split] if split else dict.fromkeys(f for fs in splits.values() for f in fs)
        return pa.concat_tables(
            [self._read_file(path_of(config, file), CONFIGS[config], columns) for file in files]
        )

    def _read_file(self, name: str, schema: Table, columns: Sequence[str] | None) -> pa.Table:
        path, told = self.root / name, self.manifest["files"][name]
        fix = "Get the release again, or build it again."
        if not path.is_file():
            raise UserError(f"{path}: named in the manifest but not there. {fix}")
        if name not in self.seen and sha256_file(path) != told["sha256"]:
            raise UserError(f"{path}: damaged (its sha256 is not the manifest's). {fix}")
        try:
            footer = pq.ParquetFile(path)
            there, same = footer.metadata.num_rows, footer.schema_arrow.equals(schema.schema)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{path}: not a readable Parquet file ({error}). {fix}") from None
        if not same:
            raise UserError(f"{path}: has not the columns of {schema.name!r}. {fix}")
        if there > MAX_ROWS or there != told.get("rows", there):
            raise UserError(f"{path}: has {there:,} rows, which is not what it should. {fix}")
        if name in self.seen:
            return read_rows(path, list(columns) if columns else None)
        rows = validate(read_rows(path), schema, str(path))
        self.seen.add(name)
        return rows.select(columns) if columns else rows


def others(release: Release, ignored: Collection[str]) -> list[str]:
    """Files in a release's folder that do not belong to it, by name.

    Args:
        release: to be looked through.
        ignored: names in the folder that are not looked at.
    """
    named = {*release.manifest["files"]}
    found = []
    for path in sorted(release.root.rglob("*")):
        name = path.relative_to(release.root)
        ours = str(name) in named or (str(name) == MANIFEST and not path.is_symlink())
        if not ours and name.parts[0] not in ignored and (path.is_symlink() or not path.is_dir()):
            found.append(str(name))
    return found


def digest_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Hash over the names and hashes of files: a release in one number."""
    return sha256_of(sorted([name, of["sha256"]] for name, of in files.items()))


MEMBERS = {
    "relevance": ("clip_id", "domain", "label"), "preferences": ("clip_id", "better", "worse"),
}  # fmt: skip


def membership(release: Release) -> dict[str, str]:
    """Split -> hash over what belongs to it: labels of clips in their order, or pairs of labels."""
    found = {}
    for config, columns in MEMBERS.items():
        for split in release.splits(config):
            rows = release.read(config, split, columns)
            found[split] = sha256_of([rows[name].to_pylist() for name in columns])
    return found


def _is_manifest(manifest: Any) -> bool:
    """Whether everything that is read of every manifest is there."""
    files = manifest["files"]
    return (
        number(manifest["version"]) is not None
        and isinstance(manifest["digest"], str)
        and manifest.get("kind", "labels") in ("labels", "frames")
        and all(isinstance(manifest.get(name, {}), dict) for name in ("about", "splits"))
        and all(
            isinstance(of, dict)
            and isinstance(of.get("sha256"), str)
            and isinstance(of.get("bytes"), int)
            for of in files.values()
        )
    )


def _is_inside(name: str) -> bool:
    """Whether a file's name stays within the release."""
    return not name.startswith("/") and "\\" not in name and ".." not in name.split("/")
