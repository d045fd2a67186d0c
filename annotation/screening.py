"""What people say of candidates before grading -> the candidates that are graded."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from lrmovienet.runner import Columns


def screened(candidates: Sequence[dict[str, Any]], screenings: Sequence[dict[str, Any]]) -> Columns:
    """Rows of `candidates` and `screenings` -> columns of `screened`.

    A candidate stays unless most drop it: ties are for keeping, as a label that should not be
    there can still be graded low. It gets another form if at least as many correct it as keep it
    and more than half of those agree on the form. A form that the clip has already is merged into
    it. Candidates that nobody screened stay as they are.
    """
    said: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in screenings:
        said[row["clip_id"], row["label"]].append(row)
    names = ("clip_id", "label", "position", "sources", "drop_reason")
    columns: Columns = {name: [] for name in names}
    kept: dict[tuple[str, str], int] = {}
    for row in sorted(candidates, key=lambda row: (row["clip_id"], row["position"])):
        label, reason = _verdict(row["label"], said[row["clip_id"], row["label"]])
        same = kept.get((row["clip_id"], label)) if reason is None else None
        if same is not None:
            columns["sources"][same] = columns["sources"][same] + [
                source for source in row["sources"] if source not in columns["sources"][same]
            ]
            reason = f"screening: {row['label']!r} is {label!r}, which the clip has already"
        if reason is None:
            kept[row["clip_id"], label] = len(columns["label"])
        shown = label if reason is None else row["label"]
        values = (row["clip_id"], shown, row["position"], list(row["sources"]), reason)
        for name, value in zip(names, values, strict=True):
            columns[name].append(value)
    return columns


def _verdict(label: str, said: Sequence[dict[str, Any]]) -> tuple[str, str | None]:
    """The form in which a label stays, or why it does not."""
    verdicts = Counter(row["verdict"] for row in said)
    if verdicts["drop"] > verdicts["keep"] + verdicts["correct"]:
        return label, f"screening: dropped by {verdicts['drop']} of {len(said)}"
    forms = Counter(row["correction"] for row in said if row["correction"] is not None)
    if forms and verdicts["correct"] >= verdicts["keep"]:
        form, n = min(forms.items(), key=lambda item: (-item[1], item[0]))
        if 2 * n > verdicts["correct"]:
            return str(form), None
    return label, None
