"""The stages of LR²PPO and its control, made so small that each trains in a moment.

And what must hold of each of them alike: a check takes one of `STAGES` and fails where it does not.
"""

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_lr2ppo import unsettle
from tiny_corpus import FRAME_DIM, TEXT_DIM, vector

import baselines.learning.loop as loop
from baselines.data import Record, TrainingData, training_data
from baselines.distillation import DistillationConfig, DistillationRanker
from baselines.grpo import GRPOConfig, GRPORanker
from baselines.learning.learner import Learner
from baselines.learning.machine import Machine, Optimisation
from baselines.learning.parallel import World
from baselines.lr2ppo.base import BaseRanker
from baselines.lr2ppo.model import Actor, NetworkConfig, PairModel
from baselines.lr2ppo.ppo import PPORanker
from baselines.lr2ppo.presets import BaseConfig, PairData, PPOConfig, RewardConfig
from baselines.lr2ppo.reward import RewardRanker
from baselines.pl_rank import PLRankConfig, PLRankRanker
from baselines.preference import PreferenceConfig, PreferenceRanker
from lrmovienet.encoders import TokenFeatures
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore

NETWORK = NetworkConfig(
    text_dim=TEXT_DIM, frame_dim=FRAME_DIM, width=16, text_hidden=16, frame_hidden=16,
    fusion_hidden=0, head_hidden=16, pair_hidden=16, heads=2, dropout=0.1, head="pooled",
    head_dropout=0.1, attention_scale="standard", normalise_inputs=True, pair_scores=True,
)  # fmt: skip
STILL = replace(NETWORK, dropout=0.0, head_dropout=0.0)
USUAL = Optimisation(
    learning_rate=1e-3, schedule="cosine", warmup=0.1, horizon=1.0, weight_decay=0.01, eps=1e-8,
    bias_correction=True, clip_norm=1.0,
)  # fmt: skip
SMOOTH = replace(USUAL, learning_rate=0.03, schedule="constant", warmup=0.0, eps=1.0, clip_norm=0.0)
"""With so large an eps a step is as long as its gradient, and what is only noise stays small."""
NO_STEP = replace(USUAL, learning_rate=0.0)
STAGES = ("base", "reward", "ppo", "preference")
CONTROLS = {
    "preference": PreferenceRanker, "pl-rank": PLRankRanker, "grpo": GRPORanker,
    "distillation": DistillationRanker,
}  # fmt: skip
EPOCHS = 2
PPO = PPOConfig(
    optimisation=USUAL, machine=Machine(), pairs=PairData(grouped=True, pairs_a_step=6), rewards=1,
    start="base", iterations=EPOCHS, clips_an_iteration=4, pairs_a_clip=4, pool_share=1.0, passes=1,
    timesteps=1, gamma=0.0, advantage="critic", ratio="partial", weighting="pair", margin=1.0,
    delta=-0.1, clip=0.2, c1=1.0, c2=1e-3, c3=1e-3, value_clip=0.0, annotated_weight=0.0,
    evaluate_every=1,
)  # fmt: skip
REWARD = RewardConfig(
    network=NETWORK, optimisation=USUAL, machine=Machine(),
    pairs=PairData(grouped=True, pairs_a_step=15), start="base", margin=1.0, epochs=EPOCHS,
    source_pairs=5, initial_order="redrawn",
)  # fmt: skip
BASE = BaseConfig(
    network=NETWORK, optimisation=USUAL, machine=Machine(), loss="regression", beta=0.3,
    epochs=EPOCHS, records_a_step=3,
)  # fmt: skip
CONTROL = PreferenceConfig(
    optimisation=USUAL, machine=Machine(), pairs=PairData(grouped=True, pairs_a_step=15),
    epochs=EPOCHS, source_pairs=5,
)  # fmt: skip
PL_RANK = PLRankConfig(optimisation=USUAL, epochs=EPOCHS, clips_a_step=4, samples=8)
GRPO = GRPOConfig(optimisation=USUAL, epochs=EPOCHS, clips_a_step=4, samples=8, steps_a_draw=2)
DISTILLATION = DistillationConfig(optimisation=USUAL, start="base", epochs=EPOCHS, clips_a_step=4)


def data_of(workspace, percent: int = 10) -> TrainingData:
    """What every stage takes its part of: 8 source records, 3 of dev, 4 of the target."""
    found = training_data(workspace, "R2", percent, FeatureStore.of(workspace))
    return TrainingData(found.graded[:8], found.dev[:3], found.pairs[:4], found.unlabelled[:4])


def actor(network: NetworkConfig = NETWORK, seed: int = 0) -> Actor:
    """As if trained: its scores differ widely, and no weight is 0."""
    return _settled(Actor(network), seed)


def reward_model(network: NetworkConfig = NETWORK, seed: int = 1) -> PairModel:
    return _settled(PairModel(network), seed)


def _settled(model: Any, seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    unsettle(model, seed)
    return model.eval()


def stage(kind: str, network: NetworkConfig = NETWORK, **changes: Any) -> Any:
    """An untrained ranker; `changes` are of its config."""
    base = actor(network)
    if kind == "base":
        return BaseRanker(replace(BASE, **{"network": network, **changes}))
    if kind == "reward":
        return RewardRanker(replace(REWARD, **{"network": network, **changes}), base)
    if kind == "ppo":
        return PPORanker(replace(PPO, **changes), base, [reward_model(network)])
    usual = {"preference": CONTROL, "pl-rank": PL_RANK, "grpo": GRPO, "distillation": DISTILLATION}
    config = replace(usual[kind], **changes)
    if kind == "distillation":
        return DistillationRanker(config, base, [reward_model(network)])
    return CONTROLS[kind](config, base)


def network_of(ranker: Any) -> Actor | PairModel:
    return ranker.model if isinstance(ranker, RewardRanker) else ranker.actor


def weights_of(ranker: Any) -> dict[str, torch.Tensor]:
    return {name: w.clone() for name, w in network_of(ranker).state_dict().items()}


def fit(ranker: Any, data: TrainingData, folder: Path) -> dict[str, bytes]:
    """Train, save, and give the saved files."""
    (folder / "working").mkdir(parents=True, exist_ok=True)
    ranker.fit(data, folder / "working")
    ranker.save(folder / "saved")
    return {path.name: path.read_bytes() for path in sorted((folder / "saved").iterdir())}


@contextlib.contextmanager
def counted(owner: Any, name: str, stop_in: int = 0) -> Iterator[list[Any]]:
    """What the calls of a function gave; the `stop_in`-th does its work and is then interrupted."""
    real, given = getattr(owner, name), []

    def watched(*arguments: Any, **named: Any) -> Any:
        given.append(real(*arguments, **named))
        if len(given) == stop_in:
            raise KeyboardInterrupt
        return given[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, watched)
        yield given


def evaluation(kind: str) -> tuple[Any, str]:
    """The function that judges the weights of a stage, as its module calls it."""
    module = "baselines.fine_tuning" if kind in CONTROLS else f"baselines.lr2ppo.{kind}"
    return importlib.import_module(module), "dev_accuracy" if kind == "reward" else "dev_ndcg"


@contextlib.contextmanager
def made_up(kind: str, values: list[float]) -> Iterator[list[dict[str, torch.Tensor]]]:
    """Evaluations give these values; what is yielded are the weights at each of them."""
    owner, name = evaluation(kind)
    left, seen = iter(values), []

    def judge(judged: Any, *_: Any) -> Any:
        network = judged if kind == "reward" else judged.args[0]  # of predict, a partial
        seen.append({key: w.clone() for key, w in network.state_dict().items()})
        value = next(left)
        return value if kind == "reward" else {"dev_ndcg@20": value}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, judge)
        yield seen


# --- What must hold of every stage ---------------------------------------------------------------


@contextlib.contextmanager
def three_threads() -> Iterator[None]:
    """Torch as a caller with three cores has it, who finds it so afterwards."""
    cores = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        yield
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(cores)


def check_bytes(kind: str, data: TrainingData, folder: Path) -> None:
    """The same seed gives the same files, another seed others; cores and workers do not matter."""
    one = fit(stage(kind), data, folder / "one")
    with three_threads():
        assert fit(stage(kind), data, folder / "two") == one
    other = fit(stage(kind, machine=Machine(seed=1)), data, folder / "other")
    assert other["metrics.jsonl"] != one["metrics.jsonl"]
    ahead = stage(kind, machine=Machine(workers=1))
    assert fit(ahead, data, folder / "ahead") == one


def check_torch(kind: str, data: TrainingData, folder: Path) -> None:
    """Training is deterministic whatever torch was told before, and leaves torch as it was.

    Networks are trained with dropout, also after they were judged without it.
    """
    found: set[tuple[bool, int, bool]] = set()
    real = Learner.update

    def noted(model: torch.nn.Module) -> None:
        modes = {part.training for part in model.modules()}
        assert len(modes) == 1
        settings = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
        found.add((*settings, *modes))

    def update(learner: Learner, losses: Any) -> float:
        noted(learner.model)
        return real(learner, losses)

    for last in (None, "stopped"):
        ranker = stage(kind)
        torch.manual_seed(5)
        before = torch.get_rng_state()
        numpys = str(np.random.get_state())  # noqa: NPY002 (that it is left alone is the point)
        with contextlib.ExitStack() as stack:
            stack.enter_context(three_threads())
            stack.enter_context(pytest.MonkeyPatch.context()).setattr(Learner, "update", update)
            if last:
                stack.enter_context(counted(Learner, "update", stop_in=1))
                stack.enter_context(pytest.raises(KeyboardInterrupt))
            ranker.fit(data, folder / str(last))
        assert torch.equal(torch.get_rng_state(), before)
        assert str(np.random.get_state()) == numpys  # noqa: NPY002
        assert not torch.are_deterministic_algorithms_enabled()
    assert found == {(True, 1, True)}


def check_killed(
    kind: str, data: TrainingData, folder: Path, owner: Any, name: str, calls: list[int]
) -> list[int]:
    """Killed in a call of something and started again, it ends with the bytes of a whole run.

    Returns how many steps were left to do after each kill.
    """
    whole = fit(stage(kind), data, folder / "whole")
    left = []
    for call in calls:
        place = folder / f"killed in call {call}"
        with counted(owner, name, stop_in=call), pytest.raises(KeyboardInterrupt):
            fit(stage(kind), data, place)
        with counted(Learner, "update") as steps:
            assert fit(stage(kind), data, place) == whole
        left.append(len(steps))
    return left


def check_killed_between(kind: str, data: TrainingData, folder: Path) -> None:
    """As above, with a state after every step (every iteration of stage 3, or epoch of GRPO): only
    what was cut is done again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SAVE_S", -1.0)
        patch.setattr(loop, "SAVE_SHARE", 0.0)
        left = check_killed(kind, data, folder, Learner, "update", [2, 5])  # of 6 steps
        assert left == ([6, 3] if kind in ("ppo", "grpo") else [5, 2])


def check_state(kind: str, data: TrainingData, folder: Path) -> None:
    """State of another training is not taken over; a damaged one is named."""
    fit(stage(kind), data, folder / "one")
    other = Machine(seed=1)
    alone = fit(stage(kind, machine=other), data, folder / "alone")
    assert fit(stage(kind, machine=other), data, folder / "one") == alone
    (folder / "one" / "working" / "trainer_state.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"trainer_state\.pt: damaged .*Delete it and train again"):
        fit(stage(kind), data, folder / "one")


def check_at_once(kind: str, data: TrainingData, folder: Path, **changes: Any) -> None:
    """A clip a pass or all of a step in one: the same weights and the same metrics."""
    found, metrics = [], []
    for at_once in (0, 2):
        machine = Machine(records_at_once=at_once)
        ranker = stage(kind, STILL, machine=machine, optimisation=SMOOTH, **changes)
        with made_up(kind, [0.1, 0.2, 0.3]) as seen:  # the last weights are kept
            ranker.fit(data, folder / str(at_once))
        found.append(weights_of(ranker))
        metrics.append(ranker.metrics)
    assert max((found[0][name] - w).abs().max() for name, w in seen[0].items()) > 1e-3
    for name, weight in found[0].items():
        torch.testing.assert_close(found[1][name], weight, rtol=0, atol=1e-5)
    for entry, expected in zip(*metrics, strict=True):
        assert entry == pytest.approx(expected, abs=1e-5)


# --- Records without a workspace -----------------------------------------------------------------


class Memory:
    """Features as a store gives them: of every word and of a clip's only picture."""

    def text(self, clip_id: str, label: str) -> TokenFeatures:
        words = [label, *clip_id.split("-")]
        tokens = np.array([vector(word, TEXT_DIM) for word in words])
        return TokenFeatures(tokens.astype(np.float16), 0, 1)

    def frames(self, clip_id: str) -> np.ndarray:
        return vector(clip_id, FRAME_DIM)[None].astype(np.float16)


def record(clip_id: str, *labels: str) -> Record:
    """A record of the target; the words of its id, between hyphens, are its description."""
    return Record(clip_id, "target", labels, ("image",) * len(labels), (), "", Memory())


@dataclass
class Sums:
    """What a loss notes, where no run is at hand."""

    sums: dict[str, float]

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value


ALONE = World()
