"""The flatten head, reward model and critic, classes, precision, gradients and dropout."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_lr2ppo import block, layers_of, linear, mlp, renamed, unsettle
from test_lr2ppo_model import CONFIG, OURS

from baselines.lr2ppo.batch import Batch
from baselines.lr2ppo.model import SLOTS, Actor, Mlp, PairModel, Trunk

TOKENS, PLACES = 5, 4
FLATTEN = replace(CONFIG, head="flatten", text_tokens=TOKENS, frames=PLACES)


def made(kind=Actor, config=CONFIG, **changes):
    torch.manual_seed(0)
    model = kind(replace(config, **changes)).eval()
    unsettle(model)
    return model


def batch_of(frames=(2, 3), lengths=(3, 5, 7, 4, 6), record=(0, 0, 0, 1, 1), seed=0) -> Batch:
    """Texts of these lengths, the first token of each the label; clips of these many frames."""
    generator = torch.Generator().manual_seed(seed)
    text_mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    frame_mask = torch.arange(max(frames))[None] < torch.tensor(frames)[:, None]
    text = torch.randn(*text_mask.shape, 12, generator=generator)
    pictures = torch.randn(*frame_mask.shape, 8, generator=generator)
    return Batch(
        text * text_mask[:, :, None], text_mask, text_mask & (torch.arange(max(lengths)) < 1),
        pictures * frame_mask[:, :, None], frame_mask, torch.tensor(record),
    )  # fmt: skip


# --- Flatten -------------------------------------------------------------------------------------


def split(trunk: Trunk, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, TOKENS, width) fused texts and (n, PLACES, width) images, as the last MLP reads them."""
    read = trunk.flattened(batch)
    return tuple(read.view(len(read), TOKENS + PLACES, -1).split([TOKENS, PLACES], 1))


@torch.inference_mode()
@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [0, 0, 0, 0]),
        (2, [0, 1, 0, 1]),
        (3, [0, 1, 2, 0]),
        (4, [0, 1, 2, 3]),
        (5, [0, 1, 2, 3]),
        (9, [0, 1, 2, 3]),
    ],
)
def test_which_frame_stands_at_which_position(count, expected):
    """Also beside a clip with more frames, whose padding must not be taken for frames."""
    trunk = made(config=FLATTEN).trunk
    batch = batch_of((count, 11), (3, 4, 4), (0, 1, 0))
    _, images = split(trunk, batch)
    frames = trunk.frame_mlp(batch.frames[0, expected])
    for label in (0, 2):
        torch.testing.assert_close(images[label], frames, atol=1e-6, rtol=0)
    torch.testing.assert_close(images[1], trunk.frame_mlp(batch.frames[1, :PLACES]))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3))
@torch.inference_mode()
def test_frames_repeat_in_turn_whatever_their_number(counts):
    trunk = made(config=FLATTEN).trunk
    batch = batch_of(tuple(counts), (3,) * len(counts), tuple(range(len(counts))))
    _, images = split(trunk, batch)
    for i, count in enumerate(counts):
        for place in range(PLACES):
            expected = trunk.frame_mlp(batch.frames[i, place % count])
            torch.testing.assert_close(images[i, place], expected, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_texts_are_cut_and_end_in_zeros():
    """Lengths 3, 5 and 7 at five positions; all positions are fused, zeros as well."""
    trunk = made(config=FLATTEN).trunk
    batch = batch_of((4,), (3, 5, 7), (0, 0, 0))
    texts, images = split(trunk, batch)
    rows = torch.zeros(3, TOKENS, 12)
    rows[0, :3], rows[1], rows[2] = batch.text[0, :3], batch.text[1, :5], batch.text[2, :5]
    layer = renamed(layers_of(trunk.state_dict(), "fusion."), OURS)
    for i in range(3):
        asks = trunk.text_mlp(rows[i]).double()
        expected = block(asks, images[i].double(), layer, 4, "standard")
        assert (texts[i] - expected).abs().max() < 1e-5


@torch.inference_mode()
def test_a_flattened_text_hangs_on_its_first_tokens_alone():
    actor = made(config=FLATTEN)
    batch = batch_of()
    scores = actor(batch)
    later = batch._replace(text=batch.text.clone())
    later.text[:, TOKENS:] += 1
    assert torch.equal(actor(later), scores)
    last = batch._replace(text=batch.text.clone())
    last.text[:, TOKENS - 1] += torch.arange(12.0)
    assert (actor(last) - scores).abs().min() > 1e-4
    short = batch._replace(text=batch.text[:, :3], text_mask=batch.text_mask[:, :3])
    zeros = batch._replace(text=batch.text.clone())
    zeros.text[:, 3:] = 0
    torch.testing.assert_close(actor(short), actor(zeros))


@torch.inference_mode()
def test_a_flattened_score_equals_a_plain_restatement():
    actor = made(config=FLATTEN, normalise_inputs=False, attention_scale="released")
    batch = batch_of((2, 3))
    texts, images = split(actor.trunk, batch)
    layer = layers_of(actor.state_dict())
    read = torch.cat([texts, images], 1).reshape(5, -1).double()  # position by position
    vectors = mlp(read, layer("trunk.out.hidden"), layer("trunk.out.out"))
    expected = linear(vectors, layer("head"))[:, 0]
    assert (actor(batch) - expected).abs().max() < 1e-5
    assert expected.std() > 1e-2


@torch.inference_mode()
def test_the_order_of_frames_matters_to_the_flatten_head():
    actor, batch = made(config=FLATTEN), batch_of((3,), (3, 4), (0, 0))
    turned = batch._replace(frames=batch.frames.flip(1))
    assert (actor(turned) - actor(batch)).abs().min() > 1e-4


@torch.inference_mode()
def test_normalised_inputs_have_no_unit_and_no_offset():
    batch = batch_of()
    text = (batch.text * 40 + 3) * batch.text_mask[:, :, None]
    other = batch._replace(text=text, frames=batch.frames * 40 - 7)
    for normalise in (True, False):
        actor = made(config=FLATTEN, normalise_inputs=normalise)
        same = torch.allclose(actor(other), actor(batch), atol=1e-4)
        assert same == normalise


def test_an_mlp_norms_without_weights_of_its_own():
    found = Mlp(6, 5, 2, norm=True)
    assert sorted(found.state_dict()) == ["hidden.bias", "hidden.weight", "out.bias", "out.weight"]


# --- Reward model and critic ---------------------------------------------------------------------


def plain_value(model: PairModel, vectors: torch.Tensor, causal: bool) -> float:
    """All slots attend to all (or to those before them), and the last is read."""
    weights = model.state_dict()
    slots = len(vectors)
    x = vectors.double() + weights["positions.weight"][:slots].double()
    may_see = torch.ones(slots, slots, dtype=torch.bool)
    layer = renamed(layers_of(weights, "block."), OURS)
    config = model.config
    x = block(
        x, x, layer, config.heads, config.attention_scale, may_see.tril() if causal else may_see
    )
    value = linear(x, layers_of(weights)("head"))[-1].item()
    if config.pair_scores:  # of the label before the last, less that of the last
        first, second = (vectors[-2:].double() * weights["label_score.weight"].double()).sum(1)
        value += (first - second).item()
    return value


@torch.inference_mode()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("slots", [2, 4])
@pytest.mark.parametrize("choice", [("standard", False), ("released", False), ("standard", True)])
def test_the_last_slot_alone_equals_attention_of_all(causal, slots, choice):
    model = made(PairModel, attention_scale=choice[0], pair_scores=choice[1])
    vectors = torch.randn(6, slots, 16)
    expected = torch.tensor([plain_value(model, row, causal) for row in vectors])
    assert (model.value(vectors) - expected).abs().max() < 1e-5
    assert expected.std() > 1e-2


@torch.inference_mode()
def test_label_scores_turn_with_the_order_of_the_new_pair():
    """With the rest of the network silent: w·(first − second), whatever the initial order."""
    model = made(PairModel, pair_scores=True)
    model.head.weight[:], model.head.bias[:] = 0, 0
    model.label_score.weight[:] = torch.arange(16.0)
    vectors = torch.zeros(1, 4, 16)
    vectors[0, 0, 1] = 7.0
    vectors[0, 2, 3], vectors[0, 3, 5] = 2.0, 1.0  # scores 6 and 5
    assert model.value(vectors).tolist() == [1.0]
    assert model.value(vectors[:, [1, 0, 3, 2]]).tolist() == [-1.0]
    assert model.value(vectors[:, 2:]).tolist() == [1.0]


@torch.inference_mode()
def test_every_slot_and_its_place_matter():
    model = made(PairModel)
    vectors = torch.randn(1, 4, 16)
    value = model.value(vectors)
    for i in range(4):
        changed = vectors.clone()
        changed[0, i] += torch.randn(16)
        assert abs(model.value(changed) - value) > 1e-4
    for order in ([1, 0, 2, 3], [0, 1, 3, 2], [2, 3, 0, 1], [0, 2, 1, 3]):
        assert abs(model.value(vectors[:, order]) - value) > 1e-4


@torch.inference_mode()
@pytest.mark.parametrize("config", [CONFIG, FLATTEN])
@pytest.mark.parametrize("slots", [[[0, 1, 1, 0], [0, 1, 0, 1], [4, 3, 3, 4]], [[2, 0], [3, 4]]])
def test_encoding_once_and_gathering_equals_encoding_each_slot(config, slots):
    model, batch = made(PairModel, config), batch_of()
    places = torch.tensor(slots)
    flat = places.flatten()
    repeated = Batch(
        batch.text[flat], batch.text_mask[flat], batch.label_mask[flat],
        batch.frames, batch.frame_mask, batch.record[flat],
    )  # fmt: skip
    found = model(repeated, torch.arange(len(flat)).view(places.shape))
    assert found.shape == (len(slots),)
    assert (model(batch, places) - found).abs().max() < 1e-5
    assert found.std() > 1e-3


def test_there_are_four_places_at_most():
    assert SLOTS == 4
    model = made(PairModel)
    assert model.positions.weight.shape == (4, 16)
    with pytest.raises(RuntimeError):
        model.value(torch.randn(1, 5, 16))


# --- Classes and precision -----------------------------------------------------------------------


@torch.inference_mode()
def test_three_outputs_are_the_expected_grade():
    actor, batch = made(outputs=3), batch_of()
    logits = actor.raw(batch).double()
    assert logits.shape == (5, 3)
    odds = logits.exp()
    expected = (odds[:, 1] + 2 * odds[:, 2]) / odds.sum(1)
    assert (actor(batch) - expected).abs().max() < 1e-6
    assert (expected.min(), expected.max()) > (0, 0)
    assert expected.max() < 2
    assert expected.std() > 1e-3


@torch.inference_mode()
def test_one_output_is_the_score_itself():
    actor, batch = made(), batch_of()
    assert torch.equal(actor(batch), actor.raw(batch)[:, 0])


@torch.inference_mode()
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("config", [CONFIG, FLATTEN])
def test_scores_under_autocast_are_single_and_do_not_tie(config, outputs):
    """Scores lie within .02 around 1, where neighbours in bfloat16 are .0078 or .0039 apart."""
    actor = made(Actor, config, outputs=outputs)
    batch = batch_of((2,), (5,) * 60, (0,) * 60)
    actor.head.weight *= 1e-2
    actor.head.bias[:] = 1.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert actor.trunk(batch).dtype == torch.bfloat16  # autocast is on
        scores = actor(batch)
    assert scores.dtype == torch.float32
    assert len(scores.unique()) > 50 > 10 > len(scores.bfloat16().unique())
    assert (scores - actor(batch)).abs().max() < 1e-3


@torch.inference_mode()
@pytest.mark.parametrize("pair_scores", [False, True])
def test_values_under_autocast_are_single_and_do_not_tie(pair_scores):
    model = made(PairModel, pair_scores=pair_scores)
    vectors = torch.randn(60, 4, 16)
    model.head.weight *= 1e-2
    model.head.bias[:] = 1.0
    if pair_scores:
        model.label_score.weight *= 1e-3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = model.value(vectors)
    assert values.dtype == torch.float32
    assert len(values.unique()) > 50 > 10 > len(values.bfloat16().unique())
    assert (values - model.value(vectors)).abs().max() < 1e-3


# --- Gradients and dropout -----------------------------------------------------------------------


@pytest.mark.parametrize("slots", [None, 4, 2])
@pytest.mark.parametrize(
    "config", [CONFIG, FLATTEN, replace(CONFIG, fusion_hidden=0, pair_scores=True)]
)
def test_gradients_reach_every_parameter(config, slots):
    """But for the bias of keys, which adds one number to all energies of a query; softmax drops it.

    A state of two labels does not reach places three and four.
    """
    model = made(Actor if slots is None else PairModel, config)
    batch = batch_of()
    places = () if slots is None else (torch.tensor([[0, 1, 1, 0], [4, 3, 4, 3]])[:, :slots],)
    model(batch, *places).pow(2).sum().backward()
    for name, parameter in model.named_parameters():
        largest = parameter.grad.abs().amax().item()
        assert (largest < 1e-6) == name.endswith("attention.key.bias"), (name, largest)
    if slots is not None:
        reached = model.positions.weight.grad.abs().amax(1) > 1e-6
        assert reached.tolist() == [True, True, slots == 4, slots == 4]


@pytest.mark.parametrize("config", [CONFIG, FLATTEN])
@pytest.mark.parametrize(
    ("rates", "random"),
    [((0.0, 0.0), False), ((0.5, 0.0), True), ((0.0, 0.5), True)],
)
@pytest.mark.parametrize("kind", [Actor, PairModel])
@torch.no_grad()
def test_dropout_is_for_training_only(config, rates, random, kind):
    model = made(kind, config, dropout=rates[0], head_dropout=rates[1])
    given_ = (batch_of(),) if kind is Actor else (batch_of(), torch.tensor([[0, 1, 1, 0]]))
    calm = model(*given_)
    assert torch.equal(model(*given_), calm)
    model.train()
    first, second = model(*given_), model(*given_)
    assert (not torch.equal(first, second)) == random
    assert (not torch.allclose(first, calm, atol=1e-6)) == random


@torch.no_grad()
def test_dropout_of_blocks_is_in_both_of_their_branches_and_within_the_second():
    """With nothing left of either branch, a block is its last norm."""
    model = made(PairModel, dropout=1.0).train()
    x = torch.randn(3, 2, 16)
    torch.testing.assert_close(model.block(x, x), model.block.norm(x))
    torch.testing.assert_close(model.trunk.fusion(x, x), model.trunk.fusion.norm(x))
    feed_forward = model.block.feed_forward
    torch.testing.assert_close(feed_forward(x), feed_forward.out.bias.expand(3, 2, 16))
    assert not torch.allclose(model.eval().block(x, x), model.block.norm(x), atol=1e-2)
