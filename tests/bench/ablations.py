"""LR²PPO on a generated corpus, over seeds: the tables of docs/lr2ppo.md.

    python tests/bench/ablations.py WORKSPACE --out FOLDER [--seeds 5] [--write docs/lr2ppo.md]

WORKSPACE holds records, pairs and features. Each seed has a workspace of its own under FOLDER, in
which the commands below are run as a user would; FOLDER/results-<seed>.jsonl keeps what came of
each, so that a killed run goes on; delete it after a change of presets. Weights are chosen on
target_dev; target_test is read once, at the end.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from machine import hardware, publish

KS = (1, 3, 5, 10, 20)
SHORT = (
    "--preset paper --base {base} --reward {reward} --grouped true --pairs_a_clip 80 "
    "--clips_an_iteration 64 --pairs_a_step 640 --learning_rate 3e-4 --iterations 8"
)
"""The paper's stage 3 by clips, with fewer and larger steps: what a CPU can do in minutes."""
OURS = "--base {base} --reward {reward}"
LONGER = "--learning_rate 1e-3 --iterations 6"
"""What a start further away needs."""
STAGES = {
    "base": "lr2ppo-base",
    "reward": "lr2ppo-reward --base {base}",
    "reward5": "lr2ppo-reward --base {base} --percent 5",
    "reward20": "lr2ppo-reward --base {base} --percent 20",
    "reward40": "lr2ppo-reward --base {base} --percent 40",
}
MAIN = {
    "LR²PPO (S1)": "{base}",
    "S1 + pairwise loss (control)": "preference --base {base}",
    "reward model alone (Borda)": "{reward}",
    "`recommended`": f"lr2ppo {OURS}",
    "`paper`, short": f"lr2ppo {SHORT}",
}
SHARES = {
    percent: (
        f"{{reward{'' if percent == 10 else percent}}}",
        f"lr2ppo --base {{base}} --reward {{reward{percent}}} --percent {percent}"
        if percent != 10
        else f"lr2ppo {OURS}",
        "preference --base {base}" + ("" if percent == 10 else f" --percent {percent}"),
    )
    for percent in (5, 10, 20, 40)
}
"""Of the target's annotated pairs: reward model, `recommended`, control."""
ABLATIONS = {
    "`paper`, short": f"lr2ppo {SHORT}",
    "… original ratio (A.2)": f"lr2ppo {SHORT} --ratio original",
    "… clipped ratio (A.3)": f"lr2ppo {SHORT} --ratio clipped",
    "… KL form (A.7)": f"lr2ppo {SHORT} --ratio kl",
    "… δ = −0.5": f"lr2ppo {SHORT} --delta -0.5",
    "… δ = 0": f"lr2ppo {SHORT} --delta 0",
    "… δ = 0.1": f"lr2ppo {SHORT} --delta 0.1",
    "… m = 0.01": f"lr2ppo {SHORT} --margin 0.01",
    "… exact flip baseline": f"lr2ppo {SHORT} --advantage flip --delta 0",
    "`recommended`, from stage 1's weights": f"lr2ppo {OURS} {LONGER} --start base",
    "… without stage 1 (random weights)": f"lr2ppo {OURS} {LONGER} --start scratch",
    "S1 as classifier (S1-CLS)": "lr2ppo-base --loss classification",
    "… c₁ = 0.1": f"lr2ppo {SHORT} --c1 0.1",
    "… the code's batch-scalar hinge, m = 0.01": f"lr2ppo {SHORT} --weighting batch --margin 0.01",
    "`recommended` from stage 1, no annotated pairs": (
        f"lr2ppo {OURS} {LONGER} --start base --annotated_weight 0"
    ),
    "`recommended` from stage 1, with a critic": (
        f"lr2ppo {OURS} {LONGER} --start base --advantage critic --delta -0.1"
    ),
}
REWARD_MARGINS = {"m_R = 1": "{reward}"} | {
    f"m_R = {m}": f"lr2ppo-reward --base {{base}} --margin {m}" for m in (0.1, 0.5)
}
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
            row = self.look(words)
            if row:
                self.names[stage] = row["name"]

    def make(self, stage: str) -> None:
        """Make what others start from."""
        self.run(STAGES[stage])
        row = self.look(STAGES[stage])
        self.names[stage] = row["name"] if row else ""

    def run(self, words: str, name: str = "") -> None:
        """Train what the words say, score it, and keep what came of it."""
        text = self.words(words)
        if self.look(words) is None:
            name = name or f"r{len(self.found):02d}-{text.split()[0]}"
            command = [
                sys.executable, "-m", "lrmovienet", "train", *text.split(), "--name", name,
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

    @property
    def by_name(self) -> dict[str, dict]:
        """What came of each, by the ranker's name."""
        return {row["name"]: row for row in self.found.values()}

    def words(self, words: str) -> str:
        """A command with this seed's names in it, or a ranker's name as it is."""
        text = words.format(**self.names)
        if " " not in text and text in self.by_name:
            return text
        kind, *options = text.split()
        seed = [] if "--seed" in options else ["--seed", str(self.seed)]
        return " ".join([kind, *options, *seed])

    def look(self, words: str) -> dict | None:
        """What came of a command, if it was run."""
        try:
            text = self.words(words)
        except KeyError:  # names a ranker that is not there yet
            return None
        return self.by_name.get(text) or self.found.get(text)

    def measure(self, name: str) -> dict:
        """NDCG of every clip of target_test, its film, and a reward model's accuracy."""
        from baselines.data import load_graded
        from baselines.learning.parallel import World
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


def table(seeds: list[Seed], rows: dict[str, str], against: dict[str, str]) -> list[str]:
    """A line a command: NDCG, and differences at 20 to others, over the seeds that have both."""
    columns = "".join(f" @20 against {name} |" for name in against)
    lines = [f"| | seeds | {HEAD} |{columns}", "|---" * (len(KS) + 2 + len(against)) + "|"]
    for name, words in rows.items():
        found = [(row, seed) for seed in seeds if (row := seed.look(words))]
        if not found:
            continue
        cells = []
        for other in against.values():
            pairs = [(row, of) for row, seed in found if (of := seed.look(other))]
            mine, others = [row for row, _ in pairs], [of for _, of in pairs]
            cells.append("" if other == words else difference(mine, others, 20))
        lines.append(mean_row(f"{name} | {len(found)}", [row for row, _ in found], *cells))
    return lines


def shares_table(seeds: list[Seed]) -> list[str]:
    """A line a share of annotated pairs."""
    lines = [
        "| share | seeds | reward accuracy | it alone @20 | `recommended` @5 | @20 | control @5 | "
        "@20 |",
        "|---" * 8 + "|",
    ]
    for percent, words in SHARES.items():
        rows = [tuple(map(seed.look, words)) for seed in seeds]
        cells = []
        for place, measure in ((0, "accuracy"), (0, 20), (1, 5), (1, 20), (2, 5), (2, 20)):
            there = [of for row in rows if (of := row[place])]
            values = [
                of["accuracy"] if measure == "accuracy" else of["ndcg"][KS.index(measure)]
                for of in there
            ]
            cells.append(f"{np.mean(values):.4f}" if values else "not run")
        seeds_here = sum(row[0] is not None for row in rows)
        if seeds_here:
            lines.append(f"| {percent} % | {seeds_here} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Run what is not there yet, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ablation_seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--tables", action="store_true", help="only write what is there")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    made = [Seed(options.workspace, options.out, number) for number in range(options.seeds)]
    some = made[: options.ablation_seeds]
    if not options.tables:
        with ThreadPoolExecutor(options.processes) as pool:

            def for_all(seeds: list[Seed], work: Callable[[Seed, str], None], *names: str) -> None:
                for name in names:
                    list(pool.map(lambda seed: work(seed, name), seeds))  # noqa: B023

            for_all(made, Seed.make, "base", "reward")
            for_all(made, Seed.run, *MAIN.values())
            for_all(some, Seed.make, *STAGES)
            for_all(some, Seed.run, *list(ABLATIONS.values())[:4])
            for_all(some, Seed.run, *(words for row in SHARES.values() for words in row[1:]))
            for_all(some, Seed.run, *ABLATIONS.values())
            for_all(some, Seed.run, *REWARD_MARGINS.values())
    base = MAIN["LR²PPO (S1)"]
    text = [
        "`python tests/bench/ablations.py WORKSPACE --out FOLDER`, on `target_test`: mean ± "
        "standard deviation over seeds. Last columns: mean difference, and in how many seeds its "
        "95 % interval over films is above (▲) or below (▼) 0.", "",
        *table(made, MAIN, {"S1": base, "the control": MAIN["S1 + pairwise loss (control)"]}), "",
        "`recommended` against its own stage 1, seed by seed (95 % interval over films):", "",
        "| seed | NDCG@5 | NDCG@20 |", "|---|---|---|",
    ]  # fmt: skip
    for seed in made:
        ours, own = seed.look(MAIN["`recommended`"]), seed.look(base)
        if ours and own:
            value, low, high = gain(ours, own)
            cells = [f"{value[i]:+.4f} [{low[i]:+.4f}, {high[i]:+.4f}]" for i in (2, 4)]
            text.append(f"| {seed.seed} | {cells[0]} | {cells[1]} |")
    text += ["", "By the share of target pairs that are annotated:", "", *shares_table(some), ""]
    text += [
        "What stage 3 makes of changes:",
        "",
        *table(some, ABLATIONS, {"S1": base, "`paper`, short": MAIN["`paper`, short"]}),
        "",
    ]
    text += [
        "The reward model alone by its margin:",
        "",
        *table(some, REWARD_MARGINS, {"S1": base}),
    ]
    text += ["", hardware("torch", "numpy")]
    publish("\n".join(text), "ablations", options.write)


if __name__ == "__main__":
    main()
