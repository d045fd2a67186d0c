"""Files for the official code: what lies in them, that it loads, and that they are whole or old."""

import fcntl
import json
import os
import resource
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from official import Files
from upstream_files import clip, features, films, put, record

from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore
from lrmovienet.folders import replacing
from lrmovienet.upstream.write import WriteConfig, pairs_of_grades, run
from lrmovienet.workspace import Workspace

SMALL = (3, 2)
PAIRS = "first_second_data_pair/first_second_data_pair_{}pct"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[FeatureStore, Files]:
    workspace = films(tmp_path_factory.mktemp("films"))
    out = tmp_path_factory.mktemp("out") / "LRMovieNet"
    run(WriteConfig(workspace.root, out))
    return FeatureStore.of(workspace), Files(out)


def export(workspace: Workspace, out: Path, **options) -> None:
    run(WriteConfig(workspace.root, out, any_dimension=True, **options))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_item_by_hand(written):
    _, files = written
    first, *others = files.items("first_second_stage_data")
    assert others == []
    assert first == {
        "id": "a_0-target", "filename": "a_0", "description": "A scene of a.",
        "tags": [{"tag": t, "target": 0} for t in ("fear", "love", "war")],
        "image": ["a/shot_0003_img_0.jpg", "a/shot_0003_img_1.jpg"], "clip_id": "a_0",
        "domain": "target", "movie_id": "a", "genres": ["Drama"],
        "sources": ["image", "event", "entity"], "grades": "unknown",
        "clip": {
            "shot": [3, 5], "frame": [70, 95], "start_s": 2.5,
            "frames_sha256": ["a0".rjust(64, "0"), "a1".rjust(64, "0")],
        },
    }  # fmt: skip


def test_each_split_has_its_file(written):
    _, files = written
    tags = {
        name: {i["id"]: [(t["tag"], t["target"]) for t in i["tags"]] for i in files.items(name)}
        for name in ("first_stage_data", "val_data", "test_data")
    }
    assert tags == {
        "first_stage_data": {
            "a_0-source": [("dog", 2), ("rain", 0), ("sea", 1)],
            "a_1-source": [("dog", 1), ("car", 1)],
        },
        "val_data": {"b_0-target": [("love", 0), ("gun", 2)]},
        "test_data": {"c_0-target": [("war", 1), ("fear", 2), ("gun", 0)]},
    }


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(5, [[2, 1]]), (10, [[2, 1]]), (20, [[0, 1], [2, 1]]), (40, [[0, 1], [2, 0], [2, 1]])],
)
def test_pairs_are_nested_and_source_pairs_stand_behind(written, percent, expected):
    _, files = written
    found = [(i["id"], i["pairs"], i["index"]) for i in files.items(PAIRS.format(percent))]
    # Of a_0's grades 2, 0, 1 all three pairs are drawn; a_1's are equal and give none.
    drawn = ("a_0-source", "from grades", [[0, 1], [0, 2], [2, 1]])
    assert found == [("a_0-target", "annotated", expected), drawn]


def padded(store: FeatureStore, clip_id: str, labels: list[str]) -> np.ndarray:
    rows = [store.text(clip_id, label).tokens.astype(np.float32) for label in labels]
    return np.array([np.vstack([row, np.zeros((196 - len(row), 768))]) for row in rows])


def test_the_official_code_reads_in_every_stage_what_the_store_holds(written):
    store, files = written
    rng = np.random.default_rng(0)
    (item, other) = files.items("first_stage_data")
    text, targets = files.stage_1(item)
    # Behind dog, rain and sea come the relevant ones in turn: dog and sea.
    labels = ["dog", "rain", "sea", *(["dog", "sea"] * 9)][:20]
    assert text.dtype == np.float32
    np.testing.assert_array_equal(text, padded(store, "a_0", labels))
    assert targets.tolist() == [2, 0, 1, *([2, 1] * 9)][:20]
    assert files.stage_1(other)[1].tolist() == [1] * 20
    for name in ("val_data", "test_data"):
        (item,) = files.items(name)
        text, targets = files.ranked(item)
        labels = [tag["tag"] for tag in item["tags"]]
        np.testing.assert_array_equal(text, padded(store, item["clip_id"], labels))
        assert len(targets) == len(labels)
        assert files.frames(item, rng).shape == (16, 768)
    for item in files.items(PAIRS.format(40)):
        labels = [tag["tag"] for tag in item["tags"]]
        for (text, _), pair in zip(files.stage_2(item), item["index"], strict=True):
            wanted = padded(store, item["clip_id"], [labels[i] for i in pair])
            np.testing.assert_array_equal(text, wanted)
    for item in files.items("first_second_stage_data"):
        assert files.stage_3(item, rng).shape == (80, 2)


def test_frames_are_the_clips_and_records_of_a_clip_share_them(written):
    store, files = written
    one, other = (files.features[f"a_0-{domain}"]["img_emb"] for domain in ("source", "target"))
    assert one == other  # the same object of the file, by two names
    assert one.shape == (1, 2, 768) and one.dtype == np.float32
    np.testing.assert_array_equal(one[0], store.frames("a_0").astype(np.float32))
    assert one != files.features["a_1-source"]["img_emb"]


def test_datasets_lie_in_one_piece_and_spans_beside_them(written):
    store, files = written
    text = files.features["c_0-target"]["text_emb"]
    assert text.chunks is None and text.compression is None
    for row, label in zip(text.attrs["spans"], ["war", "fear", "gun"], strict=True):
        kept = store.text("c_0", label)
        assert row[:3].tolist() == [len(kept.tokens), kept.label_start, kept.label_end]
    assert json.loads(files.features.attrs["encoders"]) == store.encoders


def test_no_value_is_null_which_no_batch_could_hold(written):
    _, files = written

    def nulls(value: object) -> bool:
        if isinstance(value, dict | list):
            return any(map(nulls, value.values() if isinstance(value, dict) else value))
        return value is None

    names = ["first_stage_data", "first_second_stage_data", "val_data", PAIRS.format(5)]
    assert not any(nulls(files.items(name)) for name in names)


def test_drawn_pairs_by_hand():
    assert pairs_of_grades("x", [2, 0, 1, 0], 99, 0) == [[0, 1], [0, 2], [0, 3], [2, 1], [2, 3]]
    assert pairs_of_grades("x", [1, 1], 99, 0) == []


@given(st.lists(st.integers(0, 2), max_size=9), st.integers(0, 30), st.integers(0, 5), st.text())
def test_drawn_pairs_go_from_the_higher_to_the_lower_grade(grades, most, seed, name):
    found = pairs_of_grades(name, grades, most, seed)
    total = sum(a != b for i, a in enumerate(grades) for b in grades[:i])
    assert len(found) == len({tuple(pair) for pair in found}) == min(most, total)
    assert all(grades[better] > grades[worse] for better, worse in found)
    assert all(pair in pairs_of_grades(name, grades, most + 1, seed) for pair in found)


def test_the_draw_hangs_on_seed_and_record():
    grades = [0, 1, 2] * 6
    draws = [pairs_of_grades(n, grades, 20, s) for n, s in (("x", 0), ("x", 1), ("y", 0), ("x", 0))]
    assert draws[0] == draws[3]
    assert all(a != b for a, b in pairwise(draws[:3]))


def test_equal_workspaces_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        export(films(tmp_path / name, SMALL), tmp_path / f"out-{name}")
    assert content(tmp_path / "out-a") == content(tmp_path / "out-b")
    export(Workspace(tmp_path / "a"), tmp_path / "out-a", seed=1, source_pairs=1)
    assert (
        content(tmp_path / "out-a")["val_data.json"] == content(tmp_path / "out-b")["val_data.json"]
    )
    assert content(tmp_path / "out-a") != content(tmp_path / "out-b")


def test_no_source_pairs(tmp_path):
    export(films(tmp_path / "w", SMALL), tmp_path / "out", source_pairs=0)
    ids = [
        item["id"] for item in json.loads((tmp_path / f"out/{PAIRS.format(5)}.json").read_text())
    ]
    assert ids == ["a_0-target"]
    with pytest.raises(UserError, match="--source_pairs -1"):
        export(Workspace(tmp_path / "w"), tmp_path / "out", source_pairs=-1)


def test_other_dimensions_and_longer_texts_are_refused(tmp_path):
    workspace = films(tmp_path, SMALL)
    with pytest.raises(
        UserError, match=r"of 768 numbers.*(text 3.*image 2|image 2.*text 3).*--any_"
    ):
        run(WriteConfig(workspace.root, tmp_path / "out"))
    long = np.zeros((197, 3), np.float16)
    features(workspace, SMALL, text=lambda label, *_: (long[: 197 - (label != "gun")], (0, 1, 0)))
    with pytest.raises(UserError, match=r"2 of 12 texts have more than 196 tokens"):
        export(workspace, tmp_path / "out")
    assert not (tmp_path / "out").exists()


A = clip("a_0")
GOOD = record(A, "source_train", ["dog", "sea"], [0, 1])


@pytest.mark.parametrize(
    ("records", "pairs", "message"),
    [
        (record(A, "target_pairs", ["x", "y"], [0, None]), [], "has grades"),
        (record(A, "target_pairs", ["x"], [None]), [], "one label"),
        (record(A, "target_dev", ["x", "y"], [0, None]), [], "a label has no grade"),
        ([{**GOOD[0], "position": 1}, {**GOOD[1], "position": 2}], [], "positions"),
        ([{**GOOD[0], "domain": "target"}], [], "a target record in source_train"),
        ([GOOD[0], {**GOOD[1], "split": "target_dev"}], [], "different splits"),
        ([GOOD[0], {**GOOD[1], "genres": []}], [], "different genres"),
        ([{**row, "genres": []} for row in GOOD], [], "not those of its clip"),
        (GOOD + record(clip("z_0"), "source_train", ["x"], [0]), [], "not in the table clips"),
        (GOOD, ["dog", "sea"], "not of a record of target_pairs"),
        (record(A, "target_pairs", ["x", "y"], [None] * 2), ["x", "z"], "'z'"),
    ],
)
def test_what_the_files_cannot_hold_is_refused(tmp_path, records, pairs, message):
    rows = (
        [{"clip_id": "a_0", "better": pairs[0], "worse": pairs[1], "percent": 5}] if pairs else []
    )
    workspace = put(tmp_path, [A], records, rows)
    features(workspace, SMALL)
    with pytest.raises(UserError, match=message):
        export(workspace, tmp_path / "out")


@pytest.fixture
def exported(tmp_path) -> tuple[Path, dict[str, bytes]]:
    """An export, and what it holds."""
    export(films(tmp_path / "w", SMALL), tmp_path / "out")
    return tmp_path / "out", content(tmp_path / "out")


def test_a_failure_in_the_middle_leaves_the_export_as_it_was(exported, tmp_path):
    out, before = exported
    workspace = films(tmp_path / "v", SMALL)
    # a_1 has one frame, and so no features of any; a_0 comes before it.
    features(workspace, SMALL, frames=lambda n: n - 1)
    with pytest.raises(UserError, match="clip a_1 has no frames"):
        export(workspace, out)
    assert content(out) == before
    assert {p.name for p in tmp_path.iterdir()} == {"w", "v", "out"}


@pytest.mark.parametrize("limit", [1_000, 20_000, 40_000])
def test_a_full_disk_leaves_the_export_as_it_was(exported, tmp_path, limit, capsys):
    out, before = exported
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        code = main(["upstream", "write", str(out), "--workspace", str(tmp_path / "w"),
                     "--any_dimension", "--seed=1"])  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert code == 2
    assert ".json: File too large" in (err := capsys.readouterr().err) or "h5: File" in err
    assert content(out) == before
    assert {p.name for p in tmp_path.iterdir()} == {"w", "out"}
    assert len(before["clean_feat.h5"]) > 40_000


def test_a_killed_run_leaves_nothing_in_the_way(exported, tmp_path):
    out, before = exported
    (tmp_path / ".out.building" / "first_second_data_pair").mkdir(parents=True)
    (tmp_path / ".out.building" / "val_data.json").write_text("[")
    out.rename(tmp_path / ".out.replaced")  # killed between the two renames
    export(Workspace(tmp_path / "w"), out)
    assert content(out) == before
    assert {p.name for p in tmp_path.iterdir()} == {"w", "out"}


def test_other_files_in_the_folder_are_not_lost(exported, tmp_path):
    out, before = exported
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"other files than an export, such as notes\.txt"):
        export(Workspace(tmp_path / "w"), out)
    (out / "notes.txt").unlink()
    assert content(out) == before


@pytest.mark.parametrize("out", ["/proc/nowhere/LRMovieNet", "{file}", "{file}/LRMovieNet"])
def test_a_place_that_cannot_be_written_is_one_message(tmp_path, out, capsys):
    films(tmp_path / "w", SMALL)
    (tmp_path / "file").write_text("x")
    where = out.format(file=tmp_path / "file")
    words = ["upstream", "write", where, "--workspace", str(tmp_path / "w"), "--any_dimension"]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "cannot be written" in err or "is a file" in err
    assert {p.name for p in tmp_path.iterdir()} == {"w", "file"}


def test_too_small_a_disk_is_said_beforehand(exported, tmp_path):
    out, before = exported
    said = r"1e\+09 GB are to be written, and .* GB are free"
    with pytest.raises(UserError, match=said), replacing(out, 10**18, lambda _: None):
        pytest.fail("began to write")
    assert content(out) == before
    assert {p.name for p in tmp_path.iterdir()} == {"w", "out"}


def test_an_interrupt_leaves_the_export_as_it_was(exported, tmp_path):
    out, before = exported
    with pytest.raises(KeyboardInterrupt), replacing(out, 0, lambda _: None) as folder:
        (folder / "val_data.json").write_text("[")
        raise KeyboardInterrupt
    assert content(out) == before
    assert {p.name for p in tmp_path.iterdir()} == {"w", "out"}


def test_a_second_writer_is_told_so(exported, tmp_path):
    out, before = exported
    beside = tmp_path / ".out.building"
    beside.mkdir()
    held = os.open(beside, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another run is writing"):
            export(Workspace(tmp_path / "w"), out)
    finally:
        os.close(held)
    assert content(out) == before


def test_the_hdf5_file_is_readable_by_old_libraries(exported):
    out, _ = exported
    assert (out / "clean_feat.h5").read_bytes()[8] == 0  # the superblock's version
