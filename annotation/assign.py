"""Who is asked what: balanced overlap, hidden gold, and an order of their own for everyone."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

from annotation.pages import Question, drawn
from annotation.tasks import Page


def balanced(
    pages: Sequence[Page],
    annotators: Sequence[str],
    overlap: int,
    seed: int,
    have: Mapping[str, Collection[str]] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Further annotators for each page, up to `overlap`: evenly many pages, and pairs, for all.

    Pages are taken one by one in an order drawn from the seed; each goes to those who have fewest
    so far and, among those, to the group whose members have met least. So no two annotators' loads
    differ by more than one page, unless they did before.

    Args:
        pages: the pages to give out.
        annotators: who can be asked.
        overlap: how many are to be asked each page, those who were included.
        seed: another one, other groups.
        have: a page's uid -> who was asked it before, for these pages and others.

    Returns:
        A page's uid -> who is asked it now, in alphabetical order. Fewer than are missing where
        there are no more.
    """
    have = have or {}
    pages_of = Counter(dict.fromkeys(annotators, 0))
    met: Counter[tuple[str, str]] = Counter()
    for asked in have.values():
        pages_of.update(name for name in asked if name in pages_of)
        met.update(_pair(a, b) for a, b in combinations(asked, 2))
    given = {}
    for page in sorted(pages, key=lambda page: drawn(seed, "page", page.uid)):
        together = list(have.get(page.uid, ()))
        chosen: list[str] = []
        while len(together) < overlap:
            left = [name for name in annotators if name not in together]
            if not left:
                break
            chosen.append(
                min(
                    left,
                    key=lambda name: (
                        pages_of[name],
                        sum(met[_pair(name, other)] for other in together),
                        drawn(seed, page.uid, name),
                    ),
                )
            )
            met.update(_pair(chosen[-1], other) for other in together)
            together.append(chosen[-1])
        given[page.uid] = tuple(sorted(chosen))
        pages_of.update(chosen)
    return given


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def gold_wanted(
    fresh: int, overlap: int, people: int, share: float, own: int = 0, gold: int = 0
) -> int:
    """How many of the new pages to make gold, so that gold is `share` of each one's pages.

    A gold page is asked of everybody, and no longer of `overlap` people alone. With G of F new
    pages, somebody has (own + (F - G) * overlap) / people ordinary pages and gold + G others.

    Args:
        fresh: F, the number of new pages.
        overlap: how many people an ordinary page is asked of.
        people: how many people there are.
        share: gold among somebody's pages.
        own: ordinary pages that the people have already, of all of them together.
        gold: gold pages that each of them has already.
    """
    ordinary = (own + fresh * overlap) / people
    wanted = (share * ordinary - (1 - share) * gold) / (1 - share + share * overlap / people)
    return min(max(round(wanted), 0), fresh)


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
