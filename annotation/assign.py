"""Who is asked what: balanced overlap, hidden gold, and an order of their own for everyone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from annotation.pages import Question, drawn
from annotation.store import Page
from lrmovienet.errors import UserError


def balanced(
    pages: Sequence[Page],
    annotators: Sequence[str],
    overlap: int,
    seed: int,
    load: Mapping[str, int] | None = None,
) -> dict[str, tuple[str, ...]]:
    """`overlap` annotators a page, each as many pages as the others, and each two as many together.

    Pages are taken one by one in an order drawn from the seed; each goes to those who have fewest
    so far and, among those, to the group whose members have met least. So no two annotators' loads
    differ by more than one page, unless they did before.

    Args:
        pages: the pages to give out.
        annotators: names of the annotators.
        overlap: how many are asked each page.
        seed: another one, other groups.
        load: how many pages each has already.

    Returns:
        A page's uid -> the annotators who are asked it.

    Raises:
        UserError: there are fewer annotators than `overlap`.
    """
    if overlap > len(annotators):
        raise UserError(
            f"--overlap {overlap}: there are {len(annotators)} annotators. Name as many with "
            "--annotators, or more."
        )
    pages_of = Counter({name: (load or {}).get(name, 0) for name in annotators})
    met: Counter[tuple[str, str]] = Counter()
    given = {}
    for page in sorted(pages, key=lambda page: drawn(seed, "page", page.uid)):
        fewest = sorted(annotators, key=lambda name: (pages_of[name], drawn(seed, page.uid, name)))
        chosen: list[str] = []
        for _ in range(overlap):
            left = [name for name in fewest if name not in chosen]
            least = pages_of[left[0]]
            chosen.append(
                min(
                    (name for name in left if pages_of[name] == least),
                    key=lambda name: (
                        sum(met[_pair(name, other)] for other in chosen),
                        drawn(seed, page.uid, name),
                    ),
                )
            )
        given[page.uid] = tuple(sorted(chosen))
        pages_of.update(chosen)
        met.update(_pair(a, b) for a, b in combinations(chosen, 2))
    return given


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def gold_wanted(ordinary: float, share: float) -> int:
    """How many gold pages make `share` of an annotator's pages, given the ordinary ones."""
    return round(ordinary * share / (1 - share))


def shuffled(page: Page, annotator: str, seed: int) -> tuple[Question, ...]:
    """A page's questions in the order in which an annotator is shown them.

    The two labels of a pair are swapped for half of the pairs, so that no side is favoured.
    """

    def order(question: Question) -> int:
        return drawn(seed, annotator, page.uid, *question)

    return tuple(
        question if len(question) < 2 or order(question) % 2 else (question[1], question[0])
        for question in sorted(page.questions, key=order)
    )
