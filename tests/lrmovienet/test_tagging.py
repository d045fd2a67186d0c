import hashlib
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from eval.labels import normal_form
from lrmovienet.cli import main
from lrmovienet.errors import ItemError
from lrmovienet.runner.local import run_once
from lrmovienet.tagging.efficientnet_lite import (
    EfficientNetLite0,
    SameConv2d,
    load_packaged,
    preprocess,
    weights_file,
)
from lrmovienet.tagging.imagenet import TAGGER, ImageNetTagger, class_labels
from lrmovienet.workspace import Workspace

DEMO = Path(__file__).parents[2] / "demo"


def demo_frame(video, number):
    import cv2

    capture = cv2.VideoCapture(str(DEMO / video))
    for _ in range(number + 1):
        ok, bgr = capture.read()
        assert ok
    buffer = io.BytesIO()
    Image.fromarray(bgr[:, :, ::-1]).resize((320, 180)).save(buffer, "jpeg", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # waiting threads slow each other down when a machine is busy
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model():
    return load_packaged()[0]


@pytest.fixture(scope="module")
def frames():
    return [
        demo_frame("nasa_13013.mp4", 100),
        demo_frame("nasa_13013.mp4", 250),
        demo_frame("bigbuckbunny.mp4", 70),
        demo_frame("bigbuckbunny.mp4", 100),
    ]


def probabilities(model, jpeg):
    with torch.inference_mode():
        return model(preprocess(jpeg)[None])[0].softmax(0)


# --- the network ---


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after"),
    # TensorFlow's SAME by hand: out = ceil(size / stride); total = (out - 1) stride + kernel - size
    [(224, 3, 2, 0, 1), (7, 3, 2, 1, 1), (112, 5, 2, 1, 2), (9, 5, 1, 2, 2), (5, 1, 1, 0, 0)],
)
def test_padding_is_that_of_tensorflow(size, kernel, stride, before, after):
    generator = torch.Generator().manual_seed(0)
    conv = SameConv2d(2, 3, kernel, stride)
    x = torch.randn(1, 2, size, size, generator=generator)
    padded = functional.pad(x, (before, after, before, after))
    expected = functional.conv2d(padded, conv.weight, stride=stride)
    assert expected.shape[-1] == -(-size // stride)
    torch.testing.assert_close(conv(x), expected)


def test_padding_of_height_and_width_is_separate():
    x = torch.ones(1, 1, 6, 5)  # stride 2: the height is padded by 0 + 1, the width by 1 + 1
    conv = SameConv2d(1, 1, 3, 2)
    with torch.no_grad():
        conv.weight.fill_(1.0)
        counted = conv(x)[0, 0]
    assert counted.tolist() == [[6.0, 9.0, 6.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]


def test_the_network_is_lite0():
    network = EfficientNetLite0()
    # The published size of EfficientNet-lite0: 4.652 million weights, norms' statistics aside.
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    stored = torch.load(weights_file(), weights_only=True)
    assert shapes == {name: tuple(value.shape) for name, value in stored.items()}


def test_packaged_weights_are_loaded_whole(model):
    sha256 = load_packaged()[1]
    assert sha256 == hashlib.sha256(weights_file().read_bytes()).hexdigest()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    stored = torch.load(weights_file(), weights_only=True)
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())


def test_logits_come_from_the_embedding(model, frames):
    x = torch.stack([preprocess(jpeg) for jpeg in frames[:2]])
    with torch.inference_mode():
        features = model.embed(x)
        logits = model(x)
    assert features.shape == (2, 1280)
    assert (features >= 0).all()
    assert (features <= 6).all()  # a mean of ReLU6
    weight, bias = model.state_dict()["_fc.weight"], model.state_dict()["_fc.bias"]
    torch.testing.assert_close(logits, features @ weight.T + bias)


def test_a_batch_is_its_images_one_by_one(model, frames):
    x = torch.stack([preprocess(jpeg) for jpeg in frames])
    with torch.inference_mode():
        together, alone = model(x), torch.cat([model(image[None]) for image in x])
    assert together.shape == (4, 1000)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_real_photographs_are_named(model):
    """Two photographs that scikit-learn carries. Wrong channels or scaling lose both."""
    datasets = pytest.importorskip("sklearn.datasets")
    for name, expected in (("flower.jpg", "daisy"), ("china.jpg", "bell tower")):
        buffer = io.BytesIO()
        Image.fromarray(datasets.load_sample_image(name)).save(buffer, "jpeg", quality=95)
        best = probabilities(model, buffer.getvalue()).argmax()
        assert class_labels()[best] == expected


def test_demo_frames_golden(model, frames):
    best = [class_labels()[probabilities(model, jpeg).argmax()] for jpeg in frames]
    assert best == GOLDEN


GOLDEN = ["spotlight", "stage", "albatross", "albatross"]


def test_preprocess_values_by_hand():
    grey = Image.new("RGB", (64, 32), (127, 255, 0))
    buffer = io.BytesIO()
    grey.save(buffer, "png")
    tensor = preprocess(buffer.getvalue())
    assert tensor.shape == (3, 224, 224)
    assert tensor.dtype == torch.float32
    for channel, value in enumerate((0.0, 1.0, -127 / 128)):
        assert torch.all(tensor[channel] == value)


def test_preprocess_keeps_the_sides_of_a_wide_frame():
    pixels = np.zeros((90, 320, 3), np.uint8)
    pixels[:, :40] = 255  # an eighth on the left: a centre crop would not see it
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    tensor = preprocess(buffer.getvalue())
    white = (tensor[0] > 0).float().mean()
    assert abs(white - 1 / 8) < 0.01
    assert (tensor[:, :, :20] == 1).all()


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe0" + b"\0" * 40])
def test_preprocess_refuses_what_is_no_image(data):
    with pytest.raises(ItemError, match="not a readable image"):
        preprocess(data)


def test_preprocess_refuses_cut_off_and_huge_images(frames):
    with pytest.raises(ItemError, match="not a readable image"):
        preprocess(frames[0][: len(frames[0]) // 2])
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "png")
    with pytest.raises(ItemError, match="9000 x 9000"):
        preprocess(buffer.getvalue())


# --- labels ---


def test_class_labels_are_readable():
    labels = class_labels()
    assert len(labels) == 1000
    assert all(label == normal_form(label) and label for label in labels)
    assert not [label for label in labels if set(label) & set("()/,")]
    assert not [label for label in labels if " or " in label]
    assert labels[0] == "tench"
    assert labels[457] == "bow tie"
    assert labels[281:283] == ("tabby cat", "tiger cat")
    assert sorted({x for x in labels if labels.count(x) > 1}) == ["missile", "sunglasses"]


# --- the stage ---


def put(root, ref, jpeg):
    path = root / "240P" / ref
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg)
    return {"ref": ref, "sha256": hashlib.sha256(jpeg).hexdigest()}


@pytest.fixture
def batch(tmp_path, frames):
    clips = {"tt1_0000": frames[:2], "tt2_0000": frames[2:], "tt3_0000": [frames[0], frames[0]]}
    keyframes = [
        [put(tmp_path, f"{i[:3]}/shot_{n:04d}_img_1.jpg", f) for n, f in enumerate(of_clip)]
        for i, of_clip in clips.items()
    ]
    return {"clip_id": list(clips), "keyframes": keyframes}


def rows_of(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_a_label_has_the_best_score_of_its_frames(tmp_path, batch, model, frames):
    stage = ImageNetTagger(tmp_path, 0.02, 1000, "w")
    rows = [r for r in rows_of(stage(batch)) if r["clip_id"] == "tt1_0000"]
    of_frame = []
    for jpeg in frames[:2]:
        values = probabilities(model, jpeg).double()
        of_frame.append(dict.fromkeys(class_labels(), 0.0))
        for label, value in zip(class_labels(), values.tolist(), strict=True):
            of_frame[-1][label] += value
    expected = {label: max(f[label] for f in of_frame) for label in class_labels()}
    assert {r["label"] for r in rows} == {x for x, score in expected.items() if score >= 0.02}
    for row in rows:
        assert row["score"] == pytest.approx(expected[row["label"]], abs=6e-5)
        assert row["score"] == round(row["score"], 4)
        assert row["frames_hit"] == sum(f[row["label"]] >= 0.02 for f in of_frame)
        assert row["tagger"] == TAGGER
        assert row["drop_reason"] is None
    assert [r["score"] for r in rows] == sorted((r["score"] for r in rows), reverse=True)
    assert {r["frames_hit"] for r in rows} == {1, 2}  # both occur, so the count is tested


def test_classes_of_one_name_are_one_label(tmp_path, batch):
    stage = ImageNetTagger(tmp_path, 0.6, 5, "w")
    twice = [i for i, label in enumerate(class_labels()) if label == "sunglasses"]
    assert len(twice) == 2
    with torch.no_grad():  # a last layer that is sure of sunglasses, half of each class
        stage._model._fc.weight.zero_()
        stage._model._fc.bias.zero_()
        stage._model._fc.bias[twice] = 50.0
    rows = rows_of(stage(batch))
    assert [(r["label"], r["score"]) for r in rows] == [("sunglasses", 1.0)] * 3


def test_equal_frames_are_run_once_and_counted_twice(tmp_path, batch, monkeypatch):
    calls = []
    forward = EfficientNetLite0.forward
    monkeypatch.setattr(
        EfficientNetLite0, "forward", lambda self, x: calls.append(len(x)) or forward(self, x)
    )
    rows = rows_of(ImageNetTagger(tmp_path, 0.02, 1000, "w")(batch))
    assert calls == [1, 1, 1, 1]  # four different pictures among six frames
    third = [r for r in rows if r["clip_id"] == "tt3_0000"]
    assert third
    assert {r["frames_hit"] for r in third} == {2}


def test_every_label_above_the_floor_is_kept_or_dropped(tmp_path, batch):
    every = rows_of(ImageNetTagger(tmp_path, 0.02, 1000, "w")(batch))
    some = rows_of(ImageNetTagger(tmp_path, 0.02, 3, "w")(batch))
    assert [(r["clip_id"], r["label"]) for r in some] == [(r["clip_id"], r["label"]) for r in every]
    for clip_id in batch["clip_id"]:
        of_clip = [r["drop_reason"] for r in some if r["clip_id"] == clip_id]
        assert of_clip[:3] == [None] * 3
        assert set(of_clip[3:]) == {"beyond the 3 best labels of the clip"}


def test_a_clip_without_any_label_says_so(tmp_path, batch):
    rows = rows_of(ImageNetTagger(tmp_path, 0.99, 5, "w")(batch))
    assert [(r["clip_id"], r["label"]) for r in rows] == [(i, None) for i in batch["clip_id"]]
    assert "no label reaches the floor 0.99 (best: " in rows[0]["drop_reason"]


def test_a_clip_is_the_same_in_any_batch_and_process(tmp_path, batch):
    stage = ImageNetTagger(tmp_path, 0.02, 20, "w")
    together = rows_of(stage(batch))
    alone = [
        row
        for i in range(3)
        for row in rows_of(pickle.loads(pickle.dumps(stage))({k: [v[i]] for k, v in batch.items()}))
    ]
    assert together == alone


def test_the_stage_puts_the_number_of_threads_back(tmp_path, batch):
    torch.set_num_threads(2)
    seen = []
    stage = ImageNetTagger(tmp_path, 0.02, 20, "w")
    stage._model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    stage(batch)
    assert torch.get_num_threads() == 2
    assert set(seen) == {1}
    torch.set_num_threads(1)


def test_the_version_changes_with_what_changes_the_output(tmp_path):
    stages = [
        ImageNetTagger(tmp_path, floor, top, weights)
        for floor, top, weights in (
            (0.02, 20, "a"),
            (0.03, 20, "a"),
            (0.02, 19, "a"),
            (0.02, 20, "b"),
        )
    ]
    assert len({stage.version for stage in stages}) == 4
    assert ImageNetTagger(tmp_path / "moved", 0.02, 20, "a").version == stages[0].version


def test_a_bad_keyframe_names_clip_and_frame(tmp_path, batch):
    batch["keyframes"][1][0] = put(tmp_path, "tt2/shot_0000_img_1.jpg", b"no image")
    with pytest.raises(ItemError, match=r"tt2_0000: keyframe tt2/shot_0000_img_1.jpg: not a read"):
        ImageNetTagger(tmp_path, 0.02, 20, "w")(batch)


def make_clips(root, batch):
    n = len(batch["clip_id"])
    columns = {
        **batch,
        "movie_id": [i.split("_")[0] for i in batch["clip_id"]],
        "title": [None] * n, "genres": [[]] * n, "description": ["A scene."] * n,
        "shot": [[0, 1]] * n, "frame": [[0, 9]] * n, "start_s": [None] * n, "end_s": [None] * n,
    }  # fmt: skip
    run_once(
        Workspace(root), "clips", lambda: columns, version="1", inputs={},
        config={"frames_root": "frames"},
    )  # fmt: skip


def test_command_line(tmp_path, frames, capsys):
    good = put(tmp_path / "frames", "tt1/shot_0000_img_1.jpg", frames[0])
    bad = {"ref": "tt2/shot_0000_img_1.jpg", "sha256": "0" * 64}
    make_clips(tmp_path, {"clip_id": ["tt1_0000", "tt2_0000"], "keyframes": [[good], [bad]]})
    assert main(["tag", "--workspace", str(tmp_path), "--top", "2"]) == 0
    assert capsys.readouterr().out.startswith("image_labels: 2 rows, ")
    workspace = Workspace(tmp_path)
    table = workspace.read("image_labels").to_pylist()
    assert {row["clip_id"] for row in table} == {"tt1_0000"}
    dropped = workspace.read_dropped("image_labels").to_pylist()
    assert [r["clip_id"] for r in dropped if r["label"] is None] == ["tt2_0000"]
    manifest = workspace.require("image_labels")
    assert manifest.models == {TAGGER: hashlib.sha256(weights_file().read_bytes()).hexdigest()}
    assert manifest.inputs == {"clips": workspace.require("clips").digest}
    assert manifest.config == {"tagger": "imagenet", "floor": 0.02, "top": 2}


@pytest.mark.parametrize(("option", "value"), [("floor", "0"), ("floor", "1.5"), ("top", "0")])
def test_options_out_of_range(tmp_path, capsys, option, value):
    assert main(["tag", "--workspace", str(tmp_path), f"--{option}", value]) == 2
    assert f"--{option} " in capsys.readouterr().err
