"""`lrmovienet train lr2ppo`, `lr2ppo-base`, `lr2ppo-reward`: the three stages, each a ranker.

`train lr2ppo` makes the other two first, where they are not there yet. What an option changes in
one stage leaves the others as they are, so that an ablation costs one stage.
"""

from dataclasses import dataclass, field
from typing import Literal

from baselines.options import (
    MachineOptions,
    PresetName,
    ready,
    require_percent,
    require_tensorboard,
)
from baselines.train import name_of


@dataclass(frozen=True)
class TrainBase(MachineOptions):
    """Options of `lrmovienet train lr2ppo-base`."""

    preset: PresetName = "recommended"
    """Whose numbers: found by experiment here, the paper's, or the released code's."""
    loss: Literal["regression", "classification"] | None = None
    """Regression on grades (Eq. 3), or a class a grade (S1-CLS)."""
    beta: float | None = None
    """Beta of SmoothL1 (Eq. 3), instead of the preset's."""
    epochs: int | None = None
    """Times through the source records, instead of the preset's."""
    records_a_step: int | None = None
    """Records a step, instead of the preset's."""
    learning_rate: float | None = None
    """Learning rate at its highest, instead of the preset's."""


@dataclass(frozen=True)
class TrainReward(MachineOptions):
    """Options of `lrmovienet train lr2ppo-reward`."""

    preset: PresetName = "recommended"
    """Whose numbers: found by experiment here, the paper's, or the released code's."""
    percent: int = 10
    """Share of the target's pairs to learn from: 5, 10, 20 or 40; 0: pairs of the source alone."""
    base: str | None = None
    """Ranker of stage 1 to start from. Default: the preset's, made if it is not there."""
    start: Literal["base", "scratch"] | None = None
    """First weights of the trunk: stage 1's, or random ones."""
    margin: float | None = None
    """m_R of Eq. 4, instead of the preset's."""
    epochs: int | None = None
    """Times through the pairs, instead of the preset's."""
    source_pairs: int | None = None
    """Pairs a source record and epoch, instead of the preset's."""
    initial_order: Literal["redrawn", "fixed"] | None = None
    """Order of the initial pair: drawn in each epoch, or once."""
    pairs_a_step: int | None = None
    """Pairs a step, instead of the preset's."""
    learning_rate: float | None = None
    """Learning rate at its highest, instead of the preset's."""


@dataclass(frozen=True)
class TrainPPO(MachineOptions):
    """Options of `lrmovienet train lr2ppo`."""

    preset: PresetName = "recommended"
    """Whose numbers: found by experiment here, the paper's, or the released code's."""
    percent: int = 10
    """Share of the target's pairs to learn rewards from: 5, 10, 20 or 40; 0: the source's alone."""
    base: str | None = None
    """Ranker of stage 1 to start from. Default: the preset's, made if it is not there."""
    reward: list[str] = field(default_factory=list)
    """Rankers of stage 2 whose mean is the reward. Default: the preset's, made if not there."""
    start: Literal["base", "reward", "scratch"] | None = None
    """The actor's first weights: stage 1's, the reward model's, or random ones (w/o S1)."""
    iterations: int | None = None
    """N_Iters, how often pairs are collected, instead of the preset's."""
    clips_an_iteration: int | None = None
    """Clips whose pairs an iteration collects; 0: all."""
    pairs_a_clip: int | None = None
    """Pairs drawn of each clip; 0: all pairs in both orders."""
    pool_share: float | None = None
    """Share of each clip's pairs that may be drawn at all, above 0 to 1."""
    grouped: bool | None = None
    """Whether a step takes whole clips, or pairs from anywhere."""
    pairs_a_step: int | None = None
    """M, pairs a step, instead of the preset's."""
    passes: int | None = None
    """K, times through what an iteration collected."""
    timesteps: int | None = None
    """T, transitions a trajectory; the preset's is 1."""
    gamma: float | None = None
    """Discount of Eq. 5, from 0 to 1."""
    advantage: Literal["critic", "flip"] | None = None
    """Eq. 6 with a critic, or exactly R(order) - R(flipped order)."""
    ratio: Literal["partial", "original", "clipped", "kl", "expected"] | None = None
    """The partial order ratio (Eq. 8), PPO's own (A.1), clipped (A.3), with a KL penalty in the
    loss (A.7), or the expected reward over both orders."""
    weighting: Literal["pair", "batch"] | None = None
    """Eq. 9 pair by pair, or as the released code has it."""
    margin: float | None = None
    """m of Eq. 7, instead of the preset's."""
    delta: float | None = None
    """Threshold of Eq. 8, instead of the preset's."""
    clip: float | None = None
    """Epsilon of Eq. A.3, instead of the preset's."""
    c1: float | None = None
    """Weight of the value loss (Eq. 11), instead of the preset's."""
    c2: float | None = None
    """Weight of the entropy (Eq. 11), instead of the preset's."""
    c3: float | None = None
    """Weight of the KL penalty, instead of the preset's."""
    value_clip: float | None = None
    """Limit of a value's move in its loss; 0 for none."""
    annotated_weight: float | None = None
    """Weight of the annotated pairs' own loss beside Eq. 11."""
    evaluate_every: int | None = None
    """Iterations between evaluations on target_dev."""
    learning_rate: float | None = None
    """Learning rate at its highest, instead of the preset's."""


def run(config: TrainBase | TrainReward | TrainPPO) -> None:
    """Train a stage, and those before it that are not there yet.

    Raises:
        UserError: a table is missing, an option is wrong, or training came to nothing.
    """
    from baselines.lr2ppo import stages

    # What is wrong with the options is said before anything is made.
    require_tensorboard(config)
    name_of(config, "lr2ppo")
    stages.stage_of(config)
    if isinstance(config, TrainBase):
        stages.train_base(ready(config, "R0"), config)
        return
    require_percent(config.percent)
    if isinstance(config, TrainReward):
        stages.train_reward(ready(config, "R1", config.percent), config)
    else:
        stages.train_ppo(ready(config, "R2", config.percent), config)
