"""What is asked: candidates of clips, cut into pages that were not asked before.

Nothing is asked twice: a clip's question that is on a page already, in the same round, is left
out. So more clips, or more candidates of a clip, become new pages, and old ones stay as they are.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from annotation.forms import PAIRS, SCREENING, Form
from annotation.tasks import Page
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of
from lrmovienet.workspace import Workspace

Question = tuple[str, ...]
"""A label, or a pair of labels in alphabetical order."""


def drawn(*parts: object) -> int:
    """A number that depends on these parts alone: 64 bits of a sha256."""
    return int(sha256_of([str(part) for part in parts])[:16], 16)


def candidates_for(workspace: Workspace, form: Form) -> str:
    """The table that is asked about. Raises UserError where it is older than what it is made of."""
    if form is SCREENING:
        return "candidates"
    screened = workspace.manifest("screened")
    if screened and screened.inputs["candidates"] != workspace.require("candidates").digest:
        raise UserError(
            f"{workspace.root}: candidates were made anew since they were screened. Run first: "
            f"lrmovienet aggregate --workspace {workspace.root}"
        )
    return workspace.candidates_table


def questions(
    form: Form, clip_id: str, labels: Sequence[str], pairs_per_clip: int | None, seed: int
) -> list[Question]:
    """All questions about a clip; of pairs as many as it has labels, where no number is given."""
    if form is not PAIRS:
        return [(label,) for label in labels]
    return pairs(clip_id, labels, pairs_per_clip or len(labels), seed)


def pairs(clip_id: str, labels: Sequence[str], at_most: int, seed: int) -> list[Question]:
    """Pairs of a clip's labels, drawn so that they hang together.

    First a chain through all labels in random order, closed to a ring: with as many pairs as
    labels, each is compared twice, and with every other by way of others, as Bradley–Terry
    strengths need. Then further pairs at random. More pairs begin with the fewer.
    """
    chain = sorted(set(labels), key=lambda label: drawn(seed, "chain", clip_id, label))
    ring = zip(chain, [*chain[1:], *chain[:1]], strict=True)
    first = [_ordered(a, b) for a, b in ring if a != b]
    rest = sorted(
        (_ordered(a, b) for a, b in combinations(chain, 2)),
        key=lambda pair: drawn(seed, "pair", clip_id, *pair),
    )
    return list(dict.fromkeys([*first, *rest]))[:at_most]


def _ordered(a: str, b: str) -> Question:
    return (a, b) if a < b else (b, a)


def chosen_clips(clip_ids: Iterable[str], limit: int | None, seed: int) -> list[str]:
    """Clips in the order in which they are asked about, up to a limit; a higher one only adds."""
    in_order = sorted(clip_ids, key=lambda clip_id: drawn(seed, "clip", clip_id))
    return in_order[:limit]


def new_pages(
    form: Form, round: str, asked: Iterable[Page], wanted: Mapping[str, Sequence[Question]]
) -> list[Page]:
    """Pages for the questions that no page of this form and round has yet, clip by clip.

    A clip's questions are spread evenly over as few pages as hold them, at random: which labels are
    graded together must not hang on where they come from.

    Args:
        form: the form.
        round: the first round, or adjudication.
        asked: all pages so far.
        wanted: clip -> its questions.
    """
    before: dict[str, set[Question]] = defaultdict(set)
    for page in asked:
        if (page.form, page.round) == (form.name, round):
            before[page.clip_id].update(page.questions)
    made = []
    for clip_id, all_questions in wanted.items():
        new = [q for q in all_questions if q not in before[clip_id]]
        new.sort(key=lambda question: drawn("page", clip_id, *question))
        for part in _evenly(new, form.slots):
            uid = page_uid(form.name, round, clip_id, part)
            made.append(Page(uid, form.name, round, clip_id, tuple(part)))
    return made


def page_uid(form: str, round: str, clip_id: str, asked: Sequence[Question]) -> str:
    """What names a page on the server: the same for all its annotators, and says nothing."""
    text = sha256_of([form, round, clip_id, sorted(asked)])
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def _evenly(items: Sequence[Question], most: int) -> list[Sequence[Question]]:
    parts = -(-len(items) // most)
    return [items[i * len(items) // parts : (i + 1) * len(items) // parts] for i in range(parts)]
