"""Features in a release: bit for bit the store's, in bounded row groups, and a store again."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from making import build, contents, sealed
from small_releases import (
    Pictures,
    Words,
    clip,
    hydrate,
    put_frames,
    record,
    ref,
    refused,
    rows,
    sha256,
    write_release,
)

from lrmovienet.cli import main
from lrmovienet.encode import encode
from lrmovienet.errors import UserError
from lrmovienet.features import FILES, FeatureStore
from lrmovienet.release import features as module
from lrmovienet.release.check import check
from lrmovienet.release.layout import Release
from lrmovienet.workspace import Workspace


@pytest.fixture(scope="module")
def encoded(tiny, tmp_path_factory):
    """The tiny corpus with features by encoders without a model. Read only."""
    root = shutil.copytree(tiny, tmp_path_factory.mktemp("encoded") / "w")
    encode(Workspace(root), Words(), Pictures(), 4)  # of six frames a clip, four
    return Workspace(root)


@pytest.fixture(scope="module")
def featured(encoded, tmp_path_factory):
    """Its release. Read only."""
    out = tmp_path_factory.mktemp("featured") / "r"
    return build(encoded.root, out, features=True)


def labels(workspace):
    return [(row["clip_id"], row["label"]) for row in rows(workspace, "records")]


def bits(vectors):
    return np.asarray(vectors, np.float16).tobytes()


def same(one, other, of):
    """Whether two stores hold the same, for each label, down to the bits of each number."""
    for clip_id, label in of:
        a, b = one.text(clip_id, label), other.text(clip_id, label)
        assert (a.label_start, a.label_end) == (b.label_start, b.label_end)
        assert a.tokens.dtype == b.tokens.dtype == np.float16
        assert a.tokens.shape == b.tokens.shape
        assert a.tokens.tobytes() == b.tokens.tobytes()
        assert one.frames(clip_id).shape == other.frames(clip_id).shape
        assert one.frames(clip_id).tobytes() == other.frames(clip_id).tobytes()


def test_every_number_is_the_store_s(encoded, featured):
    store = FeatureStore.of(encoded)
    of_clip = {}
    for clip_id, label in labels(encoded):
        of_clip.setdefault(clip_id, []).append(label)
    found = pq.read_table(featured.path("features", "features"))
    assert found["clip_id"].to_pylist() == sorted(of_clip)
    seen = b""
    for row in found.to_pylist():
        clip_id = row["clip_id"]
        assert row["labels"] == sorted(of_clip[clip_id])
        assert bits(row["frames"]) == np.asarray(store.frames(clip_id)).tobytes()
        for label, tokens, span in zip(
            row["labels"], row["tokens"], row["label_span"], strict=True
        ):
            text = store.text(clip_id, label)
            assert bits(tokens) == np.asarray(text.tokens).tobytes()
            assert span == [text.label_start, text.label_end]
            seen += bits(tokens)
        # Words() cuts texts after eight words: the label's and the description's.
        (description,) = [
            c["description"] for c in rows(encoded, "clips") if c["clip_id"] == clip_id
        ]
        words = [len(f"{label} {description}".split()) for label in row["labels"]]
        assert row["tokens_cut"] == [max(0, n - 8) for n in words]
    # What could get lost on the way is there: a number below the normal ones, and minus zero.
    numbers = np.frombuffer(seen, np.float16)
    assert np.any((numbers != 0) & (np.abs(numbers) < np.finfo(np.float16).tiny))
    assert np.any((numbers == 0) & np.signbit(numbers))


def test_the_manifest_says_who_made_them(encoded, featured):
    features = featured.manifest["features"]
    assert features["encoders"]["text"] == {
        "name": "words", "sha256": "0" * 64, "max_tokens": 8, "dim": 6,
    }  # fmt: skip
    assert features["encoders"]["image"] == {
        "name": "pictures", "sha256": "1" * 64, "dim": 5, "max_frames": 4,
    }  # fmt: skip
    left_out = sum(max(0, len(c["keyframes"]) - 4) for c in rows(encoded, "clips") if c["clip_id"]
                   in {clip_id for clip_id, _ in labels(encoded)})  # fmt: skip
    assert features["frames_left_out"] == left_out > 0
    assert check(featured) == []


def test_a_release_without_features_says_that_it_has_none(built):
    assert Release.open(built).manifest["features"] is None
    assert not Release.open(built).has("features")


@pytest.mark.parametrize(
    ("group_bytes", "rows_a_group"), [(1, 100), (60_000, 100), (10**9, 7), (10**9, 100)]
)
def test_row_groups_end_by_bytes_or_by_rows(
    encoded, featured, tmp_path, monkeypatch, group_bytes, rows_a_group
):
    monkeypatch.setattr(module, "GROUP_BYTES", group_bytes)
    monkeypatch.setattr(module, "PICTURES_A_GROUP", rows_a_group)
    path = tmp_path / "features.parquet"
    clips = featured.read("clips")
    assert module.write_features(path, encoded, clips)[0] == clips.num_rows
    file = pq.ParquetFile(path)
    groups = [file.read_row_group(i) for i in range(file.num_row_groups)]
    whole = pq.read_table(featured.path("features", "features"))
    assert file.read().equals(whole)
    largest = max(whole.slice(i, 1).combine_chunks().nbytes for i in range(whole.num_rows))
    for group in groups:
        assert group.num_rows <= rows_a_group
        assert group.num_rows == 1 or group.nbytes < group_bytes + largest
    if group_bytes == 60_000:
        assert 1 < len(groups) < whole.num_rows
        assert all(group.nbytes > 50_000 for group in groups[:-1])
    if rows_a_group == 7:
        assert [group.num_rows for group in groups] == [7] * (whole.num_rows // 7) + [
            whole.num_rows % 7
        ]


def test_equal_stores_give_equal_bytes(encoded, featured, tmp_path):
    again = build(encoded.root, tmp_path / "r", features=True)
    assert contents(again.root) == contents(featured.root)


@pytest.mark.parametrize("frames", [True, False])
def test_hydrate_makes_the_store_again(tiny, encoded, featured, tmp_path, frames, capsys):
    options = ("--frames", tiny / "movienet") if frames else ()
    workspace = hydrate(featured.root, tmp_path / "h", *options)
    mine, original = FeatureStore.of(workspace), FeatureStore.of(encoded)
    same(mine, original, labels(encoded))
    mine.require(original.encoders, "a ranker of the builder's")
    # Equal texts and frames are kept once.
    assert mine.manifest["counts"] == original.manifest["counts"]
    before = contents(workspace.root / "features")
    capsys.readouterr()
    hydrate(featured.root, tmp_path / "h", *options)
    assert "features: up to date" in capsys.readouterr().out
    assert contents(workspace.root / "features") == before
    assert not (workspace.root / ".building" / "features.pieces").exists()


def test_the_store_is_the_same_however_small_its_pieces(encoded, featured, tmp_path, monkeypatch):
    whole = hydrate(featured.root, tmp_path / "whole").root / "features"
    monkeypatch.setattr("lrmovienet.store_writer.PIECE_BYTES", 20_000)
    pieces = hydrate(featured.root, tmp_path / "pieces").root / "features"
    assert {name: (whole / name).read_bytes() for name in FILES} == {
        name: (pieces / name).read_bytes() for name in FILES
    }


def test_a_release_of_a_hydrated_store_has_the_same_features(featured, tmp_path):
    """There and back and there: nothing is lost on the way."""
    workspace = hydrate(featured.root, tmp_path / "h")
    path = tmp_path / "features.parquet"
    _, about = module.write_features(path, workspace, featured.read("clips"))
    assert pq.read_table(path).equals(pq.read_table(featured.path("features", "features")))
    assert about == featured.manifest["features"]


def test_equal_tokens_with_another_label_among_them_are_another_text(tmp_path):
    """The same words in the same order: of the one clip two are the label, of the other one."""
    frame = (ref("fa", 0), b"a picture")
    shown = [(frame[0], sha256(frame[1]), None)]
    clips = [clip("fa_0000", shown, description="runs off"),
             clip("fa_0001", shown, description="dog runs off")]  # fmt: skip
    relevance = [*record("fa_0000", "source_train", {"red dog": 2}),
                 *record("fa_0001", "source_train", {"red": 1})]  # fmt: skip
    bare = write_release(tmp_path / "r", clips, relevance)
    films = put_frames(tmp_path / "films", dict([frame]))
    original = hydrate(bare.root, tmp_path / "w", "--frames", films)
    encode(original, Words(), Pictures(), 4)
    path = bare.path("features", "features")
    path.parent.mkdir()
    _, about = module.write_features(path, original, bare.read("clips"))
    manifest = json.loads((bare.root / "manifest.json").read_bytes())
    manifest["files"]["features/features.parquet"] = {"rows": 2}
    (bare.root / "manifest.json").write_text(json.dumps(manifest))
    workspace = hydrate(sealed(bare.root, features=about).root, tmp_path / "h")
    store = FeatureStore.of(workspace)
    same(store, FeatureStore.of(original), labels(original))
    one, two = store.text("fa_0000", "red dog"), store.text("fa_0001", "red")
    assert one.tokens.tobytes() == two.tokens.tobytes()
    assert (one.label_end, two.label_end) == (2, 1)


def test_clips_that_are_dropped_do_not_keep_the_others_from_their_features(
    tiny, encoded, featured, tmp_path
):
    films = shutil.copytree(tiny / "movienet", tmp_path / "films")
    gone = sorted((films / "240P").iterdir())[0]
    gone.unlink()
    workspace = hydrate(featured.root, tmp_path / "h", "--frames", films, "--missing", "drop")
    kept = labels(workspace)
    assert 0 < len(kept) < len(labels(encoded))
    assert not any(clip_id.startswith(gone.stem) for clip_id, _ in kept)
    same(FeatureStore.of(workspace), FeatureStore.of(encoded), kept)


def test_a_damaged_store_is_made_again(encoded, featured, tmp_path):
    workspace = hydrate(featured.root, tmp_path / "h")
    (workspace.root / "features" / "text.npy").unlink()
    hydrate(featured.root, tmp_path / "h")
    same(FeatureStore.of(workspace), FeatureStore.of(encoded), labels(encoded)[:20])


def test_a_store_with_other_bytes_than_its_manifest_says_is_made_again(encoded, featured, tmp_path):
    workspace = hydrate(featured.root, tmp_path / "h")
    path = workspace.root / "features" / "text.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    hydrate(featured.root, tmp_path / "h")
    same(FeatureStore.of(workspace), FeatureStore.of(encoded), labels(encoded))


def test_features_that_were_encoded_here_stay(tiny, featured, tmp_path):
    """They can have taken hours on another encoder; `hydrate` once more must not cost them."""
    workspace = hydrate(featured.root, tmp_path / "h", "--frames", tiny / "movienet")
    encode(workspace, Words("others"), Pictures(), 16)
    before = contents(workspace.root / "features")
    hydrate(featured.root, tmp_path / "h", "--frames", tiny / "movienet")
    assert contents(workspace.root / "features") == before


def test_damaged_features_are_refused(featured, tmp_path, capsys):
    root = shutil.copytree(featured.root, tmp_path / "r")
    path = root / "features" / "features.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    said = refused(capsys, root, "--workspace", tmp_path / "h")
    assert "features.parquet: damaged" in said
    assert not (tmp_path / "h" / "features").exists()


def test_build_wants_a_store_of_the_present_records(tiny, encoded, tmp_path, capsys):
    said = refused(capsys, "build", "--workspace", tiny, "--out", tmp_path / "r", "--features",
                   verb="release")  # fmt: skip
    assert "lrmovienet encode" in said
    stale = shutil.copytree(encoded.root, tmp_path / "w")
    manifest = stale / "features" / "manifest.json"
    content = json.loads(manifest.read_bytes())
    content["inputs"]["records"] = "0" * 64
    manifest.write_text(json.dumps(content))
    said = refused(capsys, "build", "--workspace", stale, "--out", tmp_path / "r", "--features",
                   verb="release")  # fmt: skip
    assert "made for another table 'records'" in said
    assert not (tmp_path / "r").exists()


def test_a_ranker_that_reads_features_trains_on_a_release_without_any_frames(
    featured, tmp_path, capsys
):
    workspace = hydrate(featured.root, tmp_path / "h")
    for words in (["train", "lr2ppo-base", "--epochs", "1"], ["predict"], ["score"]):
        assert main([*words, "--workspace", str(workspace.root)]) == 0
    predicted = workspace.read("predictions/target_test/lr2ppo-base")
    test = [r for r in rows(workspace, "records") if r["split"] == "target_test"]
    assert predicted.num_rows == len(test) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_the_packaged_encoders(tiny, tmp_path):
    root = shutil.copytree(tiny, tmp_path / "w")
    assert main(["encode", "--workspace", str(root)]) == 0
    release = build(root, tmp_path / "r", features=True)
    assert check(release) == []
    workspace = hydrate(release.root, tmp_path / "h")
    original = FeatureStore.of(Workspace(root))
    same(FeatureStore.of(workspace), original, labels(Workspace(root)))
    with pytest.raises(UserError, match="lrmovienet encode"):
        original.require({"text": {**original.encoders["text"], "sha256": "9" * 64}}, "another")
