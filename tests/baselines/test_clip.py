"""CLIP, zero-shot: each pooling against plain loops, channels by hand, and from verb to table."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tiny_corpus import fill
from tiny_dual import make_clip, make_siglip, pictures, record_of

from baselines.clip import ClipOptions, ClipRanker, pool, prompted, sentences, standardised
from baselines.data import load_records, subset
from baselines.dual_encoder import DualEncoder
from baselines.predict import predict
from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

LABELS = ("dog", "sea", "fear", "gun")
TEXT = "A dog runs. Mr. Smith sleeps! The sea is calm"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return DualEncoder(checkpoint)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return record_of(tmp_path_factory.mktemp("record"), pictures(5), LABELS, TEXT)


@pytest.fixture
def workspace(filled, tmp_path):
    """The features are not needed."""
    root = shutil.copytree(filled.root, tmp_path / "w", ignore=shutil.ignore_patterns("features"))
    return Workspace(root)


# Three frames, two labels.
COSINES = np.array([[0.1, 0.4], [0.3, -0.2], [0.2, 0.0]])


@pytest.mark.parametrize(
    ("pooling", "k", "wanted"),
    [
        ("mean", 1, [0.2, 0.2 / 3]),
        ("max", 9, [0.3, 0.4]),
        ("top-k", 1, [0.3, 0.4]),
        ("top-k", 2, [0.25, 0.2]),
        ("top-k", 3, [0.2, 0.2 / 3]),
        ("top-k", 99, [0.2, 0.2 / 3]),
    ],
)
def test_poolings_by_hand(pooling, k, wanted):
    assert pool(COSINES, pooling, k, 1.0).tolist() == pytest.approx(wanted, abs=1e-15)


def test_query_weighs_the_frames_of_each_label():
    found = pool(COSINES, "query", 1, 0.25)
    for label in range(2):
        weights = [math.exp(COSINES[frame][label] / 0.25) for frame in range(3)]
        wanted = sum(weights[f] * COSINES[f][label] for f in range(3)) / sum(weights)
        assert found[label] == pytest.approx(wanted, abs=1e-15)


def test_softmax_shares_each_frame_among_the_labels():
    found = pool(COSINES, "softmax", 1, 0.25)
    for label in range(2):
        shares = []
        for frame in COSINES:
            powers = [math.exp(cosine / 0.25) for cosine in frame]
            shares.append(powers[label] / sum(powers))
        assert found[label] == pytest.approx(sum(shares) / 3, abs=1e-15)


MATRICES = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-1, 1, width=16)
)


@settings(deadline=None)
@given(MATRICES)
def test_limits_and_sums_of_the_poolings(cosines):
    close = {"rtol": 0, "atol": 1e-9}
    best, mean = pool(cosines, "max", 1, 1), pool(cosines, "mean", 1, 1)
    np.testing.assert_allclose(pool(cosines, "query", 1, 1e9), mean, **close)
    # The second best of these numbers is 1e-6 below the best at least, or equal to it.
    np.testing.assert_allclose(pool(cosines, "query", 1, 1e-8), best, **close)
    np.testing.assert_allclose(pool(cosines, "top-k", 1, 1), best, **close)
    np.testing.assert_allclose(pool(cosines, "softmax", 1, 0.01).sum(), 1, **close)
    for pooling in ("query", "softmax"):
        assert np.isfinite(pool(cosines, pooling, 1, 1e-300)).all()


def test_mean_ranks_as_the_mean_vector_does():
    rng = np.random.default_rng(0)
    frames, labels = rng.normal(size=(5, 8)), rng.normal(size=(20, 8))
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    labels /= np.linalg.norm(labels, axis=1, keepdims=True)
    centre = frames.mean(0) / np.linalg.norm(frames.mean(0))
    one, other = pool(frames @ labels.T, "mean", 1, 1), labels @ centre
    assert np.argsort(one).tolist() == np.argsort(other).tolist()


def test_standardised_by_hand():
    # Mean 3, deviations -2, -1, 3; variance (4 + 1 + 9) / 3.
    wanted = np.array([-2, -1, 3]) / math.sqrt(14 / 3)
    assert standardised(np.array([1.0, 2.0, 6.0])).tolist() == pytest.approx(wanted.tolist())
    assert standardised(np.array([0.7, 0.7, 0.7])).tolist() == [0, 0, 0]
    assert standardised(np.array([0.7])).tolist() == [0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A man runs.", ["A man runs."]),
        (" One.  Two!\nThree? four ", ["One.", "Two!", "Three?", "four"]),
        ("Mr. Fox and Mrs. Fox see Dr. No. J. R. waits.", None),
        ('He says "Stop." Then he goes… away (fast.) Then?', None),
        ("It costs 3.50 dollars at fox.com now", ["It costs 3.50 dollars at fox.com now"]),
        ("…", ["…"]),
        (" ", [" "]),
    ],
)
def test_sentences(text, wanted):
    by_hand = {
        "M": ["Mr. Fox and Mrs. Fox see Dr. No.", "J. R. waits."],
        "H": ['He says "Stop."', "Then he goes…", "away (fast.)", "Then?"],
    }
    assert sentences(text) == (wanted or by_hand[text[0]])


def test_prompt_is_filled_in_once_and_braces_mean_nothing():
    assert prompted("There is a {label} in the scene", "{0}{label}") == (
        "There is a {0}{label} in the scene"
    )


def parts(encoder, record, prompt="There is a {} in the scene"):
    """Vectors of the record's frames, sentences and labels."""
    spoken = ["A dog runs.", "Mr. Smith sleeps!", "The sea is calm"]
    asked = [prompt.format(label) for label in record.labels]
    return encoder.frames(record, 16), encoder.texts(spoken), encoder.texts(asked)


def scores(encoder, record, **options):
    ranker = ClipRanker(ClipOptions(str(encoder.folder), **options))
    ranker.encoder = encoder  # which is loaded already
    return ranker.score(record).tolist()


def z(values):
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    return [(v - mean) / deviation for v in values]


def test_channels(encoder, record):
    frames, spoken, asked = parts(encoder, record)
    v = [sum(float(f @ a) for f in frames) / 5 for a in asked]
    t = {
        "max": [max(float(s @ a) for s in spoken) for a in asked],
        "mean": [sum(float(s @ a) for s in spoken) / 3 for a in asked],
    }
    assert scores(encoder, record) == pytest.approx(v, abs=1e-12)
    for how in ("max", "mean"):
        found = scores(encoder, record, channel="t", sentences=how)
        assert found == pytest.approx(t[how], abs=1e-12)
        both = [(x + y) / 2 for x, y in zip(z(v), z(t[how]), strict=True)]
        found = scores(encoder, record, channel="vt", sentences=how)
        assert found == pytest.approx(both, abs=1e-9)
    assert len(set(v)) == len(set(t["max"])) == 4


def test_options_reach_the_score(encoder, record):
    frames, _, asked = parts(encoder, record)
    cosines = frames @ asked.T
    own = encoder.temperature
    assert own != pytest.approx(0.1, rel=0.1)
    for options, wanted in (
        ({"pooling": "max"}, pool(cosines, "max", 1, 1)),
        ({"pooling": "top-k"}, pool(cosines, "top-k", 3, 1)),
        ({"pooling": "top-k", "top_k": 2}, pool(cosines, "top-k", 2, 1)),
        ({"pooling": "query"}, pool(cosines, "query", 1, 0.1)),
        ({"pooling": "query", "temperature": 0.02}, pool(cosines, "query", 1, 0.02)),
        ({"pooling": "softmax"}, pool(cosines, "softmax", 1, own)),
        ({"pooling": "softmax", "temperature": 0.02}, pool(cosines, "softmax", 1, 0.02)),
        ({"max_frames": 1}, cosines[2]),
    ):
        assert scores(encoder, record, **options) == pytest.approx(wanted.tolist(), abs=1e-9)
    asked = parts(encoder, record, "{}!")[2]
    found = scores(encoder, record, prompt="{label}!")
    assert found == pytest.approx((frames @ asked.T).mean(0).tolist(), abs=1e-12)


@pytest.mark.parametrize("channel", ["v", "t"])
def test_a_score_hangs_on_its_label_alone(encoder, record, channel):
    whole = scores(encoder, record, channel=channel)
    part = scores(encoder, subset(record, [3, 1]), channel=channel)
    assert part == pytest.approx([whole[3], whole[1]], abs=1e-14)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"prompt": "a dog"}, "write {label} once"),
        ({"prompt": "{label} {label}"}, "write {label} once"),
        ({"top_k": 0}, "--top_k 0: give 1 or more"),
        ({"max_frames": 0}, "--max_frames 0: give 1 or more"),
        ({"temperature": 0.0}, "--temperature 0.0: give a finite number above 0"),
        ({"temperature": math.inf}, "--temperature inf"),
        ({"temperature": math.nan}, "--temperature nan"),
    ],
)
def test_options_that_cannot_be(option, said):
    with pytest.raises(UserError) as error:
        ClipOptions("x", **option)
    assert said in str(error.value)


def test_from_verb_to_predictions(workspace, checkpoint, capsys):
    at = ["--workspace", str(workspace.root)]
    command = ["train", "clip", "--checkpoint", str(checkpoint), *at]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("rankers/clip: 16 source records, ")
    assert main(command) == 0
    assert capsys.readouterr().out == "rankers/clip: up to date\n"
    others = [*command, "--channel", "vt", "--pooling", "top-k", "--top_k", "2"]
    assert main([*others, "--sentences", "mean"]) == 0
    assert main(["predict", *at]) == 0
    records = load_records(workspace, "target_test", None)
    clips = {row["clip_id"]: row for row in workspace.read("clips").to_pylist()}
    for record in records:
        named = [(frame["ref"], frame["sha256"]) for frame in clips[record.clip_id]["keyframes"]]
        assert list(record.pictures.frames) == named
    for name, options in (
        ("clip", ClipOptions(str(checkpoint))),
        (
            "clip-vt-top-k",
            ClipOptions(str(checkpoint), channel="vt", pooling="top-k", top_k=2, sentences="mean"),
        ),
    ):
        found = workspace.read(f"predictions/target_test/{name}")["score"].to_pylist()
        ranker = ClipRanker(options)
        assert found == [score for record in records for score in ranker.score(record).tolist()]
        written = (workspace.root / "rankers" / name / "clip.json").read_bytes()
        assert json.loads(written)["checkpoint"] == DualEncoder(checkpoint).identity


def test_siglip_from_verb_to_predictions(workspace, tmp_path):
    at = ["--workspace", str(workspace.root)]
    folder = make_siglip(tmp_path / "siglip2", "siglip2")
    assert main(["train", "clip", "--checkpoint", str(folder), "--channel", "vt", *at]) == 0
    assert main(["predict", "--split", "target_dev", *at]) == 0
    found = workspace.read("predictions/target_dev/clip-vt")["score"].to_pylist()
    assert len(set(found)) > len(found) / 2


def test_a_checkpoint_that_went_or_changed(workspace, checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "mine")
    train = ["train", "clip", "--checkpoint", str(folder), "--workspace", str(workspace.root)]
    assert main(train) == 0
    before = predict(workspace, "clip", "target_test").manifest
    shutil.rmtree(folder)
    make_clip(folder, seed=1)
    with pytest.raises(UserError, match=r"mine: the checkpoint of the ranker clip is not there"):
        predict(workspace, "clip", "target_test")
    assert main(train) == 0
    assert predict(workspace, "clip", "target_test").manifest.digest != before.digest
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"mine: the checkpoint of the ranker clip is not there"):
        predict(workspace, "clip", "target_test")


def test_what_the_verb_refuses(workspace, checkpoint, tmp_path, capsys):
    def said(*words):
        assert main(["train", "clip", "--workspace", str(workspace.root), *words]) == 2
        return capsys.readouterr().err

    assert "--checkpoint FOLDER is needed" in said()
    assert "no model here" in said("--checkpoint", str(tmp_path))
    given = ["--checkpoint", str(checkpoint)]
    assert "write {label} once" in said(*given, "--prompt", "a thing")
    assert "--top_k 0" in said(*given, "--top_k", "0")
    assert not (workspace.root / "rankers").exists()


def test_frames_that_are_gone_matter_to_v_alone(workspace, checkpoint, capsys):
    shutil.rmtree(workspace.root / "frames")
    command = ["train", "clip", "--checkpoint", str(checkpoint)]
    command += ["--workspace", str(workspace.root)]
    assert main(command) == 2
    assert "the keyframes' folder is not there" in capsys.readouterr().err
    assert main([*command, "--channel", "t"]) == 0
    assert predict(workspace, "clip-t", "target_test").manifest.rows > 0


def test_a_release_without_frames(tmp_path, checkpoint, capsys):
    workspace = fill(tmp_path / "w")
    rows = workspace.read("clips").to_pydict()
    run_once(workspace, "clips", lambda: rows, version="2", inputs={"release": "0" * 64}, config={})
    command = ["train", "clip", "--checkpoint", str(checkpoint)]
    command += ["--workspace", str(workspace.root)]
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "the frames themselves are needed" in err and "lrmovienet hydrate RELEASE" in err
    assert main([*command, "--channel", "t"]) == 0


def test_a_damaged_ranker(checkpoint, tmp_path):
    ranker = ClipRanker(ClipOptions(str(checkpoint)))
    ranker.save(tmp_path / "r")
    assert ClipRanker.load(tmp_path / "r").options == ranker.options
    path = tmp_path / "r" / "clip.json"
    content = json.loads(path.read_bytes())
    for broken in ("[", "{}", json.dumps({**content, "options": {"nonsense": 1}})):
        path.write_text(broken)
        with pytest.raises(UserError, match="train again"):
            ClipRanker.load(tmp_path / "r")


def test_options_are_of_their_kinds(checkpoint):
    with pytest.raises(ValueError, match="pooling 'median'"):
        replace(ClipOptions(str(checkpoint)), pooling="median")
