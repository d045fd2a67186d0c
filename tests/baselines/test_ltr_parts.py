"""Single networks of learning to rank, and what they are made of."""

import numpy as np
import pytest
import torch
from ltr_networks import INPUTS, SMALL, made, padded, some_lists
from torch import nn

from baselines.ltr.attention import Attention, PostNormBlock, PreNormBlock
from baselines.ltr.dasalc import DASALC, DASALCConfig
from baselines.ltr.dlcm import worst_first
from baselines.ltr.gsf import GSF, GSFConfig
from baselines.ltr.lists import Lists
from baselines.ltr.mlp import Mlp
from lrmovienet.errors import UserError


@torch.inference_mode()
def test_groups_of_one_are_listnet():
    listnet, gsf = made("listnet", seed=1), made("gsf 1", seed=2)
    lists = padded(some_lists((4, 6)), 6)
    assert not torch.equal(gsf(lists), listnet(lists))
    gsf.load_state_dict(listnet.state_dict())
    assert torch.equal(gsf(lists), listnet(lists))


@torch.inference_mode()
def test_a_group_of_two_by_hand():
    """g([a; b]) = (a, 2 b) for items a, b above 0: every item is first n times, second n times."""
    gsf = GSF(GSFConfig(inputs=1, group=2, width=2, layers=1)).eval()
    gsf.scorer.hidden = nn.Identity()
    with torch.no_grad():
        gsf.scorer.first.weight.copy_(torch.eye(2))
        gsf.scorer.out.weight.copy_(torch.diag(torch.tensor([1.0, 2.0])))
        gsf.scorer.first.bias.zero_()
        gsf.scorer.out.bias.copy_(torch.tensor([0.0, 0.5]))
    x = torch.tensor([[[1.0], [4.0], [9.0], [77.0]]])
    mask = torch.tensor([[True, True, True, False]])
    # 3 · x as the first, 3 · (2 x + 0.5) as the second.
    assert gsf(Lists(x, mask, torch.zeros(1, 4))).tolist() == [[10.5, 37.5, 82.5, 0.0]]


def test_the_worst_is_read_first_ties_from_the_end_padding_last():
    initial = torch.tensor([[0.2, 0.9, -5.0, 0.2, -1.0]])
    mask = torch.tensor([[True, True, False, True, True]])
    lists = Lists(torch.zeros(1, 5, 2), mask, initial)
    assert worst_first(lists).tolist() == [[4, 3, 0, 1, 2]]


@torch.inference_mode()
@pytest.mark.parametrize("name", ["dlcm", "dlcm multi"])
def test_dlcms_worst_item_scores_0(name):
    lists = padded(some_lists((4, 6)), 6)
    scores = made(name)(lists).masked_fill(~lists.mask, 99)
    assert scores.amin(1).tolist() == [0, 0]


@torch.inference_mode()
def test_prms_further_places_share_a_vector():
    lists = padded(some_lists((6,)), 6)
    network = made("prm")  # has 4
    before = network(lists)
    order = lists.initial[0].argsort(descending=True)
    swapped = lists.initial.clone()
    swapped[0, order[[3, 5]]] = lists.initial[0, order[[5, 3]]]
    assert torch.equal(network(lists._replace(initial=swapped)), before)
    swapped[0, order[[2, 4]]] = lists.initial[0, order[[4, 2]]]
    assert not torch.equal(network(lists._replace(initial=swapped)), before)


def test_noise_blurs_what_both_ways_read_in_training_alone():
    torch.manual_seed(0)
    network = DASALC(DASALCConfig(**SMALL, noise=0.5, dropout=0.0))
    lists = padded(some_lists((40,) * 50), 40)
    read = []
    for layer in (network.mlp[0], network.projection):
        layer.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    network.train()(lists)
    network.eval()(lists)
    (one, other), (later, last) = (sorted(map(id, read[i : i + 2])) for i in (0, 2))
    assert one == other and later == last  # the same tensor
    noise = (read[0] - lists.x).flatten()
    assert noise.std().item() == pytest.approx(0.5, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert torch.equal(read[2], lists.x)


def test_log1p_keeps_signs_and_is_cut_off():
    network = DASALC(DASALCConfig(inputs=5, transform="log1p"))
    x = torch.tensor([0.0, 1.0, -1.0, -(np.e - 1), 1e30])
    expected = [0, np.log(2), -np.log(2), -1, 30]
    np.testing.assert_allclose(network.transformed(x), expected, atol=1e-6)
    plain = DASALC(DASALCConfig(inputs=5))
    assert torch.equal(plain.transformed(x), x)


def test_the_mlp_halves_its_layers():
    mlp = Mlp(INPUTS, 256, 3, 2)
    sizes = [(m.in_features, m.out_features) for m in mlp.modules() if isinstance(m, nn.Linear)]
    assert sorted(sizes) == sorted([(INPUTS, 256), (256, 128), (128, 64), (64, 2)])
    for width, layers in ((4, 0), (2, 3), (0, 1)):
        with pytest.raises(ValueError, match="cannot be"):
            Mlp(INPUTS, width, layers)


def test_wrong_dimensions_are_told():
    for heads in (0, 3):
        with pytest.raises(UserError, match=f"width of 16 has no {heads} equal heads"):
            Attention(16, heads)
    with pytest.raises(UserError, match="group of 0"):
        GSF(GSFConfig(**SMALL, group=0))


@torch.inference_mode()
def test_an_empty_list_gives_numbers_and_reaches_no_other():
    attention = Attention(8, 2).eval()
    x = torch.randn(2, 3, 8)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    found = attention(x, x, mask)
    assert found.isfinite().all()
    assert torch.equal(found[:1], attention(x[:1], x[:1], mask[:1]))


@pytest.mark.parametrize(
    "block",
    [PreNormBlock(8, 2, 16, 0.5, nn.GELU()), PostNormBlock(8, 2, 16, 0.5)],
    ids=["before", "after"],
)
def test_blocks_drop_weights_hidden_values_and_sums(block):
    """Four places: attention weights, hidden values, and what is added, twice."""
    drops = [module for module in block.modules() if isinstance(module, nn.Dropout)]
    assert [module.p for module in drops] == [0.5] * 3  # that of the sums serves twice
    seen = []
    for module in drops:
        module.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1:]))
    x, mask = torch.randn(1, 3, 8), torch.ones(1, 3, dtype=torch.bool)
    block(x, mask) if isinstance(block, PreNormBlock) else block(x, x, mask)
    assert sorted(map(tuple, seen)) == sorted([(2, 3, 3), (3, 8), (3, 8), (3, 16)])
