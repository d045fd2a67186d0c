"""Small sets of queries and documents, in memory and as files of rows."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from baselines.data import Record
from baselines.letor.documents import Documents


def made(
    queries: int = 8,
    features: int = 5,
    seed: int = 0,
    *,
    lengths: Sequence[int] = (),
    levels: int = 3,
    gaps: float = 0.0,
    first_query: int = 1,
    name: str = "made.txt",
    graded: bool = True,
    named: bool = False,
) -> Documents:
    """Lists of 3 to 9 documents, whose grades follow feature 1 with some noise.

    Args:
        queries: how many.
        features: of a document; each with a scale of its own.
        seed: of all that is drawn.
        lengths: of the first lists, where they should be others.
        levels: grades are 0 to `levels` − 1. The first two documents of a list differ in theirs.
        gaps: share of values that are NULL; of feature 1 none is.
        first_query: queries are numbered from here.
        name: of the file.
        graded: whether there are grades.
        named: whether documents have ids.
    """
    draw = np.random.default_rng([11, seed])
    sizes = [*lengths, *draw.integers(3, 10, queries).tolist()][:queries]
    offsets = np.cumsum([0, *sizes])
    x = draw.normal(size=(offsets[-1], features))
    noisy = x[:, 0] + 0.4 * draw.normal(size=len(x))
    grades = np.clip(np.floor(levels / 2 + noisy), 0, levels - 1).astype(np.int64)
    for start, end in pairwise(offsets):
        if end - start > 1 and grades[start] == grades[start + 1]:
            grades[start] = (grades[start] + 1) % levels
    x = 3.0 * draw.normal(size=features) + x * 10.0 ** draw.integers(-1, 3, features)
    x[:, 1:][draw.random((len(x), features - 1)) < gaps] = np.nan
    return Documents(
        name=name,
        sha256=f"{name}-{seed}",
        x=x.astype(np.float32),
        grades=grades if graded else None,
        offsets=offsets,
        queries=tuple(str(first_query + i) for i in range(queries)),
        documents=tuple(f"D{seed}-{row}" for row in range(len(x))) if named else None,
    )


def regraded(documents: Documents, levels: int = 3, seed: int = 5) -> Documents:
    """The same documents with grades that say nothing of them."""
    draw = np.random.default_rng([13, seed])
    return replace(documents, grades=draw.integers(0, levels, len(documents.x)))


def wrote(path: Path, documents: Documents) -> Path:
    """The documents as rows of LETOR, from which `read` gives the same numbers; its path."""
    assert documents.grades is not None
    owners = np.repeat(documents.queries, documents.lengths)
    lines = []
    for row, (query, grade) in enumerate(zip(owners, documents.grades, strict=True)):
        values = [
            f"{column}:{'NULL' if np.isnan(value) else value}"
            for column, value in enumerate(documents.x[row], documents.first_feature)
        ]
        tail = [] if documents.documents is None else [f"#docid = {documents.documents[row]}"]
        lines.append(" ".join([str(grade), f"qid:{query}", *values, *tail]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def wrote_official(folder: Path, parts: Sequence[Documents]) -> Path:
    """Five parts as Fold1 to Fold5: three learn, the next chooses, the last is tested."""
    for fold in range(len(parts)):
        turned = [parts[(fold + i) % len(parts)] for i in range(len(parts))]
        place = folder / f"Fold{fold + 1}"
        rows = [wrote(place / f".{i}", part).read_text() for i, part in enumerate(turned)]
        for name, text in (
            ("train", "".join(rows[:-2])), ("vali", rows[-2]), ("test", rows[-1])
        ):  # fmt: skip
            (place / f"{name}.txt").write_text(text)
        for i in range(len(parts)):
            (place / f".{i}").unlink()
    return folder


def content(records: Sequence[Record]) -> list[tuple[object, ...]]:
    """All that rankers see of records."""
    return [
        (
            record.clip_id, record.domain, record.labels, record.sources, record.genres,
            record.description, record.features, record.pictures, record.tag_scores,
            None if record.vectors is None
            else (record.vectors.shape, record.vectors.dtype, record.vectors.tobytes()),
        )
        for record in records
    ]  # fmt: skip
