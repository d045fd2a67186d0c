"""Frozen encoders: what is cut, which tokens are the label's, and that batches leave no trace."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lrmovienet.encoders import TransformersFrames, TransformersText
from lrmovienet.errors import UserError


def jpeg(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(data, "JPEG")
    return data.getvalue()


@pytest.fixture(scope="module")
def minilm() -> TransformersText:
    from lrmovienet.encoders import text_encoder

    encoder = text_encoder(None, 16, "cpu")
    assert isinstance(encoder, TransformersText)
    return encoder


def test_only_the_description_is_cut(minilm):
    long = ("running man", "word " * 40)
    (text, left_out), (short, none) = minilm([long, ("running man", "word")])
    assert len(text.tokens) == 16
    assert left_out == 2 + 40 + 3 - 16  # label, description, [CLS] and two [SEP]
    assert (text.label_start, text.label_end) == (1, 3)
    # As if the description had been that short: 16 − 2 − 3 = 11 words, and the end token is there.
    ((same, _),) = minilm([("running man", "word " * 11)])
    assert np.array_equal(text.tokens, same.tokens)
    assert (len(short.tokens), none) == (6, 0)


def test_features_do_not_depend_on_the_batch(minilm):
    texts = [("dog", "word " * n) for n in range(1, 12)]
    together = minilm(texts)
    for text, both in zip(texts, together, strict=True):
        ((alone, _),) = minilm([text])
        np.testing.assert_allclose(both.features.tokens, alone.tokens, rtol=2**-10, atol=2e-4)


@pytest.mark.slow
def test_the_number_of_cores_does_not_change_a_bit(minilm):
    import torch

    from lrmovienet.encoders import PackagedFrames

    texts = [("dog", "word " * (n % 12 + 1)) for n in range(70)]
    pictures = [jpeg(colour) for colour in ("red", "blue", "green", "white") * 6]
    before = torch.get_num_threads()
    found = []
    for cores in (1, 3):
        torch.set_num_threads(cores)
        tokens = [text.features.tokens.tobytes() for text in minilm(texts)]
        found.append((tokens, PackagedFrames()(pictures).tobytes()))
        assert torch.get_num_threads() == cores
    torch.set_num_threads(before)
    assert found[0] == found[1]


def test_a_label_that_leaves_no_room(minilm):
    with pytest.raises(
        UserError, match=r"label 'a b c .* has 14 tokens .*--max_tokens \d+ or more"
    ):
        minilm([(" ".join("abcdefghijklmn"), "A description.")])
    with pytest.raises(UserError, match="reads 512 at most"):
        replace(minilm, max_tokens=513)([("dog", "A dog.")])


def test_features_beyond_half_precision_are_refused():
    from lrmovienet.encoders import _half

    assert _half(np.array([65504.0], np.float32), "x").tolist() == [65504.0]
    for value in (65600.0, np.nan):
        with pytest.raises(UserError, match="above 65504"):
            _half(np.array([value], np.float32), "x")


def test_roberta_and_vit_as_in_the_paper(tmp_path):
    """Small networks of the paper's two kinds, with random weights, from folders on disk."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import (
        RobertaConfig,
        RobertaModel,
        RobertaTokenizerFast,
        ViTConfig,
        ViTImageProcessor,
        ViTModel,
    )

    torch.manual_seed(0)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        ["a dog runs", "running man"] * 9,
        300,
        1,
        False,
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    )
    roberta, vit = tmp_path / "roberta", tmp_path / "vit"
    tokenizer = RobertaTokenizerFast(tokenizer_object=bpe._tokenizer)
    tokenizer.save_pretrained(roberta)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    RobertaModel(
        RobertaConfig(
            vocab_size=len(tokenizer), intermediate_size=16, max_position_embeddings=42,
            pad_token_id=1, type_vocab_size=1, **size,
        )
    ).save_pretrained(roberta)  # fmt: skip
    model = ViTModel(ViTConfig(image_size=32, patch_size=16, intermediate_size=16, **size))
    model.save_pretrained(vit)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(vit)

    encoder = TransformersText(roberta, "roberta", 40)
    texts = [("dog", "a dog runs"), ("running man", "a dog runs " * 30)]
    (text, _), (cut, left_out) = encoder(texts)
    whole = tokenizer(*texts[0])
    label = whole["input_ids"][text.label_start : text.label_end]
    assert tokenizer.decode(label) == "dog"
    assert len(text.tokens) == len(whole["input_ids"])
    assert len(cut.tokens) == 40
    assert left_out == len(tokenizer(*texts[1])["input_ids"]) - 40
    with pytest.raises(UserError, match="reads 40 at most"):  # two positions are never used
        TransformersText(roberta, "roberta", 41)(texts)

    frames = TransformersFrames(vit, "vit")([jpeg("red"), jpeg("blue")])
    picture = Image.open(io.BytesIO(jpeg("blue"))).resize((32, 32), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        direct = model.eval()((pixels - 0.5) / 0.5).last_hidden_state[0, 0].numpy()
    assert frames.shape == (2, 16)
    np.testing.assert_allclose(frames[1], direct, atol=2e-2)
