"""LR²PPO on a generated corpus, over seeds: the tables of docs/lr2ppo.md.

    python tests/bench/ablations.py WORKSPACE --out FOLDER [--seeds 5] [--write docs/lr2ppo.md]

WORKSPACE holds records, pairs and features. Each seed has a workspace of its own under FOLDER, in
which the commands below are run as a user would; FOLDER/results.jsonl keeps what came of each, so
that a killed run goes on. Weights are chosen on target_dev; target_test is read once, at the end.
"""

import argparse
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from machine import hardware, publish

KS = (1, 3, 5, 10, 20)
SHORT = (
    "--preset paper --base {base} --reward {reward} --grouped true --pairs_a_clip 80 "
    "--clips_an_iteration 64 --pairs_a_step 640 --learning_rate 3e-4 --iterations 12"
)
"""The paper's stage 3 by clips, with fewer and larger steps: what a CPU can do in minutes."""
OURS = "--base {base} --reward {reward}"
STAGES = {
    "base": "lr2ppo-base",
    "reward": "lr2ppo-reward --base {base}",
}
MAIN = {
    "LR²PPO (S1)": "{base}",
    "S1 + pairwise loss (control)": "preference --base {base}",
    "reward model alone (Borda)": "{reward}",
    "`recommended`": f"lr2ppo {OURS}",
    "`paper`, short": f"lr2ppo {SHORT}",
}
ABLATIONS = {
    "S1 as classifier (S1-CLS)": "lr2ppo-base --loss classification",
    "`recommended`, without stage 1's weights": f"lr2ppo {OURS} --start scratch",
    "`recommended`, from the reward model's weights": f"lr2ppo {OURS} --start reward",
    "`recommended`, expected reward (exact policy gradient)": f"lr2ppo {OURS} --ratio expected",
    "`recommended`, without annotated pairs": f"lr2ppo {OURS} --annotated_weight 0",
    "`recommended`, with a critic": f"lr2ppo {OURS} --advantage critic --delta -0.1",
    "`paper`, short": f"lr2ppo {SHORT}",
    "… original ratio (A.2)": f"lr2ppo {SHORT} --ratio original",
    "… clipped ratio (A.3)": f"lr2ppo {SHORT} --ratio clipped",
    "… KL form (A.7)": f"lr2ppo {SHORT} --ratio kl",
    "… δ = −0.5": f"lr2ppo {SHORT} --delta -0.5",
    "… δ = 0": f"lr2ppo {SHORT} --delta 0",
    "… δ = 0.1": f"lr2ppo {SHORT} --delta 0.1",
    "… m = 0.01": f"lr2ppo {SHORT} --margin 0.01",
    "… m = 0.1": f"lr2ppo {SHORT} --margin 0.1",
    "… c₁ = 0.1": f"lr2ppo {SHORT} --c1 0.1",
    "… exact flip baseline": f"lr2ppo {SHORT} --advantage flip --delta 0",
    "… the code's batch-scalar hinge, m = 0.01": f"lr2ppo {SHORT} --weighting batch --margin 0.01",
}
REWARD_MARGINS = {f"m_R = {m}": f"lr2ppo-reward --base {{base}} --margin {m}" for m in (0.1, 0.5)}
"""Of Eq. 4; the usual is 1."""


class Seed:
    """One seed's workspace, and what came of each command in it."""

    def __init__(self, source: Path, out: Path, seed: int) -> None:
        self.source, self.seed = source, seed
        self.root = out / f"seed{seed}"
        if not self.root.exists():
            left = ("movienet", "features", "rankers", "predictions", ".*")
            shutil.copytree(source, self.root, ignore=shutil.ignore_patterns(*left))
        self.path = out / f"results-{seed}.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.found = {row["words"]: row for row in map(json.loads, lines)}
        self.names: dict[str, str] = {"seed": str(seed)}
        for stage, words in STAGES.items():
            self.names[stage] = self.run(words)["name"]

    def run(self, words: str) -> dict:
        """Train what the words say, score it, and keep what came of it."""
        text = words.format(**self.names)
        if text in self.by_name:
            return self.by_name[text]
        kind, *options = text.split()
        if "--seed" not in options:
            options += ["--seed", str(self.seed)]
        text = " ".join([kind, *options])
        if text not in self.found:
            name = f"r{len(self.found):02d}-{kind}"
            command = [
                sys.executable, "-m", "lrmovienet", "train", kind, *options, "--name", name,
                "--workspace", str(self.root), "--features", str(self.source / "features"),
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{' '.join(command)}\n{done.stderr}")
            row = {"words": text, "name": name, **self.measure(name)}
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            self.found[text] = row
            sys.stderr.write(f"seed {self.seed}: {text}: {np.round(row['ndcg'], 4).tolist()}\n")
        return self.found[text]

    @property
    def by_name(self) -> dict[str, dict]:
        """What came of each, by the ranker's name."""
        return {row["name"]: row for row in self.found.values()}

    def all_of(self, rows: dict[str, str]) -> dict[str, dict]:
        """What came of some rows of a table."""
        return {name: self.run(words) for name, words in rows.items()}

    def shares(self) -> dict[str, dict]:
        """Reward model, `recommended` and control for each share of annotated pairs."""
        rows = {}
        for percent in (5, 10, 20, 40):
            option = "" if percent == 10 else f" --percent {percent}"
            reward = self.run("lr2ppo-reward --base {base}" + option)
            self.names["of_share"] = reward["name"]
            rows[f"reward {percent} %"] = reward
            ours = "lr2ppo --base {base} --reward {of_share}" + option
            rows[f"ours {percent} %"] = self.run(ours)
            rows[f"control {percent} %"] = self.run("preference --base {base}" + option)
        return rows

    def measure(self, name: str) -> dict:
        """NDCG of every clip of target_test, its film, and a reward model's accuracy."""
        from baselines.data import load_graded
        from baselines.lr2ppo.parallel import World
        from baselines.lr2ppo.reward import RewardRanker, dev_accuracy
        from baselines.predict import score_all
        from baselines.train import read_ranker
        from eval.ndcg import ndcg
        from lrmovienet.features import FeatureStore
        from lrmovienet.workspace import Workspace

        workspace, store = Workspace(self.root), FeatureStore(self.source / "features")
        ranker, _ = read_ranker(workspace, name)
        test = load_graded(workspace, "target_test", store)
        scores = score_all(ranker, [item.record for item in test])["score"]
        grades = np.concatenate([item.grades for item in test])
        offsets = np.cumsum([0, *(len(item.grades) for item in test)])
        values = ndcg(np.array(scores), grades, offsets, KS, empty="skip")
        films = [item.record.clip_id.rsplit("_", 1)[0] for item in test]
        more = {}
        if isinstance(ranker, RewardRanker) and ranker.model is not None:
            machine = ranker.config.machine
            more["accuracy"] = dev_accuracy(ranker.model, test, machine, World())
        mean = np.nanmean(values, axis=0).tolist()
        return {"ndcg": mean, "clips": values.tolist(), "films": films, **more}


def gain(row: dict, other: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean difference of two rankers' NDCG@k and its 95 % interval, by films."""
    from eval.significance import bootstrap

    difference = np.array(row["clips"], float) - np.array(other["clips"], float)
    film_of = np.unique(row["films"], return_inverse=True)[1]
    low, high = bootstrap(difference, film_of)
    return np.nanmean(difference, axis=0), low, high


def mean_row(name: str, rows: list[dict], *more: str) -> str:
    """A line of a table: mean over seeds and their standard deviation."""
    values = np.array([row["ndcg"] for row in rows])
    spread = values.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(KS))
    cells = [f"{m:.4f} ± {s:.4f}" for m, s in zip(values.mean(0), spread, strict=True)]
    return "| " + " | ".join([name, *cells, *more]) + " |"


def difference(rows: list[dict], others: list[dict], k: int) -> str:
    """Mean over seeds of a difference at k, and in how many its interval is above or below 0."""
    found = [gain(row, other) for row, other in zip(rows, others, strict=True)]
    place = KS.index(k)
    above = sum(low[place] > 0 for _, low, _ in found)
    below = sum(high[place] < 0 for _, _, high in found)
    mean = np.mean([value[place] for value, _, _ in found])
    return f"{mean:+.4f} (▲{above} ▼{below} of {len(rows)})"


HEAD = " | ".join(f"NDCG@{k}" for k in KS)


def main() -> None:
    """Run what is not there yet, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ablation_seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()

    seeds = range(options.seeds)
    some_seeds = range(options.ablation_seeds)
    with ThreadPoolExecutor(options.processes) as pool:
        made = list(pool.map(lambda n: Seed(options.workspace, options.out, n), seeds))
        every = list(pool.map(lambda n: made[n].all_of(MAIN), seeds))
        shares = list(pool.map(lambda n: made[n].shares(), some_seeds))
        some = list(pool.map(lambda n: made[n].all_of({**ABLATIONS, **REWARD_MARGINS}), some_seeds))
    base = [rows["LR²PPO (S1)"] for rows in every]
    control = [rows["S1 + pairwise loss (control)"] for rows in every]
    text = [
        f"`python tests/bench/ablations.py WORKSPACE --out FOLDER`: {options.seeds} seeds on "
        "`target_test`, mean ± standard deviation over seeds. Last columns: mean difference, "
        "and in how many seeds its 95 % interval over films is above (▲) or below (▼) 0.",
        "", f"| | {HEAD} | @20 against S1 | @20 against the control |", "|---" * 8 + "|",
    ]  # fmt: skip
    for name in MAIN:
        rows = [of[name] for of in every]
        text.append(mean_row(name, rows, difference(rows, base, 20), difference(rows, control, 20)))
    text += [
        "",
        "`recommended` against its own stage 1, seed by seed (95 % interval over films):",
        "",
    ]
    text += ["| seed | NDCG@5 | NDCG@20 |", "|---|---|---|"]
    for number, rows in enumerate(every):
        value, low, high = gain(rows["`recommended`"], rows["LR²PPO (S1)"])
        cells = [f"{value[i]:+.4f} [{low[i]:+.4f}, {high[i]:+.4f}]" for i in (2, 4)]
        text.append(f"| {number} | {cells[0]} | {cells[1]} |")
    text += [
        "",
        f"Share of annotated target pairs ({options.ablation_seeds} seeds):",
        "",
    ]
    text += [
        "| share | reward accuracy | it alone @20 | `recommended` @5 | @20 | control @5 | @20 |",
        "|---" * 7 + "|",
    ]
    for share in ("5 %", "10 %", "20 %", "40 %"):
        reward, ours, plain = (
            [of[f"{kind} {share}"] for of in shares] for kind in ("reward", "ours", "control")
        )
        cells = [np.mean([row["accuracy"] for row in reward])]
        for rows, k in ((reward, 20), (ours, 5), (ours, 20), (plain, 5), (plain, 20)):
            cells.append(np.mean([row["ndcg"][KS.index(k)] for row in rows]))
        text.append(f"| {share} | " + " | ".join(f"{cell:.4f}" for cell in cells) + " |")
    text += [
        "", f"One change at a time ({options.ablation_seeds} seeds):", "",
        f"| | {HEAD} | @20 against S1 |", "|---" * 7 + "|",
    ]  # fmt: skip
    for name in ABLATIONS:
        rows = [of[name] for of in some]
        text.append(mean_row(name, rows, difference(rows, base[: len(rows)], 20)))
    for name in REWARD_MARGINS:
        rows = [of[name] for of in some]
        accuracy = np.mean([row["accuracy"] for row in rows])
        text.append(mean_row(f"reward alone, {name}", rows, f"accuracy {accuracy:.4f}"))
    text += ["", hardware("torch", "numpy")]
    publish("\n".join(text), "ablations", options.write)


if __name__ == "__main__":
    main()
