"""Files read back: ours exactly, those of others by the rules that the page of `read` gives."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upstream_files import clip, features, films, number, put, record, theirs, write_items

from lrmovienet.encode import encode
from lrmovienet.encoders import EncodedText, TokenFeatures
from lrmovienet.errors import UserError
from lrmovienet.features import FILES, FeatureStore, is_whole
from lrmovienet.files import sha256_file, write_bytes
from lrmovienet.runner.local import run_once
from lrmovienet.upstream.read import ReadConfig, run
from lrmovienet.upstream.write import WriteConfig
from lrmovienet.upstream.write import run as write
from lrmovienet.workspace import Workspace

PAIRS = "first_second_data_pair/first_second_data_pair_{}pct"


def there_and_back(workspace: Workspace, folder: Path) -> Workspace:
    write(WriteConfig(workspace.root, folder / "out", any_dimension=True))
    run(ReadConfig(folder / "back", folder / "out"))
    return Workspace(folder / "back")


def rows(workspace: Workspace, table: str, *by: str) -> list[dict]:
    return sorted(workspace.read(table).to_pylist(), key=lambda row: [row[name] for name in by])


def assert_equal(workspace: Workspace, back: Workspace) -> None:
    for table, by in (
        ("records", ("clip_id", "domain", "position")), ("pairs", ("clip_id", "better", "worse")),
        ("clips", ("clip_id",)),
    ):  # fmt: skip
        assert rows(back, table, *by) == rows(workspace, table, *by)
    one, other = FeatureStore.of(workspace), FeatureStore.of(back)
    assert is_whole(other.folder, other.manifest)
    assert other.encoders == one.encoders
    for row in workspace.read("records").to_pylist():
        name, label = row["clip_id"], row["label"]
        left, right = one.text(name, label), other.text(name, label)
        assert left.tokens.tobytes() == right.tokens.tobytes()
        assert left[1:] == right[1:]
        assert one.frames(name).tobytes() == other.frames(name).tobytes()
    for name in FILES:
        assert (other.folder / name).read_bytes() == (one.folder / name).read_bytes()
    for name in ("counts", "text_shards", "frame_shards", "files", "digest"):
        assert other.manifest[name] == one.manifest[name]


def test_what_was_written_comes_back(tmp_path):
    workspace = films(tmp_path / "w")
    back = there_and_back(workspace, tmp_path)
    assert_equal(workspace, back)


def test_different_texts_with_equal_features_stay_apart(tmp_path):
    workspace = films(tmp_path / "w", (3, 2))
    features(workspace, (3, 2), text=lambda *_: (np.ones((2, 3), np.float16), (0, 1, 0)))
    assert FeatureStore.of(workspace).manifest["counts"]["texts"] == 12
    assert_equal(workspace, there_and_back(workspace, tmp_path))


def test_reading_twice_changes_nothing(tmp_path, capsys):
    back = there_and_back(films(tmp_path / "w", (3, 2)), tmp_path)
    before = {p: p.read_bytes() for p in back.root.rglob("*") if p.is_file()}
    capsys.readouterr()
    run(ReadConfig(back.root, tmp_path / "out"))
    assert "records: up to date" in capsys.readouterr().out
    log = back.root / "runs.jsonl"
    after = {p: p.read_bytes() for p in back.root.rglob("*") if p.is_file()}
    before.pop(log), after.pop(log)
    assert after == before
    assert not [p for p in (back.root / ".building").rglob("*") if p.is_file()]


labels = st.text("abcdefghij é中😀\"\\'{}[],:", min_size=1, max_size=6).map(
    lambda text: " ".join(text.split())
)


@st.composite
def corpora(draw):
    """Clips with a record in one domain or both, and pairs of the target records."""
    clips, records, pairs = [], [], []
    for i in range(draw(st.integers(1, 4))):
        description = draw(st.sampled_from(["A man runs.", '« Il pleut » —\n\u2028 \t"', "x"]))
        one = clip(
            f"{draw(st.sampled_from('fgh'))}_{i}", draw(st.integers(1, 3)), description=description,
            genres=draw(st.lists(st.sampled_from(["Drama", "Sci-Fi", "é"]), unique=True)),
            title=draw(st.sampled_from([None, "", "T"])),
            start_s=draw(st.one_of(st.none(), st.floats(0, 1e9))),
            shot=sorted(draw(st.tuples(st.integers(0, 9), st.integers(0, 9)))),
        )  # fmt: skip
        clips.append(one)
        own = draw(st.lists(labels.filter(bool), min_size=2, max_size=6, unique=True))
        kind = draw(st.integers(0, 2))
        if kind != 1:
            grades = draw(st.lists(st.integers(0, 2), min_size=len(own), max_size=len(own)))
            records += record(one, "source_train", own, grades)
        if kind != 0:
            split = draw(st.sampled_from(["target_pairs", "target_dev", "target_test"]))
            # The same labels may stand in both domains: the texts are kept once then.
            own = own[::-1] if draw(st.booleans()) else [f"{label}!" for label in own]
            known = split != "target_pairs"
            records += record(one, split, own, [i % 3 if known else None for i in range(len(own))])
            for better, worse in draw(
                st.sets(st.sampled_from([(0, 1), (1, 0), (0, len(own) - 1)]))
            ):
                if not known:
                    pair = {"better": own[better], "worse": own[worse]}
                    percent = draw(st.sampled_from([5, 10, 20, 40]))
                    pairs.append({"clip_id": one["clip_id"], **pair, "percent": percent})
    return clips, records, pairs, draw(st.integers(1, 3)), draw(st.integers(1, 3))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corpora())
def test_any_workspace_comes_back(tmp_path, corpus):
    for path in tmp_path.iterdir():
        shutil.rmtree(path)
    clips, records, pairs, *dims = corpus
    workspace = put(tmp_path / "w", clips, records, pairs)
    features(workspace, tuple(dims))
    assert_equal(workspace, there_and_back(workspace, tmp_path))


def test_clips_without_records_and_frames_without_features(tmp_path, capsys):
    a, unused = clip("a_0", 3), clip("b_0")
    workspace = put(tmp_path / "w", [a, unused], record(a, "source_train", ["x"], [1]), [])
    features(workspace, (3, 2), frames=lambda n: 2)
    back = there_and_back(workspace, tmp_path)
    assert "left out: 1 clips without a record" in capsys.readouterr().out
    assert [c["clip_id"] for c in rows(back, "clips")] == ["a_0"]
    assert len(rows(back, "clips")[0]["keyframes"]) == 3
    store = FeatureStore.of(back)
    assert len(store.frames("a_0")) == 2
    assert store.manifest["counts"]["frames_left_out"] == 1


class Encoder:
    """Random numbers, the same ones for the same thing; it needs no model."""

    def __init__(self, name: str) -> None:
        self.identity = {"name": name, "sha256": "2" * 64}
        self.seen = 0

    def numbers(self, *what: object) -> np.ndarray:
        self.seen += 1
        return number(*what).normal(size=(3, 4)).astype(np.float16)


class Texts(Encoder):
    def __call__(self, texts):
        return [EncodedText(TokenFeatures(self.numbers(*t), 0, 1), 0) for t in texts]


class Images(Encoder):
    def __call__(self, images):
        return np.array([self.numbers(i)[0] for i in images])


def test_encode_goes_on_where_the_written_store_was(tmp_path):
    workspace, root = films(tmp_path / "w", (3, 2)), tmp_path / "films"
    clips = rows(workspace, "clips", "clip_id")
    for keyframe in [k for c in clips for k in c["keyframes"]]:
        path = root / "240P" / keyframe["ref"]
        write_bytes(path, keyframe["ref"].encode())
        keyframe["sha256"] = sha256_file(path)
    columns = {name: [c[name] for c in clips] for name in clips[0]}
    run_once(workspace, "clips", columns.copy, version="2", inputs={},
             config={"frames_root": "../films"})  # fmt: skip
    encode(workspace, Texts("t"), Images("i"), 2)
    write(WriteConfig(workspace.root, tmp_path / "out", any_dimension=True))
    run(ReadConfig(tmp_path / "back", tmp_path / "out", frames=root))
    back = Workspace(tmp_path / "back")
    assert_equal(workspace, back)
    texts, images = Texts("t"), Images("i")
    encode(back, texts, images, 2)
    assert (texts.seen, images.seen) == (0, 0)
    other = Texts("another")
    encode(back, other, images, 2)
    assert (other.seen, images.seen) == (12, 0)


def test_frames_that_are_not_there(foreign):
    folder, _ = foreign
    with pytest.raises(UserError, match=r"--frames .*nowhere: no such folder"):
        run(ReadConfig(folder.parent / "w", folder, frames=folder / "nowhere"))


def test_a_workspace_of_other_verbs_is_left_alone(tmp_path):
    workspace = films(tmp_path / "w", (3, 2))
    write(WriteConfig(workspace.root, tmp_path / "out", any_dimension=True))
    with pytest.raises(UserError, match="has a table 'clips' already"):
        run(ReadConfig(workspace.root, tmp_path / "out"))


@pytest.fixture
def foreign(tmp_path) -> tuple[Path, dict]:
    return tmp_path / "LRMovieNet", theirs(tmp_path / "LRMovieNet")


def read(folder: Path) -> Workspace:
    run(ReadConfig(folder.parent / "w", folder))
    return Workspace(folder.parent / "w")


def test_files_of_others(foreign, capsys):
    folder, _ = foreign
    workspace = read(folder)
    found = [
        (r["clip_id"], r["domain"], r["split"], r["label"], r["grade"], r["movie_id"], r["source"])
        for r in rows(workspace, "records", "clip_id", "position")
    ]
    pairs, dev = ("m2_0001", "target", "target_pairs"), ("m3_0001", "target", "target_dev")
    assert found == [
        *(("m1_0001", "source", "source_train", x, g, "m1", "unknown")
          for x, g in (("dog", 2), ("rain", 0), ("sea", 1))),
        *((*pairs, x, None, "m2", "unknown") for x in ("fear", "love", "war")),
        *((*dev, x, g, "m3", "unknown") for x, g in (("love", 0), ("gun", 2))),
        *(("m4_0001", "target", "target_test", x, g, "m4", "unknown")
          for x, g in (("war", 1), ("fear", 2))),
    ]  # fmt: skip
    assert [tuple(p.values()) for p in rows(workspace, "pairs", "better")] == [
        ("m2_0001", "fear", "love", 10), ("m2_0001", "war", "love", 10),
    ]  # fmt: skip
    first = rows(workspace, "clips", "clip_id")[0]
    assert first["description"] == "What happens in m1_0001."
    assert [k["ref"] for k in first["keyframes"]] == [
        "frames/m1_0001/0.jpg",
        "frames/m1_0001/1.jpg",
    ]
    out = capsys.readouterr().out
    for said in ("targets in target_pairs, where only pairs are known, left out: 3", "5pct.json",
                 "pairs of source records in first_second_data_pair/first_second_data_pair_10pct"
                 ".json, left out: 1", "clips without shots and frames, for which 0 stands: 4",
                 "does not say what made it"):  # fmt: skip
        assert said in out


def test_features_of_others_are_rounded_to_half_precision_and_that_is_said(foreign, capsys):
    folder, _ = foreign
    store = FeatureStore.of(read(folder))
    with h5py.File(folder / "clean_feat.h5") as file:
        given = file["m3_0001/text_emb"][1]
        frames = file["m3_0001/img_emb"][0]
        total = sum(file[f"m{i}_0001/{kind}"].size for i in range(1, 5)
                    for kind in ("text_emb", "img_emb"))  # fmt: skip
    text = store.text("m3_0001", "gun")
    assert (text.tokens.shape, text.label_start, text.label_end) == ((196, 768), 0, 196)
    np.testing.assert_allclose(text.tokens, given, rtol=2**-11, atol=2**-25)
    np.testing.assert_allclose(store.frames("m3_0001"), frames, rtol=2**-11, atol=2**-25)
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "rounded to half" in x]
    # Nearly no random number has its last 13 bits empty.
    assert 0.99 * total < int(line.split(": ")[1]) <= total


def test_source_records_that_the_file_of_both_stages_lists_again_stay_source(foreign, capsys):
    folder, files = foreign
    files["first_second_stage_data"] += files["first_stage_data"]
    write_items(folder, files)
    workspace = read(folder)
    assert {r["split"] for r in rows(workspace, "records") if r["clip_id"] == "m1_0001"} == {
        "source_train"
    }
    assert "source records listed again: 1" in capsys.readouterr().out


def test_one_file_for_choosing_and_reporting_is_read_once(foreign, capsys):
    folder, files = foreign
    files["test_data"] = files["val_data"]
    write_items(folder, files)
    splits = {r["split"] for r in rows(read(folder), "records") if r["domain"] == "target"}
    assert splits == {"target_pairs", "target_dev"}
    assert (
        "test_data.json that val_data.json has too, read from there: 1" in capsys.readouterr().out
    )


def test_an_id_of_both_domains_is_two_records_with_the_same_texts(foreign):
    folder, files = foreign
    files["val_data"] += files["first_stage_data"]
    write_items(folder, files)
    workspace = read(folder)
    found = {(r["domain"], r["split"], r["label"], r["grade"])
             for r in rows(workspace, "records") if r["clip_id"] == "m1_0001"}  # fmt: skip
    graded = {("dog", 2), ("rain", 0), ("sea", 1)}
    assert found == {("source", "source_train", *g) for g in graded} | {
        ("target", "target_dev", *g) for g in graded
    }
    assert FeatureStore.of(workspace).manifest["counts"]["texts"] == 10


def test_targets_as_text_and_tags_in_capitals_are_read_and_counted(foreign, capsys):
    folder, files = foreign
    files["val_data"][0]["tags"] = [{"tag": " LOVE", "target": "0"}, {"tag": "gun", "target": 2.0}]
    write_items(folder, files)
    own = [r for r in rows(read(folder), "records", "position") if r["split"] == "target_dev"]
    assert [(r["label"], r["grade"]) for r in own] == [("love", 0), ("gun", 2)]
    out = capsys.readouterr().out
    assert 'such as "2": 1' in out and "lower case and single spaces: 1" in out


def test_the_percent_of_a_pair_is_the_smallest_file_that_has_it(foreign, capsys):
    folder, files = foreign
    ten = files[PAIRS.format(10)][0]
    files[PAIRS.format(5)] = [{**ten, "index": [[0, 1], [0, 2]]}]
    files[PAIRS.format(40)] = [{**ten, "index": [[2, 0], [2, 0], [2, 1]]}]
    write_items(folder, files)
    found = {(p["better"], p["worse"]): p["percent"] for p in rows(read(folder), "pairs")}
    assert found == {
        ("fear", "love"): 5, ("fear", "war"): 5, ("war", "love"): 10, ("war", "fear"): 40,
    }  # fmt: skip
    out = capsys.readouterr().out
    assert "10pct.json lacks, read as in it: 1" in out  # fear, war
    assert "40pct.json lacks, read as in it: 2" in out  # and fear, love
    assert (
        "pairs that stand twice in first_second_data_pair/first_second_data_pair_40pct.json: 1"
        in out
    )


def test_our_tables_with_features_that_others_made(tmp_path, capsys):
    workspace = films(tmp_path / "w", (3, 2))
    write(WriteConfig(workspace.root, tmp_path / "out", any_dimension=True))
    items = [i for n in ("first_stage_data", "first_second_stage_data", "val_data", "test_data")
             for i in json.loads((tmp_path / f"out/{n}.json").read_text())]  # fmt: skip
    with h5py.File(tmp_path / "out/clean_feat.h5", "w") as file:
        for item in items:
            file[f"{item['id']}/text_emb"] = np.ones((len(item["tags"]), 196, 768), np.float32)
            file[f"{item['id']}/img_emb"] = np.ones((1, 1, 768), np.float32)
    run(ReadConfig(tmp_path / "back", tmp_path / "out"))
    back = Workspace(tmp_path / "back")
    assert rows(back, "pairs") == rows(workspace, "pairs", "clip_id", "better", "worse")
    store = FeatureStore.of(back)
    assert store.encoders["text"]["name"] == "clean_feat.h5"
    assert store.manifest["text_shards"] == []  # nothing for another encoder to go on with
    assert (store.text("a_0", "dog").tokens == 1).all()
