"""Lists into batches, and a network trained on them: what teaches, and with what weight."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tiny_stages import ALONE, USUAL
from torch import nn

from baselines.learning.learner import Learner
from baselines.learning.loop import Run
from baselines.learning.machine import Machine, Optimisation
from baselines.learning.parallel import World
from baselines.lr2ppo.losses import pairwise_logistic
from baselines.ltr.lists import Lists
from baselines.ltr.training import Items, ListTraining, Task, learn, padded, scores_of
from lrmovienet.errors import UserError

LENGTHS = (3, 1, 4, 2, 3)
OFFSETS = np.cumsum([0, *LENGTHS])
NO_STEP = Optimisation(learning_rate=0.0)


@dataclass(frozen=True)
class LinearConfig:
    inputs: int = 2


class Linear(nn.Module):
    """Scores are a product; the loss is a sum of squares over lists with something relevant."""

    config_class = LinearConfig

    def __init__(self, config: LinearConfig = LinearConfig()) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.linspace(1.0, -0.5, config.inputs))

    def forward(self, lists: Lists) -> torch.Tensor:
        return (lists.x @ self.weight + lists.initial) * lists.mask

    def loss(self, lists: Lists, grades: torch.Tensor) -> torch.Tensor:
        of_lists = ((self(lists) - grades) ** 2 * lists.mask).sum(1)
        relevant = (grades > 0).any(1)
        return of_lists[relevant].sum() / relevant.sum()


def items(seed: int = 0) -> Items:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(OFFSETS[-1], 2)).astype(np.float32)
    return Items.of(x, draw.normal(size=OFFSETS[-1]).astype(np.float32), OFFSETS)


GRADES = np.array([2, 0, 1, 0, 1, 1, 0, 0, 0, 0, 2, 2, 0])
"""The second list and the fourth have nothing relevant."""
PAIRS = [np.array([[0, 1], [2, 1]]), np.zeros((0, 2), int), np.array([[3, 0]]),
         np.array([[1, 0]]), np.array([[0, 2], [1, 2], [0, 1]])]  # fmt: skip
TASK = Task(items(), GRADES, items(1), GRADES)
WITH_PAIRS = TASK._replace(paired=items(2), pairs=PAIRS)


def test_lists_are_padded_behind():
    x = torch.arange(12.0).reshape(6, 2)
    lists = padded(x, torch.arange(6.0), torch.tensor([1, 3, 2]))
    assert lists.mask.tolist() == [[True, False, False], [True] * 3, [True, True, False]]
    assert lists.x[0].tolist() == [[0, 1], [0, 0], [0, 0]]
    assert lists.x[1].tolist() == [[2, 3], [4, 5], [6, 7]]
    assert lists.x[2].tolist() == [[8, 9], [10, 11], [0, 0]]
    assert lists.initial.tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 0]]


def test_chosen_lists_come_in_the_order_in_which_they_were_chosen():
    source = items()
    lists = source.lists(np.array([3, 0]))
    rows, _ = source.read(np.arange(5))
    assert torch.equal(lists.x[0, :2], rows[8:10]) and torch.equal(lists.x[1], rows[0:3])
    assert len(source) == 5


def test_scores_of_all_lists_do_not_hang_on_how_many_are_read_at_once():
    network = Linear()
    whole = scores_of(network, network, items(), Machine())
    assert whole.shape == (13,) and whole.dtype == np.float64
    np.testing.assert_allclose(scores_of(network, network, items(), Machine(), 2), whole, 1e-6)


def trained(task: Task, folder, world: World = ALONE, **changes):
    """The network after training, and the gradients of each step as the learner saw them."""
    network = Linear()
    config = replace(ListTraining(optimisation=USUAL, epochs=2, lists_a_step=2), **changes)

    def run_of(learner: Learner) -> Run:
        return Run(folder, "it", learner, network)

    run = learn(network, network, task, config, world, run_of, "linear")
    return network, run.metrics


def test_every_epoch_takes_every_list_once_and_weights_each_loss_rightly(tmp_path):
    """With a rate of 0 an epoch's loss is a mean over its steps of means over their lists."""
    _, metrics = trained(WITH_PAIRS, tmp_path, optimisation=NO_STEP, lists_a_step=5)
    network, every = Linear(), np.arange(5)
    lists = TASK.graded.lists(every)
    grades = torch.zeros(lists.mask.shape).masked_scatter(lists.mask, torch.tensor(GRADES) * 1.0)
    own = network.loss(lists, grades).item()
    scores = network(WITH_PAIRS.paired.lists(every))
    pairs = [(scores[i, a], scores[i, b]) for i, of in enumerate(PAIRS) for a, b in of]
    better, worse = (torch.stack(side) for side in zip(*pairs, strict=True))
    assert len(pairs) == 7
    loss = pairwise_logistic(better, worse).item()
    right = float((better > worse).float().mean())
    assert [entry["loss"] for entry in metrics] == pytest.approx([own + loss] * 2, rel=1e-5)
    assert [entry["train_accuracy"] for entry in metrics] == pytest.approx([right] * 2)
    _, half = trained(
        WITH_PAIRS, tmp_path / "half", optimisation=NO_STEP, lists_a_step=5, pair_weight=0.5
    )
    assert half[0]["loss"] == pytest.approx(own + loss / 2, rel=1e-5)
    _, without = trained(TASK, tmp_path / "without", optimisation=NO_STEP, lists_a_step=5)
    assert without[0]["loss"] == pytest.approx(own, rel=1e-5)
    assert "train_accuracy" not in without[0]


def test_steps_of_fewer_lists_also_take_all_pairs(tmp_path):
    _, metrics = trained(WITH_PAIRS, tmp_path, optimisation=NO_STEP, lists_a_step=2)
    _, whole = trained(WITH_PAIRS, tmp_path / "x", optimisation=NO_STEP, lists_a_step=5)
    assert metrics[0]["train_accuracy"] == pytest.approx(whole[0]["train_accuracy"])
    assert [entry["step"] for entry in metrics] == [3, 6]
    assert metrics[0]["loss"] != pytest.approx(metrics[1]["loss"])  # other lists together


def test_a_step_with_nothing_relevant_teaches_nothing(tmp_path):
    nothing = TASK._replace(grades=np.where(np.arange(13) < 3, GRADES, 0))
    network, metrics = trained(nothing, tmp_path, lists_a_step=1)
    assert np.isfinite(metrics[-1]["loss"]) and torch.isfinite(network.weight).all()


def test_dev_without_anything_relevant(tmp_path):
    with pytest.raises(UserError, match="no record has a label above low"):
        trained(TASK._replace(dev_grades=np.zeros(13, int)), tmp_path)


def test_same_seed_same_weights_and_another_order_with_another_seed(tmp_path):
    first, _ = trained(WITH_PAIRS, tmp_path / "a")
    second, _ = trained(WITH_PAIRS, tmp_path / "b")
    other, _ = trained(WITH_PAIRS, tmp_path / "c", machine=Machine(seed=1))
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, other.weight)


def test_learns(tmp_path):
    source = items()
    x, _ = source.read(np.arange(5))
    wanted = x @ torch.tensor([-1.0, 2.0])
    grades = np.digitize(wanted.numpy(), [-0.5, 1.0])
    task = Task(source, grades, source, grades)
    optimisation = replace(USUAL, learning_rate=0.1)
    _, metrics = trained(task, tmp_path, optimisation=optimisation, epochs=60)
    assert metrics[-1]["loss"] < metrics[0]["loss"] / 2
    assert max(entry["dev_ndcg@20"] for entry in metrics) > metrics[0]["dev_ndcg@20"]
