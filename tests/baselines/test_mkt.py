"""MKT: its towers against the library's CLIP, its score by hand, and what is refused."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_dual import PIXELS, make_clip, make_siglip, pictures, record_of
from tiny_mkt import make_mkt
from transformers import AutoTokenizer, CLIPModel

from baselines.data import Graded, TrainingData, load_graded, load_records
from baselines.mkt import STATISTICS, MktOptions, MktRanker, frame_scores, pixels_of
from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

LABELS = ("dog", "sea", "fear", "gun")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_mkt(tmp_path_factory.mktemp("mkt"))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return record_of(tmp_path_factory.mktemp("record"), pictures(3), LABELS, "words")


def options(root, **others):
    parts = [str(root / name) for name in ("clip", "stage1.pth", "stage2.pth")]
    return MktOptions(*parts, **{"top_k": 5, **others})


def plain_labels(root, labels, name_rows):
    """What the library's text side makes of the prompts, with rows swapped on their way in."""
    model = CLIPModel.from_pretrained(root / "two").eval()
    names = CLIPModel.from_pretrained(root / "clip").text_model.embeddings.token_embedding
    tokenizer = AutoTokenizer.from_pretrained(root / "clip")
    start = 1 + len("thereisa")  # behind the start token; each letter is a token
    found = []
    for label in labels:
        ids = tokenizer(f"There is a {label} in the scene", return_tensors="pt")["input_ids"]
        assert ids.shape[1] == 2 + len("thereisa") + len(label) + len("inthescene")

        def swap(module, given, rows, ids=ids, label=label):
            rows = rows.clone()
            if name_rows == "original":
                where = slice(start, start + len(label))
                rows[:, where] = names.weight[ids[:, where]]
            return rows

        hook = model.text_model.embeddings.token_embedding.register_forward_hook(swap)
        with torch.no_grad():
            found.append(model.get_text_features(input_ids=ids).pooler_output[0])
        hook.remove()
    return torch.stack(found).double()


def plain_frames(root, images, normalise):
    """Vectors of pictures and patches by the library's image side."""
    model = CLIPModel.from_pretrained(root / "one").eval()
    found = []
    for data in images:
        pixels = pixels_of(data, PIXELS, *STATISTICS[normalise])
        with torch.no_grad():
            hidden = model.vision_model(pixel_values=pixels).last_hidden_state
            vectors = model.visual_projection(model.vision_model.post_layernorm(hidden))[0]
        found.append((vectors[0].double(), vectors[1:].double()))
    return found


def plain_scores(frames, labels, top_k, among):
    """The documented score of the first `among` labels, in loops."""
    total = [0.0] * among
    for whole, patches in frames:
        glob = [float(whole @ t) for t in labels]
        loc = []
        for t in labels:
            best = sorted((float(p @ t) for p in patches), reverse=True)[:top_k]
            loc.append(sum(best) / top_k)
        a, b = (sum(x * x for x in s) ** 0.5 for s in (glob, loc))
        for i in range(among):
            total[i] += (glob[i] / a + loc[i] / b) / 2
    return [x / len(frames) for x in total]


@pytest.mark.parametrize("name_rows", ["original", "tuned"])
@pytest.mark.parametrize("normalise", ["imagenet", "clip"])
def test_scores_are_those_of_the_formula(root, record, name_rows, normalise):
    ranker = MktRanker(options(root, name_rows=name_rows, normalise=normalise))
    labels = plain_labels(root, LABELS, name_rows)
    wanted = plain_scores(plain_frames(root, pictures(3), normalise), labels, 5, 4)
    assert ranker.score(record).tolist() == pytest.approx(wanted, abs=2e-6)
    np.testing.assert_allclose(ranker._encode(LABELS), labels, atol=2e-5)


def test_options_differ(root, record):
    found = {
        str(others): MktRanker(options(root, **others)).score(record).tolist()
        for others in ({}, {"name_rows": "tuned"}, {"normalise": "clip"}, {"top_k": 6})
    }
    for one in found.values():
        close = [max(abs(x - y) for x, y in zip(one, other, strict=True)) < 1e-4
                 for other in found.values()]  # fmt: skip
        assert sum(close) == 1, "two options give the same scores"


def test_vocabulary_is_the_axis_where_asked(root, record, tmp_path):
    others = ("night", "dog", "car")
    seen = record_of(tmp_path, pictures(1), others, "words")
    data = TrainingData((Graded(seen, np.zeros(3, int)),), (Graded(record, np.zeros(4, int)),))
    ranker = MktRanker(options(root, axis="vocabulary"))
    ranker.fit(data, tmp_path)
    assert ranker.vocabulary == ["car", "dog", "fear", "gun", "night", "sea"]
    labels = plain_labels(root, (*LABELS, "car", "night"), "original")
    frames = plain_frames(root, pictures(3), "imagenet")
    found = ranker.score(record).tolist()
    assert found == pytest.approx(plain_scores(frames, labels, 5, 4), abs=2e-6)
    assert found != pytest.approx(plain_scores(frames, labels[:4], 5, 4), abs=1e-3)
    ranker.save(tmp_path / "saved")
    assert MktRanker.load(tmp_path / "saved").score(record).tolist() == found
    plain = MktRanker(options(root))
    plain.fit(data, tmp_path)
    assert plain.vocabulary == []


def test_frame_scores_by_hand():
    whole = np.array([3.0, 4.0])
    patches = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, -1.0]])
    labels = np.array([[1.0, 0.0], [0.0, 2.0]])
    # Of the picture (3, 8). Patches: of label 1 (1, 0, 3), of label 2 (0, 4, -2); the mean of the
    # two best is (2, 2).
    wanted = [(3 / 73**0.5 + 2 / 8**0.5) / 2, (8 / 73**0.5 + 2 / 8**0.5) / 2]
    assert frame_scores(whole, patches, labels, 2).tolist() == pytest.approx(wanted, abs=1e-15)
    # The second label's length counts: as long as the first, it would be 4 and not 8.
    assert frame_scores(whole * 0, patches * 0, labels, 2).tolist() == [0, 0]


def png(image):
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def test_pixels_by_hand():
    values = np.random.default_rng(0).integers(0, 256, (256, 301, 3), dtype=np.uint8)
    mean, std = STATISTICS["imagenet"]
    found = pixels_of(png(Image.fromarray(values)), 224, mean, std).numpy()
    assert found.shape == (1, 3, 224, 224) and found.dtype == np.float32
    # Nothing to resize; 77 / 2 = 38.5 goes to the even 38, as in the official transform.
    cut = values[16:240, 38:262].transpose(2, 0, 1) / 255
    wanted = (cut - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    np.testing.assert_allclose(found[0], wanted, atol=1e-6)


@pytest.mark.parametrize(("size", "resized"), [((480, 240), (512, 256)), ((90, 131), (256, 372))])
def test_the_shorter_side_becomes_256_by_bicubic(size, resized):
    values = np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(values)
    found = pixels_of(png(image), 224, (0, 0, 0), (1, 1, 1)).numpy()
    large = np.array(image.resize(resized, Image.Resampling.BICUBIC)) / 255
    left, top = (resized[0] - 224) // 2, (resized[1] - 224) // 2
    wanted = large[top : top + 224, left : left + 224].transpose(2, 0, 1)
    np.testing.assert_allclose(found[0], wanted, atol=1e-6)


@pytest.fixture
def workspace(filled, tmp_path):
    """The features are not needed."""
    root = shutil.copytree(filled.root, tmp_path / "w", ignore=shutil.ignore_patterns("features"))
    return Workspace(root)


def given(root):
    return [
        "--clip", str(root / "clip"), "--image_tower", str(root / "stage1.pth"), "--text_tower",
        str(root / "stage2.pth"), "--top_k", "5",
    ]  # fmt: skip


def test_from_verb_to_predictions(workspace, root, capsys):
    at = ["--workspace", str(workspace.root)]
    for words in ([], ["--axis", "vocabulary", "--name_rows", "tuned"]):
        assert main(["train", "mkt", *given(root), *words, *at]) == 0
        assert main(["train", "mkt", *given(root), *words, *at]) == 0
    assert "rankers/mkt: up to date" in capsys.readouterr().out
    assert main(["predict", *at]) == 0
    records = load_records(workspace, "target_test", None)
    seen = [
        *load_graded(workspace, "source_train", None),
        *load_graded(workspace, "target_dev", None),
    ]
    vocabulary = sorted({label for item in seen for label in item.record.labels})
    for name, ranker in (
        ("mkt", MktRanker(options(root))),
        (
            "mkt-tuned-vocabulary",
            MktRanker(options(root, axis="vocabulary", name_rows="tuned"), "cpu", vocabulary),
        ),
    ):
        found = workspace.read(f"predictions/target_test/{name}")["score"].to_pylist()
        assert found == [score for record in records for score in ranker.score(record).tolist()]
        saved = json.loads((workspace.root / "rankers" / name / "mkt.json").read_bytes())
        assert set(saved["sha256"]) == {"clip", "image_tower", "text_tower"}


def test_what_the_verb_refuses(workspace, root, tmp_path, capsys):
    def said(*words):
        assert main(["train", "mkt", "--workspace", str(workspace.root), *words]) == 2
        return capsys.readouterr().err

    err = said("--clip", str(root / "clip"))
    assert "--image_tower FILE and --text_tower FILE are needed" in err and "Google Drive" in err
    for i in (1, 3, 5):
        words = given(root)
        words[i] = str(tmp_path / "nowhere")
        err = said(*words)
        assert f"{tmp_path}/nowhere: no such f" in err and "sunanhe/MKT" in err
    assert "a picture has 16 patches" in said(*given(root), "--top_k", "17")
    assert "--top_k 0: give 1 or more" in said(*given(root), "--top_k", "0")
    words = given(root)
    words[1] = str(make_siglip(tmp_path / "siglip", "siglip"))
    assert "not a CLIP model" in said(*words)
    words[1] = str(make_clip(tmp_path / "gelu", act="gelu"))
    assert "not one of OpenAI's CLIP models" in said(*words)
    words[1] = str(make_clip(tmp_path / "coarse", patch=16))
    assert "has shape" in said(*words, "--top_k", "1")
    assert not (workspace.root / "rankers").exists()


def test_a_tower_that_went_or_changed(root, tmp_path, record):
    for name in ("stage1.pth", "stage2.pth"):
        shutil.copy(root / name, tmp_path)
    parts = [str(root / "clip"), str(tmp_path / "stage1.pth"), str(tmp_path / "stage2.pth")]
    MktRanker(MktOptions(*parts, top_k=5)).save(tmp_path / "r")
    MktRanker.load(tmp_path / "r")
    state = torch.load(tmp_path / "stage1.pth", weights_only=True)
    torch.save({**state, "class_embedding": state["class_embedding"] + 1}, tmp_path / "stage1.pth")
    with pytest.raises(UserError, match=r"stage1\.pth: another file than the ranker r was made"):
        MktRanker.load(tmp_path / "r")
    (tmp_path / "stage1.pth").unlink()
    with pytest.raises(UserError, match=r"stage1\.pth: no such file"):
        MktRanker.load(tmp_path / "r")
    (tmp_path / "r" / "mkt.json").write_text("{}")
    with pytest.raises(UserError, match="train again"):
        MktRanker.load(tmp_path / "r")


def test_a_label_that_is_too_long_is_cut_and_said(root, record, caplog):
    ranker = MktRanker(options(root))
    ranker._encode(["b" + "a" * 56])  # 2 + 8 + 57 + 10 tokens: just all
    assert caplog.messages == []
    ranker._encode(["b" * 100])
    assert "is too long and is cut" in caplog.text
