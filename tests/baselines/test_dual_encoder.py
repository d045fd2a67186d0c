"""The two sides of CLIP and SigLIP against the library's own forward pass, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_dual import make_clip, make_siglip, pictures, record_of

from baselines.data import Pictures
from baselines.dual_encoder import KINDS, DualEncoder
from lrmovienet.errors import UserError
from lrmovienet.pictures import picture

TEXTS = ["a dog", "There is a long night in the scene", "SEA"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of each kind."""
    root = tmp_path_factory.mktemp("checkpoints")
    make_clip(root / "clip")
    for kind in ("siglip", "siglip2"):
        make_siglip(root / kind, kind)
    return root


@pytest.fixture
def broken(folders, tmp_path):
    """A checkpoint of CLIP to be damaged."""
    return shutil.copytree(folders / "clip", tmp_path / "broken")


def plain_ids(encoder: DualEncoder, text: str) -> torch.Tensor:
    """Tokens by hand: the made-up vocabularies have one a letter."""
    vocabulary = encoder.tokenizer.get_vocab()
    if encoder.kind == "clip":
        ids = [vocabulary["<|startoftext|>"]]
        for word in text.lower().split():
            ids += [*(vocabulary[letter] for letter in word[:-1]), vocabulary[word[-1] + "</w>"]]
        return torch.tensor([[*ids, vocabulary["<|endoftext|>"]]])
    ids = [vocabulary[letter] for letter in text.lower().replace(" ", "▁")] + [1]
    return torch.tensor([ids + [0] * (64 - len(ids))])


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_the_whole_model(folders, tmp_path, kind):
    encoder = DualEncoder(folders / kind)
    model = getattr(transformers, KINDS[kind]).from_pretrained(folders / kind).eval()
    images = pictures(3)
    record = record_of(tmp_path, images, ("dog",), "words")
    texts, frames = encoder.texts(TEXTS), encoder.frames(record, 16)
    pixels = encoder.processor(images=[picture(data) for data in images], return_tensors="pt")
    for i, text in enumerate(TEXTS):
        with torch.inference_mode():
            out = model(input_ids=plain_ids(encoder, text), **pixels)
        np.testing.assert_allclose(texts[i], out.text_embeds[0], atol=2e-6)
        np.testing.assert_allclose(frames, out.image_embeds, atol=2e-6)
    for vectors in (texts, frames):
        assert vectors.dtype == np.float64
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-12)
        assert np.ptp(vectors, axis=0).max() > 0.01, "all alike: nothing was compared"
    assert encoder.temperature == pytest.approx(1 / model.logit_scale.exp().item(), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_capital_letters_do_not_matter(folders, kind):
    texts = DualEncoder(folders / kind).texts(["A Dog", "a dog", "a dot"])
    assert np.array_equal(texts[0], texts[1]) and not np.array_equal(texts[0], texts[2])


def test_capital_letters_do_not_matter_to_a_tokenizer_that_keeps_them(folders, tmp_path):
    folder = shutil.copytree(folders / "siglip", tmp_path / "keeps")
    made = json.loads((folder / "tokenizer.json").read_bytes())
    made["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    (folder / "tokenizer.json").write_text(json.dumps(made))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    encoder = DualEncoder(folder)
    assert encoder.tokenizer("A")["input_ids"] != encoder.tokenizer("a")["input_ids"]
    texts = encoder.texts(["A Dog", "a dog"])
    assert np.array_equal(texts[0], texts[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_does_not_hang_on_its_company(folders, tmp_path, kind):
    record = record_of(tmp_path, pictures(5), ("dog",), "words")
    whole = DualEncoder(folders / kind)
    texts, frames = whole.texts(TEXTS), whole.frames(record, 16)
    for i, text in enumerate(TEXTS):
        assert np.array_equal(DualEncoder(folders / kind).texts([text])[0], texts[i])
    one = replace(record.pictures, frames=record.pictures.frames[3:4])
    alone = DualEncoder(folders / kind).frames(replace(record, pictures=one), 16)
    assert np.array_equal(alone[0], frames[3])


def test_each_frame_and_text_is_encoded_once(folders, tmp_path):
    encoder = DualEncoder(folders / "clip")
    seen = {"text": 0, "image": 0}

    def counter(side):
        def count(*_):
            seen[side] += 1

        return count

    encoder.model.text_model.register_forward_hook(counter("text"))
    encoder.model.vision_model.register_forward_hook(counter("image"))
    images = pictures(3)
    record = record_of(tmp_path, [*images, images[1]], ("dog",), "words")
    found = encoder.texts(["dog", "cat", "dog"])
    assert np.array_equal(found[0], found[2]) and not np.array_equal(found[0], found[1])
    encoder.texts(["cat", "man"])
    frames = encoder.frames(record, 16)
    assert np.array_equal(frames[1], frames[3]) and not np.array_equal(frames[0], frames[1])
    shutil.rmtree(tmp_path / "frames")  # not even read again
    assert np.array_equal(encoder.frames(record, 16), frames)
    assert seen == {"text": 3, "image": 3}


def test_frames_are_evenly_spread(folders, tmp_path):
    encoder = DualEncoder(folders / "clip")
    record = record_of(tmp_path, pictures(6), ("dog",), "words")
    every = encoder.frames(record, 6)
    assert np.array_equal(encoder.frames(record, 2), every[[1, 4]])
    assert np.array_equal(encoder.frames(record, 3), every[[1, 3, 5]])


def test_frames_without_a_known_sha256(folders, tmp_path):
    record = record_of(tmp_path, pictures(3), ("dog",), "words")
    named = tuple((ref, None) for ref, _ in record.pictures.frames)
    unknown = replace(record, pictures=Pictures(record.pictures.workspace, named))
    encoder = DualEncoder(folders / "clip")
    assert np.array_equal(encoder.frames(unknown, 16), encoder.frames(record, 16))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_long_text_is_cut_and_it_is_said_once(folders, caplog, kind):
    encoder = DualEncoder(folders / kind)
    limit = 77 if kind == "clip" else 64
    room = limit - (2 if kind == "clip" else 1)  # start and end tokens
    fits, long, longer = "a" * room, "a" * (room + 1), "a" * (room + 2)
    if kind == "clip":  # what ends a word is another token
        fits, long, longer = ("b" + "a" * (room - 1), "b" + "a" * room, "b" + "a" * (room + 9))
    encoder.texts([fits])
    assert caplog.messages == []
    found = encoder.texts([long, longer])
    assert len(caplog.messages) == 1
    assert f"clip reads {limit} tokens" in caplog.text or f"siglip reads {limit}" in caplog.text
    assert np.array_equal(found[0], found[1])


def test_a_model_of_another_kind(broken):
    config = json.loads((broken / "config.json").read_bytes())
    (broken / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(UserError, match=r"model of the kind 'bert'.*clip, siglip, siglip2"):
        DualEncoder(broken).texts(["dog"])
    (broken / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json: not a checkpoint's config"):
        DualEncoder(broken).texts(["dog"])


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("tokenizer.json", r"no tokenizer here \(looked for tokenizer\.json, or vocab\.json and"),
        ("preprocessor_config.json", "no image processor here"),
        ("model.safetensors", "no model here"),
        ("config.json", "not a checkpoint's config"),
    ],
)
def test_a_part_is_missing(broken, tmp_path, file, said):
    (broken / file).unlink()
    record = record_of(tmp_path / "w", pictures(1), ("dog",), "words")
    encoder = DualEncoder(broken)
    with pytest.raises(UserError, match=said):
        encoder.texts(["dog"])
        encoder.frames(record, 16)


def test_missing_weights_are_not_made_up(broken):
    weights = load_file(broken / "model.safetensors")
    del weights["text_model.encoder.layers.1.mlp.fc1.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 weights are missing.*layers\.1\.mlp\.fc1\.weight"):
        DualEncoder(broken).texts(["dog"])
    (broken / "model.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(UserError, match="this checkpoint cannot be loaded"):
        DualEncoder(broken).texts(["dog"])


def test_vectors_that_are_no_numbers(broken):
    weights = load_file(broken / "model.safetensors")
    weights["text_projection.weight"][0, 0] = torch.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="vectors that are no numbers"):
        DualEncoder(broken).texts(["dog"])


def test_a_tokenizer_of_another_model(broken):
    made = json.loads((broken / "tokenizer.json").read_bytes())
    made["model"]["vocab"]["g</w>"] = 514
    (broken / "tokenizer.json").write_text(json.dumps(made))
    with pytest.raises(UserError, match=r"tokens up to number 514, is not its model's, which has"):
        DualEncoder(broken).texts(["dog"])


def test_a_tokenizer_that_the_library_would_make_up(folders, tmp_path):
    folder = shutil.copytree(folders / "siglip2", tmp_path / "v1")
    (folder / "tokenizer.json").unlink()
    (folder / "spiece.model").write_bytes(b"not to be read without sentencepiece, nor with it")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "SiglipTokenizer"}')
    with pytest.raises(UserError, match=r"install sentencepiece|cannot be loaded"):
        DualEncoder(folder).texts(["dog"])


def test_tokens_as_openai_published_them(folders, tmp_path):
    """Older checkpoints have vocab.json and merges.txt."""
    folder = shutil.copytree(folders / "clip", tmp_path / "older")
    made = json.loads((folder / "tokenizer.json").read_bytes())
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(made["model"]["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text("{}")
    found = DualEncoder(folder).texts(TEXTS)
    assert np.array_equal(found, DualEncoder(folders / "clip").texts(TEXTS))


def test_a_frame_that_is_no_image_or_another(folders, tmp_path):
    record = record_of(tmp_path, [*pictures(1), b"no image"], ("dog",), "words")
    encoder = DualEncoder(folders / "clip")
    with pytest.raises(UserError, match=r"tt0/shot_0000_img_1\.jpg: not a readable image"):
        encoder.frames(record, 16)
    (tmp_path / "frames/240P/tt0/shot_0000_img_1.jpg").write_bytes(pictures(2)[1])
    with pytest.raises(UserError, match="is not the picture that was ingested"):
        encoder.frames(record, 16)


def test_a_record_made_without_keyframes(folders, tmp_path):
    record = replace(record_of(tmp_path, pictures(1), ("dog",), "words"), pictures=None)
    with pytest.raises(ValueError, match="made without keyframes"):
        DualEncoder(folders / "clip").frames(record, 16)
