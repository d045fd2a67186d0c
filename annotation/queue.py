"""What the first round leaves open: what an adjudicator has to decide."""

from collections import Counter, defaultdict
from typing import Literal

from annotation.forms import GRADING, PAIRS, Form
from annotation.preferences import votes
from annotation.relevance import ADJUDICATION
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

Disputed = Literal["far", "any"]
PAIRS_ADJUDICATION = "pairs-adjudication"
"""The project of the last word on pairs, as `pull` names it."""


def undecided(workspace: Workspace, form: Form, disputed: Disputed) -> set[tuple[str, ...]]:
    """Clip and label (or pair, in alphabetical order) of what people do not agree about.

    Raises:
        UserError: nothing was pulled yet.
    """
    if form is GRADING:
        grades: dict[tuple[str, str], list[int]] = defaultdict(list)
        columns = ["clip_id", "label", "grade", "project"]
        for row in workspace.read("ratings", columns).to_pylist():
            if row["project"] != ADJUDICATION:
                grades[row["clip_id"], row["label"]].append(row["grade"])
        return {key for key, given in grades.items() if is_disputed(given, disputed)}
    if form is PAIRS:
        rows = workspace.read("pair_ratings").to_pylist()
        return {
            key
            for key, counted in votes(
                row for row in rows if row["project"] != PAIRS_ADJUDICATION
            ).items()
            if counted["first"] == counted["second"] > 0
        }
    raise UserError("--adjudicate goes with grading and pairs: screening decides by most voices.")


def is_disputed(grades: list[int], disputed: Disputed) -> bool:
    """Whether a label's grades leave it open.

    far: somebody said high and somebody low, or of three or more no grade has more than half.
    any: not all say the same.
    """
    if disputed == "any":
        return len(set(grades)) > 1
    if max(grades) - min(grades) == 2:
        return True
    return len(grades) > 2 and 2 * max(Counter(grades).values()) <= len(grades)
