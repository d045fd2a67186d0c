"""How LambdaMART's trees are grown: options of the ranker and of its verb."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TreeOptions:
    """How the trees are grown."""

    objective: Literal["lambdarank", "xendcg"] = "lambdarank"
    """Pairs weighted by NDCG, or a listwise cross-entropy."""
    trees: int = 1000
    """Number of trees, at the most."""
    patience: int = 100
    """Stop after this many trees without a better NDCG@5 on dev."""
    learning_rate: float = 0.05
    """What each tree adds is multiplied by this."""
    leaves: int = 31
    """Leaves of a tree, at the most."""
    min_data: int = 50
    """Labels in a leaf, at the least."""
    column_share: float = 1.0
    """Share of the columns that each tree looks at."""
    truncation: int = 30
    """lambdarank counts pairs with one label among this many first."""
    components: int = 64
    """Principal components kept of each block of embeddings."""
    pair_weight: float = 1.0
    """Weight of a target pair beside a source record."""
    threads: int = 1
    """CPU threads. Another number can change the last bits."""
    seed: int = 0
    """Seed of all draws of the trees; 0 or more."""
