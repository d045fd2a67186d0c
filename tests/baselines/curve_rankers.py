"""Rankers and released logs, as far as their curves go."""

import json
from pathlib import Path

from baselines.lr2ppo.curves_groups import grouped
from baselines.lr2ppo.curves_read import read_runs
from baselines.lr2ppo.curves_released import FILES


def put(workspace, name, lines, kind="lr2ppo", seed=0, inputs=None, **options):
    """A trained ranker, as far as its curves go. `lines`: the text of its metrics, or rows."""
    folder = workspace / "rankers" / name
    folder.mkdir(parents=True)
    manifest = {
        "ranker": kind, "regime": "R2", "percent": options.pop("percent", 10), "seed": seed,
        "options": {**options, "machine": {"seed": seed, "device": "cpu"}},
        "inputs": inputs or {}, "digest": f"digest of {name}",
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    text = lines if isinstance(lines, str) else "".join(json.dumps(row) + "\n" for row in lines)
    (folder / "metrics.jsonl").write_text(text)


def ppo(rewards, **more):
    """Rows of stage 3: iteration -> reward, which dev NDCG@20 follows at a hundredth."""
    return [
        {"stage": 3, "iteration": at, "step": at * 8, "epoch": 0.5, "reward": reward,
         "dev_ndcg@20": (reward or 0) / 100, **more}
        for at, reward in rewards.items()
    ]  # fmt: skip


def groups_of(workspace, names=(), smooth=1):
    runs, _ = read_runs(workspace / "rankers", names)
    return grouped(runs, smooth)[0]


def log_tables(folder: Path, rows: int = 3) -> Path:
    """Small tables with the columns of the released ones: row i holds i, or i and a fraction."""
    folder.mkdir()
    for name, counter, columns in FILES.values():
        lines = [",".join(["line", counter, *columns])]
        lines += [",".join(["7", str(i), *[f"{i}.25"] * len(columns)]) for i in range(1, rows + 1)]
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder
