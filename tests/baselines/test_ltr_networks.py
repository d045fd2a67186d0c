"""What all networks of learning to rank keep: padding, order, precision, dropout, learning."""

from dataclasses import fields
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ltr_networks import (
    IN_ORDER,
    INPUTS,
    NETWORKS,
    doubled,
    made,
    padded,
    padded_grades,
    some_grades,
    some_lists,
)

from baselines.ltr import losses
from baselines.ltr.context import ContextAware, ContextConfig
from baselines.ltr.lists import Lists
from eval.ndcg import ndcg

each_network = pytest.mark.parametrize("name", NETWORKS)
LENGTHS = (5, 1, 3, 4)


@torch.inference_mode()
@each_network
def test_scores_are_those_of_the_equations_one_list_at_a_time(name):
    """In double precision, so that nothing small can hide; and so is the loss."""
    _, config, restated, of_list = NETWORKS[name]
    network = made(name).double()
    assert network.config == config
    weights, lengths = network.state_dict(), (6, 1, 2, 5)
    for ties in (False, True):
        for one, grades in zip(some_lists(lengths, ties=ties), some_grades(lengths), strict=True):
            one = doubled(one)
            found = network(one)
            expected = restated(weights, config, one.x[0], one.initial[0])
            np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-10)
            assert len(expected) < 3 or found.std() > 1e-3
            loss = of_list(weights, config, one.x[0], expected.tolist(), grades[0].tolist())
            assert network.loss(one, grades).item() == pytest.approx(loss, rel=1e-9, abs=1e-9)


# --- Padding -------------------------------------------------------------------------------------


@torch.inference_mode()
@each_network
@settings(max_examples=10)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    more=st.integers(0, 3),
    garbage=st.sampled_from([0.0, -3.0, 50.0]),
    seed=st.integers(0, 99),
)
def test_padding_changes_neither_scores_nor_loss(name, lengths, more, garbage, seed):
    network, to = made(name), max(lengths) + more
    lists, grades = some_lists(lengths, seed), some_grades(lengths, seed)
    together = padded(lists, to, garbage)
    scores = network(together)
    assert scores.dtype == torch.float32 and scores.shape == (len(lengths), to)
    assert (scores[~together.mask] == 0).all()
    alone = torch.cat([network(one)[0] for one in lists])
    np.testing.assert_allclose(scores[together.mask], alone, rtol=1e-6, atol=2e-6)
    # Whatever grade stands at padding: 9 would be a relevant item, and beyond the ordinal's levels.
    loss = network.loss(together, padded_grades(grades, to, 9))
    losses = [network.loss(one, y) for one, y in zip(lists, grades, strict=True)]
    assert loss.shape == ()
    assert loss.item() == pytest.approx(np.mean([one.item() for one in losses]), rel=1e-5, abs=1e-6)


@each_network
def test_lists_without_anything_relevant_do_not_count(name):
    network, lists = made(name), some_lists(LENGTHS)
    grades = some_grades(LENGTHS)
    grades[1], grades[2] = grades[1] * 0, grades[2] * 0
    loss = network.loss(padded(lists, 5), padded_grades(grades, 5))
    fewer = network.loss(padded([lists[0], lists[3]], 5), padded_grades([grades[0], grades[3]], 5))
    assert loss.item() == pytest.approx(fewer.item(), rel=1e-5, abs=1e-6)
    nothing = network.loss(padded(lists, 5), torch.zeros(4, 5, dtype=torch.int64))
    nothing.backward()
    assert nothing.item() == 0
    assert all((p.grad is None) or (p.grad == 0).all() for p in network.parameters())


@each_network
def test_every_weight_learns_and_padding_gives_no_gradient(name):
    network, lists = made(name), padded(some_lists(LENGTHS), 6, 3.0)
    x = lists.x.clone().requires_grad_()
    network.loss(lists._replace(x=x), padded_grades(some_grades(LENGTHS), 6)).backward()
    assert (x.grad[~lists.mask] == 0).all()
    assert (x.grad[lists.mask][:5].abs().sum(1) > 0).all()  # the first list's items
    for weight, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), weight
        # A key's bias adds the same to all energies of a query, but for behind a ReLU, and the
        # last bias the same to all scores, which only ordinal regression sees.
        if not weight.endswith(("key.bias", "head.bias", "out.bias", "item_head.3.bias")):
            assert parameter.grad.abs().max() > 0, weight


# --- Order ---------------------------------------------------------------------------------------

TURN = torch.tensor([3, 0, 5, 4, 1, 2])


def turned(lists: Lists, *, initial: bool) -> Lists:
    """The items in another order; their initial scores stay at their places, or go along."""
    return Lists(
        lists.x[:, TURN], lists.mask[:, TURN], lists.initial[:, TURN] if initial else lists.initial
    )


@torch.inference_mode()
@each_network
def test_scores_go_along_with_the_items(name):
    """When the initial scores go along, for all; else only where these are not read."""
    network, lists = made(name).double(), doubled(padded(some_lists((5, 6, 2)), 6))
    scores = network(lists)[:, TURN]
    np.testing.assert_allclose(network(turned(lists, initial=True)), scores, atol=1e-12)
    whole = doubled(padded(some_lists((6, 6)), 6))
    stayed = (network(turned(whole, initial=False)) - network(whole)[:, TURN]).abs().amax(1)
    if name in IN_ORDER:
        assert (stayed > 1e-2).all()
    else:
        assert (stayed < 1e-12).all()


@torch.inference_mode()
@each_network
def test_whether_the_rest_of_the_list_matters(name):
    network, lists = made(name), padded(some_lists((6, 6)), 6)
    x = lists.x.clone()
    x[:, 2:] += torch.linspace(-1, 1, INPUTS)
    change = (network(lists._replace(x=x)) - network(lists))[:, :2].abs().amax(1)
    if name.startswith("listnet") or name == "gsf 1":
        assert (change == 0).all()
    else:
        assert (change > 1e-4).all()


@torch.inference_mode()
@pytest.mark.parametrize("name", IN_ORDER)
def test_only_the_order_of_initial_scores_matters(name):
    network, lists = made(name), padded(some_lists((6, 4)), 6)
    other = lists._replace(initial=(lists.initial * 3).sinh())
    assert torch.equal(network(other), network(lists))
    backwards = lists._replace(initial=-lists.initial)
    assert ((network(backwards) - network(lists)).abs().amax(1) > 1e-2).all()


# --- Training ------------------------------------------------------------------------------------


@each_network
def test_dropout_is_off_when_it_scores_and_follows_the_seed_when_it_learns(name):
    network, lists = made(name), padded(some_lists((5, 6)), 6)
    assert torch.equal(network(lists), network(lists))
    before = network(lists)
    network.train()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(network(lists))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], before)
    assert all((scores[~lists.mask] == 0).all() for scores in drawn)
    still = made(name, **{"dropout": 0.0, **({"noise": 0.0} if "dasalc" in name else {})}).train()
    assert torch.equal(still(lists), still.eval()(lists))


@torch.inference_mode()
@each_network
def test_half_precision_keeps_heads_and_losses_single(name):
    network, lists = made(name), padded(some_lists(LENGTHS), 5)
    grades = padded_grades(some_grades(LENGTHS), 5)
    exact, loss = network(lists), network.loss(lists, grades)
    with torch.autocast("cpu", torch.bfloat16):
        scores, rough = network(lists), network.loss(lists, grades)
    assert scores.dtype == rough.dtype == torch.float32
    assert (scores - exact).abs().max() < 0.05 * (1 + exact.abs().max())
    assert rough.item() == pytest.approx(loss.item(), rel=0.1, abs=0.05)
    # Not all scores are numbers of half precision, among which they would tie.
    assert (scores != scores.bfloat16().float()).any()


@each_network
def test_it_can_be_made_without_memory_and_its_config_is_flat(name):
    """Loading makes it on the meta device and reads its config from JSON: no tuples."""
    kind, config, *_ = NETWORKS[name]
    with torch.device("meta"):
        empty = kind(config)
    assert empty.state_dict().keys() == made(name).state_dict().keys()
    assert kind.config_class is type(config)
    assert next(iter(fields(config))).name == "inputs" and type(config)().inputs == 0
    assert all(isinstance(value, int | float | str) for value in vars(config).values())


LEARNERS = [name for name in NETWORKS if name not in ("listnet of one layer", "gsf 3")]


@pytest.mark.parametrize("name", LEARNERS)
def test_it_can_learn_ten_lists_by_heart(name):
    """From noise alone, with the optimizer that trains them, without dropout."""
    kind, config, *_ = NETWORKS[name]
    torch.manual_seed(0)
    still = {"dropout": 0.0, **({"noise": 0.0} if "dasalc" in name else {})}
    network = kind(type(config)(**{**vars(config), "width": 32, **still}))
    lengths = [4, 5, 6, 7, 8] * 2
    lists, grades = padded(some_lists(lengths), 8), padded_grades(some_grades(lengths), 8)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    first = reached = 0.0
    for step in range(400):
        if step % 20 == 0:
            scores = network(lists).detach()[lists.mask]
            offsets = np.cumsum([0, *lengths])
            reached = ndcg(scores.numpy(), grades[lists.mask].numpy(), offsets, [8]).mean()
            first = first or reached
            if reached > 0.99:
                break
        optimizer.zero_grad()
        network.loss(lists, grades).backward()
        optimizer.step()
    assert first < 0.95 < 0.99 < reached


@pytest.mark.parametrize(
    ("objective", "loss"),
    [
        ("ndcg_loss2pp", partial(losses.lambda_loss, weights="ndcg_loss2pp")),
        ("ndcg_loss2", partial(losses.lambda_loss, weights="ndcg_loss2")),
        ("lambdarank", partial(losses.lambda_loss, weights="lambdarank")),
        ("ranknet", losses.ranknet), ("approx_ndcg", losses.approx_ndcg),
        ("neural_ndcg", losses.neural_ndcg),
    ],
)  # fmt: skip
def test_the_context_transformer_takes_any_loss_of_the_room(objective, loss):
    torch.manual_seed(0)
    network = ContextAware(ContextConfig(inputs=7, width=8, heads=2, objective=objective)).eval()
    lists = padded(some_lists([3, 5]), 6)
    grades = padded_grades(some_grades([3, 5]), 6)
    expected = loss(network(lists), grades, lists.mask)
    torch.testing.assert_close(network.loss(lists, grades), expected)
    others = {losses.ranknet(network(lists), grades, lists.mask).item(),
              losses.approx_ndcg(network(lists), grades, lists.mask).item()}  # fmt: skip
    assert len({expected.item(), *others}) >= 2


def test_list_mle_breaks_ties_by_the_seed_alone():
    network = ContextAware(ContextConfig(inputs=7, width=8, heads=2, objective="list_mle")).eval()
    lists, grades = padded(some_lists([5]), 5), torch.tensor([[1, 1, 1, 2, 0]])
    found = []
    for seed in (0, 0, 1, 2, 3):
        torch.manual_seed(seed)
        found.append(network.loss(lists, grades).item())
    assert found[0] == found[1] and len(set(found)) > 1
