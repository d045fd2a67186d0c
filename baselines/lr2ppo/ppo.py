"""Stage 3 of LR²PPO: actor and critic learn from the reward model's judgement (Algorithm B.1).

No pair is annotated here: pairs are drawn from target records, the actor sorts them, the frozen
reward model says what the sorted pair is worth. Which iteration's actor is kept is chosen by
NDCG@20 on target_dev; iteration 0 is the actor as it came.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from baselines.data import Record, Regime, TrainingData
from baselines.learning.files import (
    fingerprint,
    weights_digest,
)
from baselines.learning.learner import Learner
from baselines.learning.loop import Run
from baselines.learning.machine import Machine, options_of
from baselines.learning.parallel import World, join
from baselines.learning.running import (
    SELECT_AT,
    autocast,
    dev_ndcg,
    reproducible,
    seed_of,
)
from baselines.lr2ppo import losses
from baselines.lr2ppo.actor_ranker import ActorRanker, predict
from baselines.lr2ppo.base import compile_trunk
from baselines.lr2ppo.batch import collate
from baselines.lr2ppo.model import Actor, PairModel
from baselines.lr2ppo.pairs import Pairs, PairStep, PairSteps, into_steps, needed, shares
from baselines.lr2ppo.presets import RECOMMENDED, PairData, PPOConfig
from baselines.lr2ppo.rewards import reward_tables
from baselines.lr2ppo.rollout import (
    Transitions,
    drawn_clips,
    drawn_pairs,
    look,
    pool_of,
    roll_out,
)
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of
from lrmovienet.progress import progress


class PPORanker(ActorRanker):
    """LR²PPO: the actor after all three stages."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R2",)
    config_class = PPOConfig
    config: PPOConfig

    def __init__(
        self,
        config: PPOConfig = RECOMMENDED.ppo,
        base: Actor | None = None,
        rewards: Sequence[PairModel] = (),
    ) -> None:
        """`base` and `rewards` come from stages 1 and 2, and are not changed.

        Of several reward models, the mean is taken; a critic begins as the first of them.
        """
        super().__init__(config)
        self.base, self.rewards = base, rewards

    def fit(self, data: TrainingData, working: Path) -> None:
        """Train, and keep the actor of the iteration that is best on `data.dev`.

        State and resuming are as in stage 1, by whole iterations.

        Raises:
            UserError: training diverges, or no target record has two labels.
        """
        with reproducible(self.config.machine):
            self._fit(data, working, join(self.config.machine.device))

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        if self.base is None or not self.rewards:
            raise ValueError("stage 3 starts from stages 1 and 2, which were not given")
        require_whole_steps(config, world)
        torch.manual_seed(seed_of(machine.seed, 3))
        actor = first_actor(config.start, self.base, self.rewards)
        trained = nn.ModuleDict({"actor": actor})
        critic = None
        if config.advantage == "critic":
            critic = PairModel(self.rewards[0].config)
            critic.load_state_dict(self.rewards[0].state_dict())
            trained["critic"] = critic
        trained.to(machine.device)
        for model in trained.values():
            compile_trunk(model, machine)
        records = [record for record in data.unlabelled if len(record.labels) > 1]
        if not records:
            raise UserError("target_pairs: no record has two labels, so there is nothing to sort.")
        rewards = reward_tables(self.rewards, records, machine, world)
        learner = Learner(trained, config.optimisation, self._steps(records), world, "stage 3")
        made_from = sha256_of(
            [
                options_of(config), asdict(actor.config), fingerprint(data),
                weights_digest(trained), *map(weights_digest, self.rewards), world.size,
            ]
        )  # fmt: skip
        annotated = None
        if config.annotated_weight:
            of_step = PairData(pairs_a_step=config.annotated_a_step)
            annotated = PairSteps(data, of_step, config.source_pairs, True, machine, world)
        run = Run(working, made_from, learner, actor, self.watch)
        if not run.metrics:
            dev = dev_ndcg(partial(predict, actor, machine), data.dev, world)
            run.measured({"stage": 3, "iteration": 0, "step": 0, **dev}, dev[SELECT_AT])
        wanted = config.clips_an_iteration or len(records)
        with progress("stage 3", config.iterations - run.done, "iterations") as advance:
            for iteration in range(run.done, config.iterations):
                clips = drawn_clips(len(records), wanted, iteration, machine.seed)
                drawn = self._draw(records, clips, iteration)
                of_clips = [records[clip] for clip in clips]
                old = look(actor, critic, of_clips, drawn, rewards[clips], config, world)
                seen = roll_out(old, drawn, config)
                rate = learner.rate
                self._learn(actor, critic, of_clips, seen, run, iteration, annotated)
                evaluate = (iteration + 1) % config.evaluate_every == 0
                if evaluate or iteration + 1 == config.iterations:
                    dev = dev_ndcg(partial(predict, actor, machine), data.dev, world)
                    sums = world.sum_of(run.sums)
                    pairs = sums.pop("pairs")
                    means = {name: value / pairs for name, value in sums.items()}
                    spread = torch.cat([seen.old_first, seen.old_second]).std().item()
                    entry = {
                        "stage": 3, "iteration": iteration + 1, "step": learner.step,
                        **means, "score_sd": spread,
                        "learning_rate": rate, **dev,
                    }  # fmt: skip
                    run.measured(entry, dev[SELECT_AT])
                run.passed()
                advance(1)
        run.save()
        run.finish()
        self.actor, self.metrics = actor, run.metrics

    def _draw(self, records: Sequence[Record], clips: Sequence[int], iteration: int) -> Pairs:
        """Initial states of an iteration; `record` counts in `clips`."""
        config, seed = self.config, self.config.machine.seed
        draw = np.random.default_rng([seed, 3, iteration, 2])
        found = []
        for place, clip in enumerate(clips):
            pool = pool_of(len(records[clip].labels), config.pool_share, seed, clip)
            found.append((place, drawn_pairs(pool, config.pairs_a_clip, draw)))
        return Pairs.join(found)

    def _steps(self, records: Sequence[Record]) -> int:
        """Steps of the whole stage, as planned by the first iteration."""
        config = self.config
        wanted = config.clips_an_iteration or len(records)
        clips = drawn_clips(len(records), wanted, 0, config.machine.seed)
        states = self._draw(records, clips, 0)
        many = Pairs(*(np.tile(part, config.timesteps) for part in states))
        steps = len(into_steps(many, config.pairs, np.random.default_rng(0)))
        return steps * config.passes * config.iterations

    def _learn(
        self,
        actor: Actor,
        critic: PairModel | None,
        records: Sequence[Record],
        seen: Transitions,
        run: Run,
        iteration: int,
        annotated: PairSteps | None,
    ) -> None:
        """K passes over an iteration's transitions, in an order of their own."""
        config, machine, learner = self.config, self.config.machine, run.learner
        world = learner.world
        for k in range(config.passes):
            draw = np.random.default_rng([machine.seed, 3, iteration, 3, k])
            for rows in into_steps(seen.state, config.pairs, draw):
                torch.manual_seed(seed_of(machine.seed, 3, learner.step, world.rank))
                actor.train()
                if critic is not None:
                    critic.train()
                mine = shares(seen.state, rows, world.rank, world.size, machine.records_at_once)
                learner.update(
                    chain(
                        (
                            self._loss(actor, critic, records, seen.take(part), len(rows), run)
                            for part in mine
                        ),
                        self._anchor(actor, annotated, learner.step),
                    )
                )

    def _anchor(self, actor: Actor, annotated: PairSteps | None, step: int) -> Iterator[Tensor]:
        """The control's loss on annotated pairs, if any."""
        if annotated is not None:
            config = self.config
            of_step = annotated(step)
            yield from annotated_losses(actor, config.machine, of_step, config.annotated_weight)

    def _loss(
        self,
        actor: Actor,
        critic: PairModel | None,
        records: Sequence[Record],
        seen: Transitions,
        pairs_in_step: int,
        run: Run,
    ) -> Tensor:
        """Eq. 11 of some transitions, weighted by their share of the step."""
        config, machine = self.config, self.config.machine
        device = machine.device
        subsets, places = needed(records, seen.action)
        slots = torch.from_numpy(places).to(device)
        batch = collate(subsets).to(device)
        with autocast(machine):
            scores = actor(batch)
        first, second = scores[slots[:, 0]], scores[slots[:, 1]]
        old_first, old_second = seen.old_first.to(device), seen.old_second.to(device)
        kl = losses.kl_penalty(old_first, old_second, first, second)
        entropy = losses.entropy(first, second)
        reward = seen.reward.to(device)
        # What is taken from the reward is taken from V^target and so from the advantage. With T > 1
        # and γ > 0, penalties of later steps are left out: the paper has T = 1 and γ = 0.
        in_reward = 0.0 if config.ratio == "kl" else config.c3
        penalised = losses.penalised_rewards(reward, kl.detach(), in_reward)
        advantage = seen.advantage.to(device) + (penalised - reward)
        target = seen.target.to(device) + (penalised - reward)
        ratio, policy = policy_terms(config, old_first, old_second, first, second, advantage)
        value = torch.zeros((), device=device)
        noted = {}
        if critic is not None and seen.old_value is not None:
            old_value = seen.old_value.to(device)
            turned = torch.from_numpy(seen.state.first != seen.action.first).to(device)
            state = torch.where(turned[:, None], slots.flip(1), slots)
            with autocast(machine):
                values = critic(batch, state)
            value = (
                losses.clipped_value_loss(values, old_value, target, config.value_clip)
                if config.value_clip
                else losses.value_loss(values, target)
            )
            noted = {"value_loss": value, "value": values.mean(), "old_value": old_value.mean()}
        total = losses.total_loss(
            policy, value, entropy.mean(), kl.mean(), config.c1, config.c2,
            config.c3 if config.ratio == "kl" else 0.0,
        )  # fmt: skip
        noted |= {
            "policy_loss": policy, "kl": kl.mean(), "entropy": entropy.mean(),
            "reward": reward.mean(), "penalised_reward": penalised.mean(),
            "advantage": advantage.mean(), "rank_loss": ratio,
        }  # fmt: skip
        run.add(pairs=len(reward), **{k: v.item() * len(reward) for k, v in noted.items()})
        return total * (len(reward) / pairs_in_step)


def first_actor(
    start: Literal["base", "reward", "scratch"], base: Actor, rewards: Sequence[PairModel]
) -> Actor:
    """A new actor of stage 1's dimensions, with its weights, the first reward model's or none.

    Raises:
        UserError: the reward model scores no single labels, or is of other dimensions.
    """
    actor = Actor(base.config)
    if start != "scratch":
        actor.load_state_dict(base.state_dict())
    if start == "reward":
        first = rewards[0]
        alike = actor.config.outputs == 1 and _shapes(first.trunk) == _shapes(actor.trunk)
        if first.label_score is None or not alike:
            raise UserError(
                "--start reward: needs a reward model with pair_scores and the trunk of stage "
                "1, which has to be a regression. Use --start base."
            )
        actor.trunk.load_state_dict(first.trunk.state_dict())
        actor.head.weight.data.copy_(first.label_score.weight.data)
    return actor


def annotated_losses(
    actor: Actor, machine: Machine, step: PairStep, weight: float
) -> Iterator[Tensor]:
    """The control's loss on the annotated pairs of a step, times a weight."""
    for batch, places, _ in step.parts:
        with autocast(machine):
            scores = actor(batch.to(machine.device))
        loss = losses.pairwise_logistic(*scores[torch.from_numpy(places)].unbind(1))
        yield loss * (weight * len(places) / step.pairs)


def require_whole_steps(config: PPOConfig, world: World) -> None:
    """Refuse to divide what cannot be divided.

    Raises:
        UserError: the hinge is one number a step, and steps are taken in parts.
    """
    if config.weighting == "batch" and (config.machine.records_at_once or world.size > 1):
        raise UserError(
            "--weighting batch: is one number a step, which cannot be summed from its parts. Leave "
            "out --records_at_once, and train in one process."
        )


def policy_terms(
    config: PPOConfig,
    old_first: Tensor,
    old_second: Tensor,
    first: Tensor,
    second: Tensor,
    advantage: Tensor,
) -> tuple[Tensor, Tensor]:
    """The mean of -r' (or of the ratio, in PPO's own forms), and the policy loss."""
    if config.ratio == "partial":
        ratio = losses.partial_order_ratio(first, second, advantage, config.margin, config.delta)
        of = losses.policy_loss if config.weighting == "pair" else losses.batch_policy_loss
        return -ratio.mean(), of(ratio, advantage)
    if config.ratio == "expected":
        chance = losses.order_log_probabilities(first, second)[:, 0].exp()
        return chance.mean(), losses.original_policy_loss(chance, advantage)
    ratio = losses.original_ratio(old_first, old_second, first, second)
    if config.ratio == "clipped":
        return ratio.mean(), losses.clipped_policy_loss(ratio, advantage, config.clip)
    return ratio.mean(), losses.original_policy_loss(ratio, advantage)


def _shapes(model: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in model.parameters()]
