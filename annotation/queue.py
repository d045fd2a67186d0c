"""What the first round leaves open: what an adjudicator has to decide."""

from annotation.forms import PAIRS, Form
from lrmovienet.workspace import Workspace


def undecided(workspace: Workspace, form: Form) -> set[tuple[str, ...]]:
    return set()
