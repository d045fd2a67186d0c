"""Training by two processes is training by one: the same steps, the same model in both."""

import contextlib
import os
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from hypothesis import given
from hypothesis import strategies as st
from tiny_stages import ALONE, SMOOTH, STAGES, STILL, counted, data_of, made_up, stage, weights_of

import baselines.learning.loop as loop
import baselines.lr2ppo.ppo as ppo
from baselines.learning.learner import Learner
from baselines.learning.machine import Machine
from baselines.learning.parallel import World, join
from baselines.learning.running import dev_ndcg
from baselines.lr2ppo.actor_ranker import predict
from baselines.lr2ppo.presets import PairData
from baselines.lr2ppo.reward import dev_accuracy
from lrmovienet.workspace import Workspace

THIN = {
    "base": {"records_a_step": 1},
    "reward": {"pairs": PairData(True, 1)},
    "ppo": {"pairs": PairData(True, 1), "clips_an_iteration": 1, "annotated_weight": 0.5},
    "preference": {"pairs": PairData(True, 1)},
}
"""A step has one clip, so that the second process never has any."""
WHOLE: dict[str, dict[str, Any]] = {kind: {} for kind in STAGES}
WHOLE["ppo"] = {"annotated_weight": 0.5, "annotated_a_step": 15}


# --- What runs in each process -------------------------------------------------------------------


def each(rank: int, size: int, port: int, work: Any, *arguments: Any) -> None:
    """Join the others, and leave what `work` gives, by rank, in the folder that comes last."""
    # Without the name of an interface, gloo asks for the machine's own address.
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank),
        "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    torch.set_num_threads(1)
    found = work(join("cpu"), *arguments)
    torch.save(found, arguments[-1] / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


def by_processes(work: Any, *arguments: Any, size: int = 2) -> list[Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(each, (size, port, work, *arguments), nprocs=size, daemon=True)
    return [torch.load(arguments[-1] / f"rank{rank}.pt") for rank in range(size)]


def trainings(
    world: World, root: Path, kinds: tuple[str, ...], options: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Weights and metrics of some stages; nothing dropped out, the last weights kept."""
    data = data_of(Workspace(root))
    found = {}
    for kind in kinds:
        ranker = stage(kind, STILL, optimisation=SMOOTH, **options[kind])
        with made_up(kind, [0.1, 0.2, 0.3]) as seen:
            ranker.fit(data, folder / kind / str(world.rank))
        moved = max((weights_of(ranker)[k] - w).abs().max() for k, w in seen[0].items())
        network = ranker.model if kind == "reward" else ranker.actor
        if kind == "reward":
            judged = [dev_accuracy(network, data.dev[:n], Machine(), world) for n in (1, 3)]
        else:
            scores = partial(predict, network, Machine())
            judged = [dev_ndcg(scores, data.dev[:n], world) for n in (1, 3)]
        found[kind] = (weights_of(ranker), ranker.metrics, float(moved), judged)
    return found


def killed(world: World, root: Path, folder: Path) -> dict[str, Any]:
    """Weights and metrics of whole trainings, and of those that were killed in their fifth step."""
    data = data_of(Workspace(root))
    found = {}
    loop.SAVE_S, loop.SAVE_SHARE = -1.0, 0.0
    for kind in STAGES:
        for name, call in (("whole", 0), ("killed", 5)):
            place = folder / kind / name  # one folder for all, as where they share a disk
            with contextlib.suppress(KeyboardInterrupt), counted(Learner, "update", stop_in=call):
                stage(kind).fit(data, place)
            world.wait()
            ranker = stage(kind)
            with counted(Learner, "update") as left:
                ranker.fit(data, place)
            found[kind, name] = (weights_of(ranker), ranker.metrics, len(left))
    return found


def sums(world: World, folder: Path) -> Any:
    """What the functions of `World` give in each process."""
    empty, full = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    nobodys = torch.nn.Parameter(torch.zeros(1))
    full.grad = torch.tensor([1.0, 2.0]) * (world.rank + 1)
    if world.rank:
        empty.grad = torch.tensor([5.0, 7.0])
    world.sum_gradients(iter([empty, full, nobodys]))
    named = {"loss": 1.5} if not world.rank else {"loss": 2.0, "pairs": 3.0}
    again = join("cpu")
    world.wait()
    return {
        "gradients": [p.grad.tolist() for p in (empty, full, nobodys)],
        "gathered": world.gather([world.rank] * world.rank), "sums": world.sum_of(named),
        "again": (again.rank, again.size),
    }  # fmt: skip


# --- One process ---------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(0, 20))
def test_shares_are_disjoint_even_and_complete(size, n):
    shares = [list(World(rank, size).share(range(n))) for rank in range(size)]
    assert sorted(item for share in shares for item in share) == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_shared(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join("cpu") == join("cuda") == ALONE == World(0, 1)
    assert ALONE.gather([1, 2]) == [[1, 2]]
    assert ALONE.sum_of({"loss": 2.0}) == {"loss": 2.0}
    parameter = torch.nn.Parameter(torch.zeros(1))
    ALONE.sum_gradients([parameter])
    assert parameter.grad is None
    ALONE.wait()


# --- Two and more --------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_processes_tell_each_other(tmp_path):
    found = by_processes(sums, tmp_path, size=3)
    for rank, of_rank in enumerate(found):
        assert of_rank["gradients"] == [[10.0, 14.0], [6.0, 12.0], [0.0]]
        assert of_rank["gathered"] == [[], [1], [2, 2]]
        assert of_rank["sums"] == {"loss": 5.5, "pairs": 6.0}
        assert of_rank["again"] == (rank, 3)


@pytest.mark.slow
@pytest.mark.parametrize("options", [WHOLE, THIN], ids=["whole", "thin"])
def test_two_processes_train_as_one(filled, tmp_path, options):
    """Of all stages: weights and metrics, whether both have clips in a step or only the first."""
    alone = trainings(ALONE, filled.root, STAGES, options, tmp_path / "alone")
    both = by_processes(trainings, filled.root, STAGES, options, tmp_path)
    for kind in STAGES:
        weights, metrics, moved, judged = alone[kind]
        assert moved > 1e-3
        for found, entries, _, of_rank in (of_rank[kind] for of_rank in both):
            for name, weight in weights.items():
                torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-5, msg=f"{kind}")
                assert torch.equal(found[name], both[0][kind][0][name]), (kind, name)
            assert entries == both[0][kind][1]
            for entry, expected in zip(entries, metrics, strict=True):
                assert entry == pytest.approx(expected, abs=1e-5)
            assert of_rank == judged
        files = [sorted(p.name for p in (tmp_path / kind / str(r)).glob("*")) for r in (0, 1)]
        assert files == [["metrics.jsonl", "trainer_state.pt"], []]


@pytest.mark.slow
def test_killed_together_they_go_on_together(filled, tmp_path):
    """Metrics too: each goes on with sums of its own. The state of one is not that of two."""
    both = by_processes(killed, filled.root, tmp_path)
    for of_rank in both:
        for kind in STAGES:
            weights, metrics, left = of_rank[kind, "whole"]
            found, entries, still_left = of_rank[kind, "killed"]
            assert (left, still_left) == (0, 3 if kind == "ppo" else 2)
            assert entries == metrics == both[0][kind, "whole"][1]
            assert all(torch.equal(found[name], w) for name, w in weights.items())
            assert all(torch.equal(found[n], w) for n, w in both[0][kind, "whole"][0].items())
    data = data_of(filled)
    with counted(Learner, "update") as left:
        stage("base").fit(data, tmp_path / "base" / "whole")
    assert len(left) == 6


def test_a_share_of_a_step_counts_as_much_as_it_has_of_it(filled, tmp_path):
    """Two processes without a network between them: their gradients add up to those of one."""
    data = data_of(filled)
    options: dict[str, dict[str, Any]] = {
        "base": {"records_a_step": 99},
        "reward": {"pairs": PairData(True, 99)},
        "ppo": {"pairs": PairData(True, 99), "annotated_weight": 0.5, "annotated_a_step": 99},
        "preference": {"pairs": PairData(True, 99)},
    }

    class Part(World):
        """One of two that never hears of the other, but for what the old networks say."""

        def sum_gradients(self, parameters: Any) -> None:
            gradients.append([(i, p.grad.clone()) for i, p in enumerate(parameters)])

    for kind in STAGES:
        gradients: list[Any] = []
        for world in (Part(0, 1), Part(0, 2), Part(1, 2)):
            ranker = stage(kind, STILL, optimisation=SMOOTH, **options[kind])
            with made_up(kind, [0.1, 0.2, 0.3]), pytest.MonkeyPatch.context() as patch:
                patch.setattr(Learner, "update", _first_gradients)
                for name in ("reward_tables", "look"):
                    patch.setattr(ppo, name, _as_alone(getattr(ppo, name)))
                with contextlib.suppress(StopIteration):
                    ranker._fit(data, tmp_path / kind / f"{world.rank} of {world.size}", world)
        whole, one, other = gradients
        assert max(g.abs().max() for _, g in whole) > 1e-3
        for (_, g), (_, a), (_, b) in zip(whole, one, other, strict=True):
            torch.testing.assert_close(a + b, g, rtol=1e-5, atol=1e-5)


def _as_alone(function: Any) -> Any:
    return lambda *arguments: function(*arguments[:-1], ALONE)


def _first_gradients(self: Learner, losses: Any) -> float:
    self.optimizer.zero_grad()
    for loss in losses:
        loss.backward()
    self.world.sum_gradients(self.model.parameters())
    raise StopIteration
