"""Gold and predictions: read them, check them, and put them beside each other.

`eval.tables` reads the files. Nothing is repaired or left out silently: what is wrong is refused
with the first ten rows concerned, and what may be left out is counted.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eval.labels import normal_form
from eval.messages import LISTED, listed, printable, short
from eval.rows import (
    Ints,
    Layout,
    Rows,
    RunError,
    blank,
    one_chunk,
    stable_order,
)
from eval.tables import read

__all__ = ["Gold", "Run", "RunError", "read_gold", "read_run"]

GOLD = Layout(
    ("clip_id", "label", "grade"),
    ("movie_id", "genres", "source", "split", "domain"),
    "--gold-columns",
    ("records", "relevance"),
)
PREDICTIONS = Layout(("clip_id", "label", "score"), (), "--predictions-columns")


@dataclass(frozen=True)
class Gold:
    """Graded labels of one split, the labels of a clip side by side."""

    rows: Rows
    """clip_id, label (as written), grade, and those of the optional columns that are there."""
    split: str | None
    clip_ids: pa.Array
    """(n_clips,) in the order in which they first appear."""
    offsets: Ints
    """(n_clips + 1,) clip c owns the rows ``offsets[c]:offsets[c + 1]``."""
    clip_of: Ints
    """(n_labels,) index into `clip_ids`."""
    grades: Ints
    """(n_labels,)"""
    labels: pa.DictionaryArray
    """(n_labels,) in `eval.labels.normal_form`."""
    film_ids: pa.Array
    """(n_films,) in the order in which they first appear."""
    film_of: Ints
    """(n_clips,) index into `film_ids`."""
    genres: pa.ListArray | None
    """(n_clips,) None where gold does not say."""
    sources: pa.DictionaryArray | None
    """(n_labels,) None where gold does not say."""
    name: str
    """Of the file or folder, without its place on this machine."""

    @property
    def sha256(self) -> str:
        """Over the bytes of the files."""
        return self.rows.sha256


@dataclass(frozen=True)
class Run:
    """Predictions set beside gold: a score for every gold label."""

    name: str
    scores: npt.NDArray[np.float64]
    """(n_labels,) clip after clip by gold's offsets, within a clip in the order of the predictions
    (so that a stable sort keeps the order submitted). −inf where a label has no prediction."""
    gold_rows: Ints
    """(n_labels,) the gold row of each score."""
    missing: int
    """Gold labels without a prediction."""
    normalised: int
    """Predictions that found their label only in normal form."""
    sha256: str
    files: tuple[str, ...] = ()
    """What they were read from."""


def read_gold(
    paths: Path | Sequence[Path],
    split: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    max_grade: int = 2,
) -> Gold:
    """Read graded labels.

    Args:
        paths: files or folders with the columns clip_id, label, grade, and optionally movie_id,
            genres, source, split, domain (others are ignored); several are parts of one table. A
            folder of tables (a workspace, a release) stands for its table records.
        split: keep the rows of this split only.
        columns: our name of a column -> theirs.
        max_grade: the highest grade there is.

    Raises:
        RunError: a file is not readable, the split is not there (or several are and none was
            chosen), a cell is empty, a grade is off the scale, a clip has a label twice, or its
            rows disagree on its film or genres.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    rows = _of_split(read(paths, GOLD.renamed(columns)), split)
    grade = rows.numbers("grade")
    rows.refuse(
        ~np.isin(grade, np.arange(max_grade + 1)),
        lambda i: (
            f"grade is {_shown(rows, 'grade', i)}; expected a whole number from 0 to {max_grade}"
        ),
    )
    clip_of, clip_ids = _by_first(*rows.codes("clip_id"))
    if (np.diff(clip_of) < 0).any():
        together = stable_order(clip_of)
        rows, clip_of = rows.take(together), clip_of[together]
    labels = _normal(rows)
    grades = rows.numbers("grade").astype(np.int64)
    _refuse_repeated(rows, clip_of, labels, grades)
    offsets = np.append(0, np.cumsum(np.bincount(clip_of)))
    film_of, film_ids = _films(rows, clip_of, offsets, clip_ids)
    return Gold(
        rows, split, clip_ids, offsets, clip_of, grades, labels, film_ids, film_of,
        _genres(rows, clip_of, offsets),
        _sources(rows),
        ", ".join("stdin" if str(p) == "-" else printable(p.resolve().name) for p in paths),
    )  # fmt: skip


def read_run(
    paths: Path | Sequence[Path],
    gold: Gold,
    name: str,
    *,
    allow_missing: bool = False,
    columns: Mapping[str, str] | None = None,
) -> Run:
    """Read predictions and set them beside gold.

    Args:
        paths: files or folders with exactly the columns clip_id, label, score; several are parts
            of one table.
        gold: what they are to be judged by.
        name: what to call them.
        allow_missing: rank gold labels without a prediction last in their clip, tied.
        columns: our name of a column -> theirs.

    Raises:
        RunError: a file is not readable, a score is not a finite number, a label appears twice in
            a clip, a clip or label is not in gold, or (unless allowed) one of gold is missing.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    rows = read(paths, PREDICTIONS.renamed(columns))
    score = rows.numbers("score")
    rows.refuse(
        ~np.isfinite(score),
        lambda i: f"score is {_shown(rows, 'score', i)}; expected a finite number",
    )
    clips, found = _find(rows, gold)
    if len(found) < len(gold.grades):
        missing = _missing(rows, gold, found, allow_missing)
        score = np.append(score, np.full(len(missing), -np.inf))
        gold_rows = np.append(found, missing)
        order = stable_order(gold.clip_of[gold_rows])
    else:
        # Clip after clip; within a clip the order of the file.
        together = (np.diff(clips) >= 0).all()
        order = np.arange(len(clips)) if together else stable_order(clips)
        gold_rows = found
    mine, values = rows.codes("label")
    written, gold_values = gold.rows.codes("label")
    same = pc.index_in(values, value_set=gold_values).fill_null(-1).to_numpy()
    normalised = int((same[mine] != written[found]).sum())
    missed = len(gold.grades) - len(found)
    return Run(name, score[order], gold_rows[order], missed, normalised, rows.sha256, rows.files)


def _shown(rows: Rows, column: str, row: int) -> str:
    value = rows.table[column][row].as_py()
    return "missing" if value is None else repr(value).removesuffix(".0")


def _of_split(rows: Rows, split: str | None) -> Rows:
    """The rows of one split, of which each clip has one record."""

    def held(column: str) -> list[str]:
        codes, values = rows.codes(column)
        there = np.flatnonzero(np.bincount(codes + 1)) - 1
        return sorted(str(values[i].as_py()) if i >= 0 else "None" for i in there.tolist())

    if split is not None:
        there = held("split") if rows.has("split") else []
        if split not in there:
            names = f"its splits: {short(there)}" if there else "it has no column split"
            raise RunError(f"{rows.name}: no split {split!r}; {names}.")
        codes, values = rows.codes("split")
        chosen = codes == values.index(split).as_py()
        if not chosen.all():
            rows = rows.take(np.flatnonzero(chosen))
    for column in ("split", "domain"):
        if rows.has(column) and len(held(column)) > 1:
            raise RunError(
                f"{rows.name}: holds more than one {column}: {short(held(column))}. They must not "
                "be mixed; choose with --split."
            )
    return rows


def _by_first(codes: Ints, values: pa.Array) -> tuple[Ints, pa.Array]:
    """Codes renumbered in the order in which they first appear, and the values that do."""
    first = np.full(len(values), len(codes))
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    order = np.argsort(first, kind="stable")[: (first < len(codes)).sum()]
    renumbered = np.empty(len(values), dtype=np.int64)
    renumbered[order] = np.arange(len(order))
    return renumbered[codes], values.take(pa.array(order))


def _normal(rows: Rows) -> pa.DictionaryArray:
    """Labels in normal form; each different one is worked out once."""
    codes, values = rows.codes("label")
    normal = pa.array([normal_form(label) for label in values.to_pylist()], pa.string())
    coded = normal.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.take(pa.array(codes)), coded.dictionary)


def _codes(labels: pa.DictionaryArray) -> Ints:
    codes: Ints = labels.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _refuse_repeated(
    rows: Rows, clip_of: Ints, labels: pa.DictionaryArray, grades: Ints | None = None
) -> None:
    key = clip_of * len(labels.dictionary) + _codes(labels)
    if (np.diff(np.sort(key)) != 0).all():
        return
    # Stable: of equal keys, the first in the file comes first.
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(np.diff(key[order]) == 0) + 1
    repeated = np.zeros(len(order), dtype=bool)
    repeated[order[again]] = True
    before = np.zeros(len(order), dtype=np.int64)
    before[order[again]] = order[again - 1]

    def why(i: int) -> str:
        first = rows.where(before[i])
        if grades is not None and grades[i] != grades[before[i]]:
            return f"two grades for one label: {grades[i]} here, {grades[before[i]]} in {first}"
        here, there = (rows.table["label"][j].as_py() for j in (i, int(before[i])))
        written = "" if here == there else f" as {short(there)}"
        return f"appears twice, before in {first}{written}"

    rows.refuse(repeated, why)


def _films(rows: Rows, clip_of: Ints, offsets: Ints, clip_ids: pa.Array) -> tuple[Ints, pa.Array]:
    """(n_clips,) each clip's film, and the films."""
    if not rows.has("movie_id"):
        stems = (clip.rpartition("_")[0] or clip for clip in clip_ids.to_pylist())
        coded = pa.array(stems, pa.string()).dictionary_encode()
        return _codes(coded), coded.dictionary
    rows.refuse(blank(rows, "movie_id"), "movie_id is missing or blank")
    codes, values = rows.codes("movie_id")
    first = codes[offsets[:-1]]
    rows.refuse(
        codes != first[clip_of],
        lambda i: (
            f"movie_id is {short(values[codes[i]].as_py())}, but "
            f"{short(values[first[clip_of[i]]].as_py())} in {rows.where(offsets[clip_of[i]])}"
        ),
    )
    return _by_first(first, values)


def _genres(rows: Rows, clip_of: Ints, offsets: Ints) -> pa.ListArray | None:
    if not rows.has("genres"):
        return None
    genres = one_chunk(rows.table["genres"])
    first = genres.take(pa.array(offsets[:-1]))
    coded = first.flatten().dictionary_encode()
    blanks = np.array([*(not value.strip() for value in coded.dictionary.to_pylist()), True])
    empty = blanks[coded.indices.fill_null(-1).to_numpy()]
    clip_of_genre = np.repeat(np.arange(len(first)), first.value_lengths().fill_null(0))
    with_blank = np.isin(clip_of, clip_of_genre[empty])
    rows.refuse(with_blank, "one of the genres is missing or blank")
    if not genres.equals(first.take(pa.array(clip_of))):
        mine, clips = genres.to_pylist(), first.to_pylist()
        wrong = np.array([mine[i] != clips[c] for i, c in enumerate(clip_of)])
        rows.refuse(
            wrong,
            lambda i: (
                f"genres are {short(mine[i])}, but {short(clips[clip_of[i]])} in "
                f"{rows.where(offsets[clip_of[i]])}"
            ),
        )
    return first


def _sources(rows: Rows) -> pa.DictionaryArray | None:
    """(n_labels,) each label's source; a blank one is none, as in formats that know no null."""
    if not rows.has("source"):
        return None
    codes, values = rows.codes("source")
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=blank(rows, "source")), values)


def _find(rows: Rows, gold: Gold) -> tuple[Ints, Ints]:
    """(n_predictions,) the clip and the gold row of each. Refuses unknown and repeated ones."""
    split = f" (split {gold.split})" if gold.split else ""
    codes, values = rows.codes("clip_id")
    known = pc.index_in(values, value_set=gold.clip_ids).fill_null(-1).to_numpy()
    clips = known[codes].astype(np.int64)
    rows.refuse(clips < 0, f"this clip is not in gold{split}")
    labels = _normal(rows)
    gold_labels = gold.labels.dictionary
    width = len(gold_labels) + 1
    places = pc.index_in(labels.dictionary, value_set=gold_labels).fill_null(width - 1).to_numpy()
    wanted = clips * width + places[_codes(labels)]
    keys = gold.clip_of * width + _codes(gold.labels)
    if np.array_equal(wanted, keys):
        return clips, np.arange(len(keys))
    mine, theirs = stable_order(wanted), stable_order(keys)
    found = np.empty(len(wanted), dtype=np.int64)
    if len(wanted) == len(keys) and np.array_equal(wanted[mine], keys[theirs]):
        found[mine] = theirs
        return clips, found
    _refuse_repeated(rows, clips, labels)
    place = np.minimum(np.searchsorted(keys, wanted[mine], sorter=theirs), len(keys) - 1)
    found[mine] = theirs[place]

    def why(i: int) -> str:
        there = gold.labels[gold.offsets[clips[i]] : gold.offsets[clips[i] + 1]].to_pylist()
        near = difflib.get_close_matches(labels[i].as_py()[:200], there, n=1)
        hint = f"; did you mean {short(near[0])}?" if near else ""
        return f"gold{split} has no such label in this clip{hint}"

    rows.refuse(keys[found] != wanted, why)
    return clips, found


def _missing(rows: Rows, gold: Gold, found: Ints, allowed: bool) -> Ints:
    """The gold rows without a prediction. Refuses them unless they are allowed."""
    given = np.zeros(len(gold.grades), dtype=bool)
    given[found] = True
    missing = np.flatnonzero(~given)
    if not allowed:
        clips = gold.rows.table["clip_id"]
        lines = [
            f"clip {short(clips[i].as_py())}, label {short(gold.labels[i].as_py())}; "
            f"gold: {gold.rows.where(i)}"
            for i in missing[:LISTED].tolist()
        ]
        heading = (
            f"{rows.name}: no prediction for {len(missing)} of {len(gold.grades)} gold labels, in "
            f"{len(np.unique(gold.clip_of[missing]))} of {len(gold.clip_ids)} clips. Predict them, "
            "or give --allow-missing to rank them last"
        )
        raise RunError(listed(heading, lines, len(missing)))
    return missing
