"""What a scoring says: the fields of the JSON, checked whenever one is written or read.

The classes below are the schema. A file made under an older schema is brought up to this one when
it is read; one made under a newer schema is refused. `docs/scoring.md` lists the fields.
"""

import json
import math
import os
import tempfile
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from eval.messages import short
from eval.ndcg import Empty, Gain
from eval.ranking import Ties

SCHEMA_VERSION = 3
"""Raised when a field of the JSON changes meaning, name or type."""

SCORER_VERSION = "2"
"""Raised when the same files and options would give another number."""

LARGEST = 256 * 2**20
"""Bytes; a larger file is no result."""

COUNTED = {"most": 1e15}
"""Marks fields that are 0 to so much; of a larger number a table would be no table."""

Regime = Literal["R0", "R1", "R2"]
"""What a method was allowed to see: R0 source grades only, R1 also the target's preference pairs,
R2 also unlabelled target records."""


class ResultError(ValueError):
    """A file is not a result. The message says where and what was expected."""


@dataclass(frozen=True)
class Conventions:
    """What defines the numbers besides their names; `docs/scoring.md` explains each."""

    gain: Gain
    ties: Ties
    empty: Empty
    relevant_from: int | None
    """The lowest grade that counts as relevant in MRR, precision and recall; null in version 1."""
    max_grade: int
    compat: Literal["paper"] | None = None


@dataclass(frozen=True)
class About:
    """What the scorer was told and cannot check; null where it was not told."""

    dataset: str | None = None
    revision: str | None = None
    protocol: str | None = None
    regime: Regime | None = None


@dataclass(frozen=True)
class GoldInfo:
    """The graded labels."""

    name: str
    sha256: str
    split: str | None
    clips: int
    films: int | None
    """Null in version 1."""
    labels: int
    clips_without_relevant_label: int
    """Clips in which every label has the grade 0."""
    clips_skipped: int
    """Of those, the ones that NDCG leaves out."""
    film_ids: tuple[str, ...] = ()
    """(n_films,) in the order in which gold names them."""
    film_clips: tuple[int, ...] = ()
    """(n_films,) clips that NDCG counts."""


@dataclass(frozen=True)
class Bootstrap:
    """How the intervals were made."""

    replicates: int
    seed: int
    confidence: float
    resampled: Literal["films"] = "films"


@dataclass(frozen=True)
class Estimate:
    """A mean over clips, and its interval; null where there is none (too few films)."""

    mean: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Group:
    """A part of gold: the clips of one genre, or the labels of one source."""

    clips: int
    """Clips that NDCG counts in this part."""
    films: int
    measures: dict[str, Estimate]
    """NDCG alone."""


@dataclass(frozen=True)
class Training:
    """How the ranker behind a run came about, as the benchmark that trained it says."""

    method: str
    """Runs of one method and regime that differ in their seed alone are one row of a table."""
    seed: int | None = field(metadata=COUNTED)
    """Null for a method that draws nothing, which is run once."""
    key: str
    """Hash of all that the run was made from."""
    ranker: str
    """Hash of the ranker's files."""
    options: dict[str, str]
    """What is not as usual, as on the command line; the seed is not among them."""
    trials: int = field(metadata=COUNTED)
    """Draws of options that were judged on the development split before; 0: the usual ones."""
    parameters: int | None = field(metadata=COUNTED)
    """Trained numbers in the ranker; null where nothing is counted."""
    seconds: float | None = field(metadata=COUNTED)
    """Wall time of its training alone; null where it is not known."""
    seconds_before: float | None = field(metadata=COUNTED)
    """Wall time of the trainings of all that it started from."""
    command: str
    date: str
    hardware: str
    published: str | None = None
    """The row of `eval.published` that the method is named after."""


@dataclass(frozen=True)
class RunResult:
    """One set of predictions."""

    name: str
    sha256: str
    measures: dict[str, Estimate]
    """By names such as ``ndcg@5``, ``mrr``, ``pair_accuracy``."""
    normalised: dict[str, float | None]
    """(mean − random) / (oracle − random): 0 is a random order, 1 the ideal one."""
    tied_pairs: float
    """Share of the pairs of labels of a clip that have equal scores."""
    missing_labels: int
    labels_matched_in_normal_form_only: int
    by_genre: dict[str, Group] = field(default_factory=dict)
    by_source: dict[str, Group] = field(default_factory=dict)
    by_film: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """ndcg@k -> (n_films,) sums over a film's clips, so that two results can be compared in pairs
    without their predictions."""
    training: Training | None = None
    """Null before version 3, and for predictions that no benchmark made."""


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same clips."""

    a: str
    b: str
    measure: str
    difference: Estimate
    """a − b, with the interval of the paired difference."""
    p: float
    """Sign-flip randomisation over films, two-sided."""
    p_holm: float
    """Corrected for every comparison in this result."""


@dataclass(frozen=True)
class Result:
    """Everything one call of the scorer found."""

    conventions: Conventions
    about: About
    gold: GoldInfo
    k: tuple[int, ...]
    bootstrap: Bootstrap | None
    references: dict[str, dict[str, float | None]]
    """random (expected), oracle and worst -> measure -> mean over clips."""
    runs: tuple[RunResult, ...]
    comparisons: tuple[Comparison, ...] = ()
    schema_version: int = SCHEMA_VERSION
    scorer_version: str = SCORER_VERSION

    @property
    def measure(self) -> str:
        """The full name of NDCG here. Two numbers of one name measure the same."""
        rules = self.conventions
        return f"nDCG(gain={rules.gain},ties={rules.ties},empty={rules.empty})@k"


def to_json(result: Result) -> str:
    """A result as text, whole numbers as such, ending in a line feed.

    Raises:
        ResultError: a value is not of its type, or not finite.
    """
    plain = asdict(result)
    try:
        _decode(Result, json.loads(json.dumps(plain)), "")
    except TypeError as error:
        raise ResultError(f"not a result ({error})") from None
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Result:
    """The inverse of `to_json`; reads every schema version up to this one.

    Raises:
        ResultError: the text is not JSON, of a newer version, or a field is missing, unknown or of
            another type.
    """
    try:
        return _from_content(json.loads(text))
    except ResultError:
        raise
    except (ValueError, RecursionError) as error:
        raise ResultError(f"not JSON ({error})") from None


def _from_content(content: Any) -> Result:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if type(version) is not int or version < 1:
        raise ResultError("no result of eval/score.py: it has no schema_version")
    if version > SCHEMA_VERSION:
        raise ResultError(
            f"made by a newer scorer (schema {version}; this one reads up to {SCHEMA_VERSION}). "
            "Update this checkout"
        )
    if version == 1:
        content = _from_version_1(content)
    if version == 2:  # it lacks `training`, which may be lacking
        content = {**content, "schema_version": SCHEMA_VERSION}
    result: Result = _decode(Result, content, "")
    return result


def read(path: Path) -> Result:
    """Read a result. Raises ResultError with the file's name when that fails."""
    try:
        if path.stat().st_size > LARGEST:
            raise ResultError(f"larger than {LARGEST // 2**20} MiB, so no result")
        return from_json(path.read_text(encoding="utf-8-sig"))
    except (ResultError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: {error}.") from None
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}.") from None


def write(files: Mapping[Path, bytes]) -> None:
    """Write files, all of them or none.

    Args:
        files: path -> its bytes.

    Raises:
        ResultError: one cannot be written; those that were there before are as they were.
    """
    staged: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path in files:
            if path.is_dir():
                raise ResultError(f"{path}: is a folder; give a file.")
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
            os.close(handle)
            staged.append((Path(name), path))
            Path(name).write_bytes(content)
            with Path(name).open("rb+") as file:
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
        for temporary, path in staged:
            temporary.replace(path)
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror or error}).") from None
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)


def _decode(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as the type of its field."""
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _decode_object(hint, value, where)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        (kept,) = [part for part in inner if part is not type(None)]
        return _decode(kept, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_decode(inner[0], part, f"{where}[{i}]") for i, part in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {
            _decode(str, key, f"a key of {where}"): _decode(inner[1], part, f"{where}[{key!r}]")
            for key, part in value.items()
        }
    if origin is Literal and type(value) is str and value in inner:
        return value
    # Whole numbers are bounded: float() of an endless one overflows.
    if hint is float and type(value) in (int, float) and -1e300 < value < 1e300:
        return float(value)
    if hint is int and type(value) is int:
        return value
    # Half a surrogate pair is JSON, but no text that could be written again.
    if hint is str and type(value) is str and not any("\ud800" <= c <= "\udfff" for c in value):
        return value
    expected = (
        " or ".join(map(repr, inner)) if origin is Literal else getattr(hint, "__name__", hint)
    )
    raise ResultError(f"{where} is {short(value)}, expected {expected}")


def _decode_object(hint: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ResultError(f"{where or 'the file'} is {short(value)}, expected an object")
    prefix = f"{where}." if where else ""
    hints = get_type_hints(hint)
    needed = [f.name for f in fields(hint) if f.default is MISSING and f.default_factory is MISSING]
    if absent := [name for name in needed if name not in value]:
        raise ResultError(f"{prefix}{absent[0]} is missing")
    if unknown := [name for name in value if name not in hints]:
        raise ResultError(f"{prefix}{short(unknown[0])} is no field of a result")
    decoded = {name: _decode(hints[name], part, prefix + name) for name, part in value.items()}
    for f in fields(hint):
        most, found = f.metadata.get("most"), decoded.get(f.name)
        if most is not None and found is not None and not 0 <= found <= most:
            raise ResultError(f"{prefix}{f.name} is {short(found)}, expected 0 to {most:g}")
    return hint(**decoded)


def _from_version_1(old: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had NDCG alone, without intervals, films or further conventions."""

    def by_k(numbers: dict[str, Any]) -> dict[str, Any]:
        return {f"ndcg@{k}": number for k, number in numbers.items()}

    def run(entry: dict[str, Any]) -> dict[str, Any]:
        kept = {name: part for name, part in entry.items() if name != "ndcg"}
        measures = {name: {"mean": mean} for name, mean in by_k(entry["ndcg"]).items()}
        return kept | {"measures": measures, "normalised": by_k(entry["normalised"])}

    try:
        ties, empty = (old["conventions"][name].partition(":")[0] for name in ("ties", "empty"))
        return {
            "schema_version": SCHEMA_VERSION,
            "scorer_version": old["scorer"]["version"],
            "conventions": {
                "gain": "exp",
                "ties": "average" if ties == "mean" else ties,
                "empty": empty,
                "relevant_from": None,
                "max_grade": 2,
            },
            "about": {},
            "gold": old["gold"] | {"films": None},
            "k": old["k"],
            "bootstrap": None,
            "references": {name: by_k(numbers) for name, numbers in old["floors"].items()},
            "runs": [run(entry) for entry in old["runs"]],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"not a result of version 1 ({error!r})") from None


def estimates(
    names: Sequence[str], means: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> dict[str, Estimate]:
    """Name -> estimate; NaN becomes null."""
    rows = zip(names, means, lows, highs, strict=True)
    return {name: Estimate(*(number(x) for x in row)) for name, *row in rows}


def number(value: float) -> float | None:
    """A finite float, or None for NaN."""
    return None if math.isnan(value) else float(value)
