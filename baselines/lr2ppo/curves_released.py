"""The released logs of LR²PPO, as far as they were parsed into tables: curves of another data set.

The tables are not part of the project. They hold what the logs of the official code (GitHub
ChazzyGordon/LR2PPO, commit 67d7a86, Apache-2.0) print at each evaluation. All scores are of the
validation set, which also chose the checkpoint, and are means over four models that shared nothing.
"""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from lrmovienet.errors import UserError, shorten
from lrmovienet.files import sha256_file

SOURCE = "logs in github.com/ChazzyGordon/LR2PPO, commit 67d7a86 (Apache-2.0)"
KS = (1, 3, 5, 10, 20)
_NDCG = {f"ndcg@{k}": f"dev_ndcg@{k}" for k in KS}
FILES = {
    1: ("stage1_pointwise.csv", "eval", {"train_loss": "loss", **_NDCG}),
    2: (
        "stage2_reward.csv", "eval",
        {"train_loss": "loss", "train_acc": "train_accuracy", "val_acc": "dev_accuracy"},
    ),
    3: (
        "stage3_ppo.csv", "update",
        {
            "policy_loss": "policy_loss", "critic_loss": "value_loss", "kl_penalty": "kl",
            "old_values": "old_value", "values": "value", "rewards_ori": "reward",
            "reward": "penalised_reward", "rank_loss": "rank_loss", "advantages": "advantage",
            "entropy": "entropy", **_NDCG,
        },
    ),
}  # fmt: skip
"""Stage -> its file, the column that numbers its rows, and their columns -> our names."""


@dataclass(frozen=True)
class Released:
    """One released log."""

    stage: int
    x: tuple[int, ...]
    """Evaluations in stages 1 and 2, updates in stage 3; from 1."""
    values: dict[str, tuple[float, ...]]
    """Quantity, by our name -> a value for each x."""
    sha256: str
    """Of the file it was read from."""


def read_released(folder: Path) -> dict[int, Released]:
    """The three released logs, by stage.

    Raises:
        UserError: a file or a column is missing, or a cell is no number.
    """
    missing = [name for name, _, _ in FILES.values() if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"--released {folder}: no {', '.join(missing)} there. Give the folder that holds "
            f"{', '.join(name for name, _, _ in FILES.values())}."
        )
    return {stage: _read(folder / FILES[stage][0], stage) for stage in FILES}


def _read(path: Path, stage: int) -> Released:
    _, counter, names = FILES[stage]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file ({error}). Get it again.") from None
    header = table[0] if table else []
    missing = [name for name in (counter, *names) if name not in header]
    if missing:
        raise UserError(
            f"{path}: has no column {', '.join(missing)} (its first line is "
            f"{shorten(','.join(header))}). Get the file again."
        )
    if len(table) < 2:
        raise UserError(f"{path}: has no rows. Get the file again.")
    x = list[int]()
    values: dict[str, list[float]] = {name: [] for name in names.values()}
    for number, row in enumerate(table[1:], 2):
        cells = dict(zip(header, row, strict=False))
        for column, name in {counter: "", **names}.items():
            value = _number(cells.get(column, ""))
            if value is None:
                raise UserError(
                    f"{path}, line {number}: {column} is {shorten(cells.get(column, ''))}, no "
                    "number. Get the file again."
                )
            if name:
                values[name].append(value)
            elif value != int(value) or (x and value <= x[-1]):
                raise UserError(
                    f"{path}, line {number}: {column} {value:g} after {x[-1] if x else 'nothing'}. "
                    "Get the file again."
                )
            else:
                x.append(int(value))
    columns = {name: tuple(column) for name, column in values.items()}
    return Released(stage, tuple(x), columns, sha256_file(path))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
