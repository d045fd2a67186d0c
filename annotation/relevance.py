"""Several people's grades -> one grade a label.

The tie rule, for every method: of two grades that are as good, the lower one. A label is called
relevant only if most say so. An adjudicator's grade, where there is one, is the last word.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import Any, Literal

from lrmovienet.runner import Columns

Method = Literal["median", "majority", "dawid-skene"]
Key = tuple[str, str]
"""A clip and a label."""
ADJUDICATION = "grading-adjudication"
"""The project of the last word, as `pull` names it."""
NAMES = {"median": "median-low", "majority": "majority-low", "dawid-skene": "dawid-skene"}


def relevance(
    ratings: Sequence[dict[str, Any]], min_ratings: int = 1, method: Method = "median"
) -> Columns:
    """Rows of the table `ratings` -> columns of `relevance`, by clip and label."""
    given = _by_label(row for row in ratings if row.get("project") != ADJUDICATION)
    decided = _by_label(row for row in ratings if row.get("project") == ADJUDICATION)
    final = last_words(ratings)
    found = _METHODS[method](given, ratings)
    rows = []
    for clip_id, label in sorted({*given, *decided}):
        key = (clip_id, label)
        grades = given.get(key) or decided[key]
        n = len(given.get(key, ())) + len(decided.get(key, ()))
        rows.append(
            {
                "clip_id": clip_id,
                "label": label,
                "grade": final[key] if key in final else found[key],
                "n_ratings": n,
                "spread": max(grades) - min(grades),
                "method": "adjudicated" if key in final else NAMES[method],
                "drop_reason": (
                    f"rated {n} times, fewer than {min_ratings}" if n < min_ratings else None
                ),
            }
        )
    names = ("clip_id", "label", "grade", "n_ratings", "spread", "method", "drop_reason")
    return {name: [row[name] for row in rows] for name in names}


def last_words(ratings: Iterable[dict[str, Any]]) -> dict[Key, int]:
    """What adjudicators decided; of several, the lower median."""
    decided = _by_label(row for row in ratings if row.get("project") == ADJUDICATION)
    return {key: median_low(grades) for key, grades in decided.items()}


def _by_label(ratings: Iterable[dict[str, Any]]) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = defaultdict(list)
    for row in ratings:
        found[row["clip_id"], row["label"]].append(row["grade"])
    return dict(found)


def _median(given: Mapping[Key, list[int]], ratings: Sequence[dict[str, Any]]) -> dict[Key, int]:
    return {key: median_low(grades) for key, grades in given.items()}


def _majority(given: Mapping[Key, list[int]], ratings: Sequence[dict[str, Any]]) -> dict[Key, int]:
    found = {}
    for key, grades in given.items():
        votes = Counter(grades)
        found[key] = min(g for g, n in votes.items() if n == max(votes.values()))
    return found


def _dawid_skene(
    given: Mapping[Key, list[int]], ratings: Sequence[dict[str, Any]]
) -> dict[Key, int]:
    probabilities, _ = dawid_skene([r for r in ratings if r.get("project") != ADJUDICATION])
    return {
        key: min(grades, key=lambda grade: (-round(grades[grade], 9), grade))
        for key, grades in probabilities.items()
    }


_METHODS = {"median": _median, "majority": _majority, "dawid-skene": _dawid_skene}


def dawid_skene(
    ratings: Sequence[dict[str, Any]],
) -> tuple[dict[Key, dict[int, float]], dict[str, dict[int, dict[int, float]]]]:
    """Each label's grades and each annotator's errors, estimated together.

    Dawid and Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm,
    Applied Statistics 28 (1979), by crowd-kit. Grades are taken as classes without an order.

    Returns:
        Clip and label -> grade -> its probability; annotator -> true grade -> given grade -> how
        often it is given.
    """
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    if not ratings:
        return {}, {}
    keys = sorted({(row["clip_id"], row["label"]) for row in ratings})
    place = {key: i for i, key in enumerate(keys)}
    rows = sorted(
        (place[row["clip_id"], row["label"]], row["annotator"], row["grade"]) for row in ratings
    )
    data = pd.DataFrame(rows, columns=["task", "worker", "label"])
    model = DawidSkene(n_iter=200, tol=1e-8)
    probabilities = model.fit_predict_proba(data)
    of_labels = {
        keys[task]: {int(grade): float(p) for grade, p in row.items()}
        for task, row in probabilities.to_dict("index").items()
    }
    errors: dict[str, dict[int, dict[int, float]]] = {}
    assert model.errors_ is not None, "it was fitted"
    for (annotator, grade), row in model.errors_.iterrows():
        for true, share in row.items():
            errors.setdefault(annotator, {}).setdefault(int(true), {})[int(grade)] = float(share)
    return of_labels, errors
