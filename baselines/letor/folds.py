"""Folds: what is learned from, what chooses, what is tested; every query is tested once.

Official sets come as folders ``Fold1`` to ``Fold5``, each with ``train.txt``, ``vali.txt`` and
``test.txt``. Other files are parts of one set: each part is the test of one fold, and of all other
queries a fifth, drawn at random, chooses. A single file is cut into parts by query.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baselines.letor.documents import Documents
from baselines.letor.queries import grades_of
from baselines.letor.read import read
from lrmovienet.errors import UserError

CHOOSES = 5
"""One in so many queries that are not tested chooses among weights."""
SEED = 0
"""Of the draws that cut a set. It is none of the training's seeds: all are tested on one cut."""
NAMES = {"train": ("train",), "vali": ("vali", "valid", "val"), "test": ("test",)}


class Fold(NamedTuple):
    """One way to cut a set."""

    number: int
    """From 1."""
    train: Documents
    vali: Documents
    test: Documents


class Folds:
    """A set and its folds, read when they are asked for."""

    def __init__(self, paths: Sequence[Path], cache: Path | None, parts: int = 5) -> None:
        """Look at what is there.

        Args:
            paths: the folder of an official set, or files.
            cache: folder in which files are kept as arrays; None for none.
            parts: into which a single file is cut, 2 or more.

        Raises:
            UserError: a folder has no folds, or too few queries are there.
        """
        self.paths, self.cache = [Path(path) for path in paths], cache
        folders = [path for path in self.paths if path.is_dir()]
        if folders and len(self.paths) > 1:
            raise UserError(f"{folders[0]}: is a folder; give one folder, or files.")
        self.official = _official(folders[0]) if folders else None
        self.parts = parts if len(self.paths) == 1 and not folders else len(self.paths)

    def __len__(self) -> int:
        """How many folds."""
        return len(self.official) if self.official is not None else self.parts

    def files(self, number: int) -> list[Path]:
        """All that a fold is made of."""
        return self.paths if self.official is None else list(self.official[number - 1])

    def learned(self, number: int) -> list[Path]:
        """What another set's fold of that number learns from: a training part, or all files."""
        if self.official is None:
            return self.paths
        return [self.official[(number - 1) % len(self)][0]]

    def __getitem__(self, number: int) -> Fold:
        """The fold of a number, from 1.

        Raises:
            UserError: a file is wrong or without grades, or two do not go together.
            ValueError: there is no such fold.
        """
        if not 1 <= number <= len(self):  # fold 0 would learn what it tests
            raise ValueError(f"fold {number} of {len(self)}")
        if self.official is not None:
            files = [read(path, self.cache) for path in self.official[number - 1]]
            _check(files)
            for file in files:
                grades_of(file)
            return Fold(number, *files)
        parts = self._parts()
        rest = joined([part for i, part in enumerate(parts, 1) if i != number])
        if len(rest) < 2:
            raise UserError(
                f"{rest.name}: {len(rest)} queries are left to learn and to choose from; there "
                "must be 2. Give more queries, or more --parts."
            )
        order = np.random.default_rng([SEED, number]).permutation(len(rest))
        vali, train = np.split(order, [max(1, round(len(rest) / CHOOSES))])
        return Fold(number, rest.take(np.sort(train)), rest.take(np.sort(vali)), parts[number - 1])

    def whole(self, number: int) -> Documents:
        """The documents of `learned`."""
        return joined([read(path, self.cache) for path in self.learned(number)])

    def _parts(self) -> list[Documents]:
        files = [read(path, self.cache) for path in self.paths]
        for file in files:
            grades_of(file)
        if len(files) > 1:
            _check(files)
            return files
        if len(files[0]) < self.parts:
            raise UserError(
                f"{files[0].name}: {len(files[0])} queries cannot be cut into {self.parts} parts."
            )
        order = np.random.default_rng([SEED, 0]).permutation(len(files[0]))
        return [files[0].take(np.sort(part)) for part in np.array_split(order, self.parts)]


def joined(parts: Sequence[Documents]) -> Documents:
    """Several files as one.

    Raises:
        UserError: they have other features, or a query is in two of them.
    """
    if len(parts) == 1:
        return parts[0]
    first = _check(parts)
    graded = [part.grades for part in parts if part.grades is not None]
    named = [part.documents for part in parts if part.documents is not None]
    return replace(
        first,
        name=", ".join(dict.fromkeys(part.name for part in parts)),
        sha256=" ".join(part.sha256 for part in parts),
        x=np.concatenate([part.x for part in parts]),
        grades=np.concatenate(graded) if len(graded) == len(parts) else None,
        offsets=np.cumsum([0, *np.concatenate([part.lengths for part in parts])]),
        queries=tuple(query for part in parts for query in part.queries),
        documents=sum(named, ()) if len(named) == len(parts) else None,
    )


def _check(parts: Sequence[Documents]) -> Documents:
    """The first of some parts of one set, all of which have its features and queries of their own.

    Raises:
        UserError: see `joined`.
    """
    first = parts[0]
    seen: dict[str, str] = {}
    for part in parts:
        if (part.x.shape[1], part.first_feature) != (first.x.shape[1], first.first_feature):
            raise UserError(
                f"{part.name}: has {part.x.shape[1]} features, {first.name} {first.x.shape[1]}; "
                "files of one set have the same."
            )
        for query in part.queries:
            if query in seen:
                raise UserError(
                    f"{part.name}: query {query} is in {seen[query]} too. Files of one set are "
                    "parts of it; look: lrmovienet letor leaks FILE FILE"
                )
            seen[query] = part.name
    return first


def _official(folder: Path) -> list[tuple[Path, Path, Path]]:
    """(train, vali, test) of each fold.

    Raises:
        UserError: there are no folds, or one lacks a file.
    """
    numbered = {
        int(found[1]): path
        for path in sorted(folder.iterdir())
        if path.is_dir() and (found := re.fullmatch(r"[Ff]old_?(\d+)", path.name))
    }
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise UserError(f"{folder}: has the folds {sorted(numbered)}; they must count from 1.")
    if not numbered:
        raise UserError(
            f"{folder}: has no folders Fold1, Fold2, … Give the folder that holds them, or the "
            "files themselves."
        )
    return [_files(path) for _, path in sorted(numbered.items())]


def _files(fold: Path) -> tuple[Path, Path, Path]:
    found = []
    for part, names in NAMES.items():
        there = [
            fold / f"{name}.txt{end}" for name in names for end in ("", ".gz")
            if (fold / f"{name}.txt{end}").is_file()
        ]  # fmt: skip
        if not there:
            raise UserError(f"{fold}: has no {part}.txt (nor {part}.txt.gz).")
        found.append(there[0])
    return found[0], found[1], found[2]
