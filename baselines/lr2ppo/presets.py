"""Every number of the three stages, and where it comes from.

"Paper" is Guo et al. (ECCV 2024) with its appendix C.3, "code" is the released code and its logs,
which differ from the paper in many places. Nothing here was chosen on target_test.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from baselines.learning.machine import Machine, Optimisation
from baselines.lr2ppo.model import RELEASED_NETWORK, NetworkConfig


@dataclass(frozen=True)
class BaseConfig:
    """Stage 1."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimisation: Optimisation = field(default_factory=Optimisation)
    machine: Machine = field(default_factory=Machine)
    loss: Literal["regression", "classification"] = "regression"
    """Eq. 3, or S1-CLS (appendix C.4)."""
    beta: float = 0.3
    """Of SmoothL1. Paper: 0.3."""
    epochs: int = 6
    """Times through the source records. Paper: 15."""
    records_a_step: int = 8
    """Records a step. Code: 2."""


@dataclass(frozen=True)
class PairData:
    """How pairs are drawn and put into steps (stages 2 and 3)."""

    grouped: bool = True
    """A step takes whole clips, so that each label is encoded once for all its pairs; otherwise it
    takes pairs from anywhere, as the paper and the code do."""
    pairs_a_step: int = 160
    """M. Paper: 24 in stage 3. Code: 64 in stage 2, 24 in stage 3."""


@dataclass(frozen=True)
class RewardConfig:
    """Stage 2."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimisation: Optimisation = field(default_factory=Optimisation)
    machine: Machine = field(default_factory=Machine)
    pairs: PairData = field(default_factory=PairData)
    start: Literal["base", "scratch"] = "base"
    """The trunk's first weights: those of stage 1, or random ones. Paper and code: random."""
    margin: float = 1.0
    """m_R of Eq. 4. Paper and code: 1."""
    epochs: int = 15
    """Times through the records. Paper: 15."""
    source_pairs: int = 20
    """Pairs of different grades drawn a source record and epoch. Code: 20, drawn once."""
    initial_order: Literal["redrawn", "fixed"] = "redrawn"
    """Of g_ini: drawn in each epoch, or once. Code: fixed."""


@dataclass(frozen=True)
class PPOConfig:
    """Stage 3."""

    optimisation: Optimisation = field(default_factory=Optimisation)
    machine: Machine = field(default_factory=Machine)
    pairs: PairData = field(default_factory=PairData)
    rewards: int = 1
    """Reward models whose mean is the reward, of different seeds. Paper and code: 1."""
    start: Literal["base", "reward", "scratch"] = "base"
    """The actor's first weights: stage 1's; those with which the (first) reward model scores single
    labels; or random ones ("w/o S1", table C.2). Paper and code: stage 1's."""
    iterations: int = 412
    """N_Iters. Paper: 412."""
    clips_an_iteration: int = 200
    """Clips of which pairs are collected before each update; 0: all, each once."""
    pairs_a_clip: int = 1
    """Pairs drawn of each of them, in a random initial order; 0: all pairs in both orders."""
    pool_share: float = 1.0
    """Share of each clip's pairs that may be drawn at all. Paper: 0.4; code: all, in the end."""
    passes: int = 1
    """K, times through what was collected. Paper and code: 1."""
    timesteps: int = 1
    """T, transitions a trajectory. Paper and code: 1."""
    gamma: float = 0.0
    """Discount of Eq. 5. Paper: 0."""
    advantage: Literal["critic", "flip"] = "critic"
    """Eq. 6 with a critic, or R(order) - R(flipped order), exactly, with none."""
    ratio: Literal["partial", "original", "clipped", "kl", "expected"] = "partial"
    """Eq. 8; or of PPO: Eq. A.1 and A.2, with a clip (A.3), with a KL penalty in the loss (A.7)."""
    weighting: Literal["pair", "batch"] = "pair"
    """Eq. 9, or the code's: the hinge as one number a minibatch."""
    margin: float = 1.0
    """m of Eq. 7. Paper: 1; code: 0.01."""
    delta: float = -0.1
    """Threshold of Eq. 8. Paper and code: -0.1."""
    clip: float = 0.2
    """Epsilon of Eq. A.3; used by the ratio "clipped" alone."""
    c1: float = 1.0
    """Weight of the value loss in Eq. 11. Paper: 1."""
    c2: float = 1e-3
    """Weight of the entropy in Eq. 11. Paper: 1e-3."""
    c3: float = 1e-3
    """Weight of KL, taken from the reward; with the ratio "kl", added to the loss. Paper: 1e-3."""
    value_clip: float = 0.0
    """Limit of a value's move in its loss; 0: none. Paper: none; code: 0.5."""
    annotated_weight: float = 0.0
    """Weight of a pairwise loss on stage 2's annotated pairs beside Eq. 11. Paper, code: 0."""
    source_pairs: int = 20
    """Pairs of different grades drawn a source record for it."""
    annotated_a_step: int = 80
    """Annotated pairs a step, by whole clips."""
    evaluate_every: int = 1
    """Iterations between evaluations on target_dev."""


@dataclass(frozen=True)
class Preset:
    """The three stages."""

    base: BaseConfig = field(default_factory=BaseConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)


LEAN = NetworkConfig(
    width=128, text_hidden=192, frame_hidden=512, fusion_hidden=0, head_hidden=256,
    pair_hidden=256, heads=4, pair_scores=True,
)  # fmt: skip
"""For small encoders and a CPU."""

ONE_TOKEN = NetworkConfig(
    head="token", width=128, text_hidden=256, fusion_hidden=0, head_hidden=256, pair_hidden=256,
    heads=4, pair_scores=True, normalise_inputs=False,
)  # fmt: skip
"""For documents, whose vectors are scaled before they get here."""

RECOMMENDED = Preset(
    base=BaseConfig(network=LEAN),
    reward=RewardConfig(network=LEAN, epochs=4),
    ppo=PPOConfig(
        optimisation=Optimisation(learning_rate=3e-4), pairs=PairData(pairs_a_step=3040),
        start="reward", iterations=4, clips_an_iteration=0, pairs_a_clip=0, advantage="flip",
        delta=0.0, annotated_weight=1.0,
    ),
)  # fmt: skip
"""What works best here, found by experiment on generated data."""

_PAPER_ADAMW = Optimisation(learning_rate=2e-5, schedule="constant", warmup=0.0, clip_norm=0.0)

PAPER = Preset(
    base=BaseConfig(optimisation=_PAPER_ADAMW, epochs=15, records_a_step=2),
    reward=RewardConfig(
        optimisation=_PAPER_ADAMW, pairs=PairData(grouped=False, pairs_a_step=64), start="scratch"
    ),
    ppo=PPOConfig(
        optimisation=replace(_PAPER_ADAMW, learning_rate=1e-3),
        pairs=PairData(grouped=False, pairs_a_step=24), pool_share=0.4,
    ),
)  # fmt: skip
"""The paper's text. Where it is silent, the code's; its learning rates have no schedule."""

_RELEASED_ADAMW = Optimisation(
    learning_rate=2e-5, schedule="linear", horizon=4.0, eps=1e-6, bias_correction=False,
    clip_norm=0.0,
)  # fmt: skip

RELEASED = Preset(
    base=replace(PAPER.base, network=RELEASED_NETWORK, optimisation=_RELEASED_ADAMW),
    reward=replace(
        PAPER.reward, network=RELEASED_NETWORK, optimisation=_RELEASED_ADAMW,
        initial_order="fixed",
    ),
    ppo=replace(
        PAPER.ppo, optimisation=replace(_RELEASED_ADAMW, learning_rate=1e-3, horizon=828.4),
        clips_an_iteration=60, pairs_a_clip=80, pool_share=1.0, weighting="batch", margin=0.01,
        value_clip=0.5,
    ),
)  # fmt: skip
"""What the released code really did, as one synchronised model instead of four.

Not done: labels repeated up to 20 a record (stage 1), frames shuffled, ends of epochs dropped.
"""

PRESETS = {"recommended": RECOMMENDED, "paper": PAPER, "released": RELEASED}
