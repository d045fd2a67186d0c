"""What the benchmark trains: each method is a verb of `train` and what is said to it.

A new method is a line in `METHODS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from baselines.data import Regime

Value = str | int | float | bool
"""Of an option."""
Options = Mapping[str, Value]


@dataclass(frozen=True)
class Method:
    """How a method is trained."""

    verb: str
    """The verb of `lrmovienet` that trains it."""
    regimes: Mapping[Regime, Options]
    """What the verb is told in each regime in which the method can be trained."""
    options: Options = field(default_factory=dict)
    """What it is told in all of them."""
    search: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    """The space in which options are looked for on target_dev; empty: there is nothing to tune."""
    starts_from: Mapping[str, str] = field(default_factory=dict)
    """Option -> the method whose ranker of the same seed is given to it. It has one regime."""
    seeded: bool = True
    """Whether a seed changes anything."""
    needs: tuple[str, ...] = ()
    """Options that a person must give (`--given METHOD.OPTION=VALUE`), such as a checkpoint."""
    published: str | None = None
    """Its row in the paper's table (`eval.published`)."""
    cost: float = 1.0
    """About how long a training takes, against ListNet's; the longest begin first."""


RATES = (3e-4, 1e-3, 3e-3)
"""Learning rates of small networks."""
LISTS: Mapping[str, tuple[Value, ...]] = {
    "learning_rate": (1e-4, *RATES), "dropout": (0.1, 0.3, 0.5), "weight_decay": (0.01, 0.1, 1.0),
}  # fmt: skip
"""The space of all networks of learning to rank, so that none has more room than another."""
FINE_TUNING: Mapping[str, tuple[Value, ...]] = {
    "learning_rate": (1e-4, 3e-4, 1e-3), "epochs": (2, 4, 8),
}  # fmt: skip
"""The space of what goes on from stage 1's weights; what else a method has comes on top."""
R0: Mapping[Regime, Options] = {"R0": {}}
R1: Mapping[Regime, Options] = {"R1": {}}
R2: Mapping[Regime, Options] = {"R2": {}}
BOTH: Mapping[Regime, Options] = {"R0": {"regime": "R0"}, "R1": {"regime": "R1"}}
BOTH_BY_SHARE: Mapping[Regime, Options] = {"R0": {"percent": 0}, "R1": {"percent": 10}}
BASE = {"base": "lr2ppo-base"}
BASE_AND_REWARD = {**BASE, "reward": "lr2ppo-reward"}

FLOORS = {
    "random": Method("train random", R0),
    "prior": Method("train prior", R0, seeded=False),
    "frequency": Method("train frequency", R0, seeded=False),
    "lexical": Method("train lexical", R0, seeded=False),
    "bm25": Method("train bm25", R0, seeded=False),
    "text-cosine": Method("train text-cosine", R0, seeded=False),
    "sentence-cosine": Method("train sentence-cosine", R0, seeded=False),
    "image-tag": Method("train image-tag", R0, seeded=False),
}
"""What learns nothing, or next to nothing."""

OPEN_VOCABULARY = {
    "clip": Method(
        "train clip", R0, seeded=False, needs=("checkpoint",), published="CLIP", cost=2,
    ),
    "mkt": Method(
        "train mkt", R0, seeded=False, needs=("clip", "image_tower", "text_tower"),
        published="MKT", cost=4,
    ),
}  # fmt: skip
"""What was trained on other data."""

STAGES = {
    "lr2ppo-base": Method(
        "train lr2ppo-base", R0, published="LR2PPO (S1)", cost=8,
        search={"learning_rate": RATES, "epochs": (4, 6, 10), "beta": (0.3, 1.0)},
    ),
    "lr2ppo-reward": Method(
        "train lr2ppo-reward", R1, starts_from=BASE, cost=8,
        search={**FINE_TUNING, "source_pairs": (5, 20)},
    ),
    "lr2ppo": Method(
        "train lr2ppo", R2, starts_from=BASE_AND_REWARD, published="LR2PPO", cost=12,
        search={
            "learning_rate": (1e-4, 3e-4, 1e-3), "iterations": (2, 4, 8),
            "annotated_weight": (0.5, 1.0, 2.0),
        },
    ),
}  # fmt: skip
"""LR²PPO."""

CONTROLS = {
    "preference": Method(
        "train preference", R1, starts_from=BASE, cost=8,
        search={**FINE_TUNING, "source_pairs": (5, 20)},
    ),
    **{
        f"preference-{loss}": Method(
            "train preference", R1, {"loss": loss}, starts_from=BASE, cost=8,
            search={**FINE_TUNING, "source_pairs": (5, 20)},
        )
        for loss in ("dpo", "ipo")
    },
    # It learns a record's whole order, which all pairs of the record make.
    "preference-pl-dpo": Method(
        "train preference", R1, {"loss": "pl-dpo"}, starts_from=BASE, cost=8, search=FINE_TUNING,
    ),
    "distillation": Method(
        "train distillation", R2, starts_from=BASE_AND_REWARD, cost=12,
        search={**FINE_TUNING, "annotated_weight": (0.0, 1.0)},
    ),
    "pl-rank": Method(
        "train pl-rank", BOTH_BY_SHARE, starts_from=BASE, cost=8,
        search={**FINE_TUNING, "temperature": (0.5, 1.0)},
    ),
    "grpo": Method(
        "train grpo", BOTH_BY_SHARE, starts_from=BASE, cost=8,
        search={**FINE_TUNING, "temperature": (0.5, 1.0)},
    ),
}  # fmt: skip
"""What the paper lacks: the same start and the same pairs, without reinforcement learning."""

LISTWISE = {
    "listnet": Method("train listnet", BOTH, search=LISTS, published="ListNet"),
    "dlcm": Method("train dlcm", BOTH, search=LISTS, starts_from=BASE, published="DLCM", cost=3),
    "prm": Method("train prm", BOTH, search=LISTS, starts_from=BASE, published="PRM"),
    "gsf-1": Method("train gsf", BOTH, {"group": 1}, search=LISTS),
    "gsf": Method("train gsf", BOTH, {"group": 2}, search=LISTS, published="GSF", cost=2),
    "setrank": Method("train setrank", BOTH, search=LISTS, published="SetRank"),
    "setrank-imsab": Method("train setrank", BOTH, {"inducing": 20}, search=LISTS),
    "rankformer": Method("train rankformer", BOTH, search=LISTS, published="RankFormer"),
    "context": Method("train context", BOTH, search=LISTS, cost=2),
    "dasalc": Method("train dasalc", BOTH, search=LISTS, cost=2),
}  # fmt: skip
"""Learning to rank, in the features track."""

METHODS: dict[str, Method] = {
    **FLOORS, **OPEN_VOCABULARY, **STAGES, **CONTROLS, **LISTWISE,
    **{
        f"{name}-stage1": replace(
            method, options={**method.options, "track": "stage1"}, starts_from=BASE, published=None
        )
        for name, method in LISTWISE.items()
    },
    "lambdamart": Method(
        "train lambdamart", BOTH, seeded=False,  # it draws only where columns are left out
        search={
            "learning_rate": (0.02, 0.05, 0.1), "leaves": (7, 15, 31), "min_data": (20, 50, 100),
        },
    ),
    "dcpg": Method(
        "train dcpg", BOTH, cost=6,
        search={
            "learning_rate": (4e-4, 1e-3, 2e-3), "scale": (10.0, 20.0, 30.0),
            "policy_weight": (0.03, 0.1, 0.3),
        },
    ),
}  # fmt: skip
"""Name in the table -> how it is trained; those that others start from come before these."""
