"""What a source has in common with what chooses weights or is tested: refused, or told."""

from baselines.letor.documents import Documents
from baselines.letor.folds import Fold
from baselines.letor.leaks import Printed, compare, printed
from lrmovienet.errors import UserError

COPIED = 0.05
"""Share of a fold's vali and test rows that may be in the source, bit for bit; more is no chance.
"""


class Overlap:
    """Over all folds."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.rows = 0
        """Rows of vali and test parts that are in the source, bit for bit."""
        self.queries: set[str] = set()
        """Ids in both."""
        self.documents: set[str] = set()
        """Ids in both."""
        self._source: Printed | None = None

    def add(self, source: Documents, fold: Fold) -> None:
        """Compare a fold with what its rankers learn of the source.

        Raises:
            UserError: more of the fold's rows are in the source than chance puts there.
        """
        if self._source is None or self._source.documents.sha256 != source.sha256:
            self._source = printed(source)  # official sets have another one a fold
        found = compare([self._source], [printed(fold.vali), printed(fold.test)])
        equal, rows = len(found.equal), len(fold.vali.x) + len(fold.test.x)
        if equal > rows * COPIED:
            names = " and ".join(dict.fromkeys([fold.vali.name, fold.test.name]))
            raise UserError(
                f"{source.name}: {equal:,} of the {rows:,} rows of {names} that choose or are "
                f"tested in fold {fold.number} are in it, so their grades would be learned. Give "
                "another --source."
            )
        self.rows += equal
        self.queries |= {*(found.queries or ())}
        self.documents |= {*(found.documents or ())}

    def __bool__(self) -> bool:
        """Whether there is anything in common."""
        return bool(self.rows or self.queries or self.documents)

    def __str__(self) -> str:
        """It in words."""
        return (
            f"the source and what chooses or is tested share {self.rows:,} equal rows, "
            f"{len(self.queries):,} ids of queries and {len(self.documents):,} of documents"
        )
