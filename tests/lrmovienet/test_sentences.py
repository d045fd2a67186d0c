"""Text encoders: means over tokens, of length one, whatever else is in the batch."""

import shutil

import numpy as np
import pytest

from lrmovienet.encoders import packaged_text_model
from lrmovienet.errors import UserError
from lrmovienet.sentences import BATCH, SentenceEncoder, sentence_encoder

TEXTS = [
    "dog", "red car", "a man who runs away from a very large dog", "t-shirt", "café", "夜", "neo",
]  # fmt: skip


@pytest.fixture(scope="module")
def minilm():
    return sentence_encoder(None)


def test_as_an_independent_mean_over_tokens(minilm):
    import torch
    from transformers import BertModel, BertTokenizerFast

    folder = packaged_text_model()
    tokenizer, model = BertTokenizerFast.from_pretrained(folder), BertModel.from_pretrained(folder)
    model.eval()
    expected = []
    for text in TEXTS:  # one by one: nothing is padded, and there is no mask to get wrong
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt"))[0][0].double().numpy()
        mean = hidden.mean(axis=0)
        expected.append(mean / np.sqrt((mean**2).sum()))
    found = minilm(TEXTS)
    assert found.shape == (len(TEXTS), 384)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_vectors_have_length_one_in_any_batch(minilm):
    many = [f"{text} {n}" for n in range(BATCH // 4) for text in TEXTS]
    assert len(many) > BATCH
    together = minilm(many)
    np.testing.assert_allclose(np.linalg.norm(together.astype(float), axis=1), 1, atol=1e-6)
    for i in (0, 2, BATCH - 1, BATCH, len(many) - 1):
        np.testing.assert_allclose(minilm([many[i]])[0], together[i], atol=1e-5)
    np.testing.assert_allclose(minilm(many[::-1])[::-1], together, atol=1e-5)


def test_the_number_of_cores_does_not_change_a_bit(minilm):
    import torch

    many = [f"{text} {n}" for n in range(20) for text in TEXTS]
    before, found = torch.get_num_threads(), []
    try:
        for cores in (1, 3):
            torch.set_num_threads(cores)
            found.append(minilm(many).tobytes())
            assert torch.get_num_threads() == cores
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_long_texts_are_cut(minilm):
    """64 tokens, two of them the model's own."""
    cut, long = minilm(["dog " * 62, "dog " * 62 + "cat " * 9])
    np.testing.assert_allclose(cut, long, atol=1e-5)
    (shorter,) = minilm(["dog " * 61 + "cat"])
    assert np.abs(cut - shorter).max() > 1e-3


def tiny_bert(folder, seed=0):
    """A random network of 8 dimensions in the Hugging Face layout."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "car", "dog", "##s"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(seed)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(words), intermediate_size=8, **sizes)
    BertModel(config).save_pretrained(folder)
    return folder


def test_an_encoder_of_ones_own(tmp_path):
    encoder = sentence_encoder(tiny_bert(tmp_path / "one"))
    found = encoder(["red car", "dogs", "red car"])
    assert found.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(found.astype(float), axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found[0], found[2], atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_the_identity_is_the_models(tmp_path):
    one = sentence_encoder(tiny_bert(tmp_path / "one"))
    other = sentence_encoder(tiny_bert(tmp_path / "other", seed=1))
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    copy = SentenceEncoder(tmp_path / "copy", device="meta")
    assert one.identity == copy.identity != other.identity
    assert sentence_encoder(None).identity["sha256"] not in str((one.identity, other.identity))
    (tmp_path / "copy" / "vocab.txt").write_text("another")
    assert SentenceEncoder(tmp_path / "copy").identity != one.identity


@pytest.mark.parametrize("made", ["nothing", "folder", "file", "no weights", "no config"])
def test_no_model_there(tmp_path, made):
    path = tmp_path / "model"
    if made == "folder":
        path.mkdir()
    elif made == "file":
        path.write_text("x")
    elif made != "nothing":
        tiny_bert(path)
        (path / ("model.safetensors" if made == "no weights" else "config.json")).unlink()
    with pytest.raises(UserError, match=r"model: no model here\. .* as --text_model\."):
        _ = sentence_encoder(path).identity


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b""), ("model.safetensors", b"\0" * 99), ("config.json", b"{}"),
        ("config.json", b"not JSON"), ("tokenizer.json", b"{"),
    ],
)  # fmt: skip
def test_damaged_models(tmp_path, name, content):
    folder = tiny_bert(tmp_path / "model")
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="this encoder cannot be loaded"):
        sentence_encoder(folder)(["dog"])


def test_a_model_without_a_padding_token(tmp_path):
    """GPT-2 has none."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2Model, GPT2TokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(["a dog runs", "red car"] * 9, 300, 1, False, ["<|endoftext|>"])
    tokenizer = GPT2TokenizerFast(tokenizer_object=bpe._tokenizer)
    tokenizer.save_pretrained(tmp_path)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=2, n_positions=64)
    GPT2Model(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="padding token"):
        sentence_encoder(tmp_path)(["dog", "a red car"])


def test_a_model_that_is_no_encoder(tmp_path):
    """T5 wants the decoder's tokens as well."""
    from transformers import T5Config, T5Model

    folder = tiny_bert(tmp_path / "t5")
    (folder / "model.safetensors").unlink()
    T5Model(
        T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    ).save_pretrained(folder)
    with pytest.raises(UserError, match="t5"):
        sentence_encoder(folder)(["dog"])


def test_a_model_whose_vectors_are_no_numbers(tmp_path):
    from transformers import BertModel

    folder = tiny_bert(tmp_path / "nan")
    model = BertModel.from_pretrained(folder)
    model.encoder.layer[0].output.dense.weight.data[0, 0] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(UserError, match="nan"):
        sentence_encoder(folder)(["dog"])
