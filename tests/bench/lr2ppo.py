"""What a step of LR²PPO costs, and how many labels stage 3 encodes: ``make bench``.

Stage 1's shape in the released code: 2 clips of 20 labels, 196 tokens and 16 frames of 768. Each
network is measured in a process of its own, so that its peak of memory is its own.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import ROOT, hardware, process, publish

from baselines.data import Graded, Record, TrainingData
from baselines.lr2ppo.batch import Batch
from baselines.lr2ppo.losses import smooth_l1
from baselines.lr2ppo.model import RELEASED_NETWORK, Actor, NetworkConfig, PairModel, Trunk
from baselines.lr2ppo.ppo import PPORanker
from baselines.lr2ppo.presets import RECOMMENDED
from lrmovienet.encoders import TokenFeatures

CLIPS, LABELS, TOKENS, FRAMES, DIM = 2, 20, 196, 16, 768
NETWORKS = {
    "flatten": RELEASED_NETWORK,
    "pooled": NetworkConfig(),
    "recommended": replace(RECOMMENDED.base.network, text_dim=DIM, frame_dim=DIM),
}
ROWS = (
    ("flatten", "fp32", "plain", "`flatten`, as released; plain AdamW"),
    ("flatten", "fp32", "fused", "`flatten`; fused AdamW"),
    ("pooled", "fp32", "fused", "`pooled`, of the same widths"),
    ("pooled", "bf16", "fused", "`pooled`, of the same widths, bf16"),
    ("recommended", "fp32", "fused", "`recommended`"),
    ("recommended", "bf16", "fused", "`recommended`, bf16"),
)


def batch(device: str, clips: int = CLIPS) -> Batch:
    """Random features: a label of three tokens, then the description, without padding."""
    draw = torch.Generator().manual_seed(0)
    n = clips * LABELS
    label = torch.zeros(n, TOKENS, dtype=torch.bool)
    label[:, :3] = True
    return Batch(
        torch.randn(n, TOKENS, DIM, generator=draw).half(),
        torch.ones(n, TOKENS, dtype=torch.bool),
        label,
        torch.randn(clips, FRAMES, DIM, generator=draw).half(),
        torch.ones(clips, FRAMES, dtype=torch.bool),
        torch.arange(clips).repeat_interleave(LABELS),
    ).to(device)


def one(network: str, precision: str, optimizer: str, device: str, clips: int, steps: int) -> None:
    """Print the median seconds of a step, and a GPU's peak of memory, as JSON."""
    torch.manual_seed(0)
    actor = Actor(NETWORKS[network]).to(device)
    fused = optimizer == "fused"
    adamw = torch.optim.AdamW(
        actor.parameters(), lr=1e-5, fused=fused, foreach=None if fused else False
    )
    features = batch(device, clips)
    y = torch.randint(0, 3, (clips * LABELS,)).to(device, torch.float32)
    found = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        adamw.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            scores = actor(features)
        smooth_l1(scores, y).backward()
        adamw.step()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    size = sum(p.numel() for p in actor.parameters())
    result = {"seconds": statistics.median(found[2:]), "peak": peak, "parameters": size}
    sys.stdout.write(json.dumps(result))


class Features:
    """A store that makes features up."""

    def text(self, clip_id: str, label: str) -> TokenFeatures:
        """Eight tokens, the first of which is the label."""
        draw = np.random.default_rng(int(label))
        return TokenFeatures(draw.normal(size=(8, 16)).astype(np.float16), 0, 1)

    def frames(self, clip_id: str) -> np.ndarray:
        """Four frames."""
        return np.random.default_rng(0).normal(size=(4, 16)).astype(np.float16)


def encodings(advantage: str) -> int:
    """Labels that actor and critic encode for one clip of 20 labels and 80 of its pairs.

    Counted while stage 3's own code runs one iteration. The reward model's 20, encoded once before
    the first iteration, are left out, and so is the evaluation on dev.
    """
    features: Any = Features()
    names = tuple(str(i) for i in range(LABELS))
    record = Record("clip", "target", names, ("image",) * LABELS, (), "words", features)
    dev = Graded(replace(record, labels=names[:1], sources=("image",)), np.array([2]))
    graded = Graded(record, np.arange(LABELS) % 3)
    network = replace(RECOMMENDED.base.network, text_dim=16, frame_dim=16)
    config = replace(
        RECOMMENDED.ppo, iterations=1, clips_an_iteration=1, pairs_a_clip=80, annotated_weight=0.0,
        advantage=advantage,
    )  # fmt: skip
    reward = PairModel(network)
    ranker = PPORanker(config, Actor(network), [reward])
    counted = []

    def note(trunk: Trunk, inputs: tuple[Batch], output: torch.Tensor) -> None:
        if trunk is not reward.trunk and len(output) > 1:
            counted.append(len(output))

    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: (
            note(module, inputs, output) if isinstance(module, Trunk) else None
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        ranker.fit(TrainingData((graded,), (dev,), (), (record,)), Path(folder))
    hook.remove()
    return sum(counted)


def main() -> None:
    """Measure all networks, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page whose section is rewritten")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--one", nargs=3, help="network, precision, optimizer: this one alone")
    options = parser.parse_args()
    if options.one:
        one(*options.one, options.device, options.clips, options.steps)
        return
    rows, first = [], None
    for network, precision, optimizer, name in ROWS:
        command = [
            sys.executable, str(Path(__file__).relative_to(ROOT)), "--one", network, precision,
            optimizer, "--device", options.device, "--clips", str(options.clips),
            "--steps", str(options.steps),
        ]  # fmt: skip
        _, peak_kib, out = process(command)
        found = json.loads(out)
        peak = found["peak"] or peak_kib * 1024
        first = first or (found["seconds"], peak)
        rows.append(
            f"| {name} | {found['parameters']:,} | {found['seconds']:.3f} | "
            f"{first[0] / found['seconds']:.1f} | {peak / 2**30:.2f} | {peak / first[1]:.3f} |"
        )
    # Actor and critic once each while collecting and once each in training, two labels a pair; the
    # reward model four, one a slot.
    released = 80 * (2 * 2 * 2 + 4)
    critic, flip = encodings("critic"), encodings("flip")
    text = "\n".join(
        [
            "A step of stage 1, and the labels that stage 3 encodes.",
            "",
            f"`python tests/bench/lr2ppo.py`: {options.clips} clips of {LABELS} labels, {TOKENS} "
            f"tokens, {FRAMES} frames, {DIM} dimensions, device {options.device}; forward, "
            "backward and optimizer. Ratios are to the first row.",
            "",
            "| network | parameters | seconds a step | times as fast | peak memory (GiB) | of the "
            "first |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "Labels that stage 3 encodes for 80 pairs of a clip, an epoch: "
            f"{released:,} pair by pair and slot by slot, nothing kept; {critic} by clips with a "
            f"critic ({critic / released:.1%}); {flip} with the exact baseline of `recommended` "
            f"({flip / released:.1%}). The reward model's {LABELS} are encoded once for all epochs "
            "and not counted again.",
            "",
            hardware("torch"),
        ]
    )
    publish(text, "lr2ppo", options.write)


if __name__ == "__main__":
    main()
