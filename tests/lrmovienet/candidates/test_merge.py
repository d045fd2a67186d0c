"""`lrmovienet merge` from the tables to the table."""

import shutil
import sqlite3

import pytest
from finding import clip, put, put_clips, put_films, put_image_labels, put_text_labels

from lrmovienet.cli import main
from lrmovienet.encoders import hash_model, packaged_text_model
from lrmovienet.files import sha256_file
from lrmovienet.sentences import SentenceEncoder
from lrmovienet.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    clips = [clip("tt1_0", description="Neo (Keanu Reeves) fights."), clip("tt2_0"), clip("tt3_0")]
    inputs = {"clips": put_clips(tmp_path, clips).digest}
    image_labels = [
        ("tt1_0", "dojo", 0.4321, 1, [0.4321], 0.05), ("tt1_0", "cat", 0.06, 1, [0.06], 0.05),
        ("tt2_0", "dog", 0.05, 1, [0.05], 0.05),
    ]  # fmt: skip
    put_image_labels(tmp_path, image_labels, inputs)
    text_labels = [
        ("tt1_0", "fights", "event", 0), ("tt1_0", "dojo", "entity", 0),
        ("tt1_0", "scene", "entity", 1), ("tt1_0", "reeves", "entity", 2),
        ("tt1_0", "fight", "entity", 3),
    ]  # fmt: skip
    put_text_labels(tmp_path, text_labels, inputs)
    return Workspace(tmp_path)


def merge(workspace, *options, near="1"):
    return main(["merge", "--workspace", str(workspace.root), "--near", near, *options])


def candidates(workspace):
    rows = workspace.read("candidates").to_pylist()
    return [(r["clip_id"], r["label"]) for r in rows]


def dropped(workspace):
    return [
        (r["clip_id"], r["label"], r["reason"])
        for r in workspace.read_dropped("candidates").to_pylist()
    ]


def test_merge_by_hand(workspace, capsys):
    put_films(workspace.root, {"tt1": [("Keanu Reeves", "Neo")], "tt2": [], "tt3": []})
    assert merge(workspace) == 0
    assert capsys.readouterr().out.startswith("candidates: 3 rows, 6 dropped")
    rows = workspace.read("candidates").to_pylist()
    assert [(r["clip_id"], r["label"], r["position"]) for r in rows] == [
        ("tt1_0", "fight", 0), ("tt1_0", "dojo", 1), ("tt1_0", "cat", 2),
    ]  # fmt: skip
    assert [(s["kind"], s["model"], s["score"]) for s in rows[0]["sources"]] == [
        ("event", "llm", None), ("entity", "llm", None),
    ]  # fmt: skip
    assert [(s["kind"], s["model"], s["score"]) for s in rows[1]["sources"]] == [
        ("entity", "llm", None), ("image", "tagger", pytest.approx(0.4321)),
    ]  # fmt: skip
    assert dropped(workspace) == [
        ("tt1_0", "fights", "form: written as 'fight'"),
        ("tt1_0", "scene", "blocked: of all clips"),
        ("tt1_0", "reeves", "actor: keanu reeves plays neo"),
        ("tt2_0", "dog", "score: 0.05"),
        ("tt2_0", None, "no candidate label is left"),
        ("tt3_0", None, "no candidate label was found"),
    ]


def test_actors_stay_on_demand_and_where_no_cast_is_known(workspace):
    assert merge(workspace) == 0  # there is no table films
    assert ("tt1_0", "reeves") in candidates(workspace)
    put_films(workspace.root, {"tt1": [("Keanu Reeves", "Neo")]})
    assert merge(workspace) == 0
    assert ("tt1_0", "reeves") not in candidates(workspace)
    assert merge(workspace, "--drop_actors", "false") == 0
    assert ("tt1_0", "reeves") in candidates(workspace)
    assert "films" not in workspace.require("candidates").inputs


def test_again_nothing_is_done_and_with_a_new_option_it_is(workspace, capsys):
    assert merge(workspace) == 0
    before = workspace.require("candidates").digest
    capsys.readouterr()
    assert merge(workspace) == 0
    assert capsys.readouterr().out == "candidates: up to date (4 rows, 5 dropped)\n"
    assert merge(workspace, "--most", "1") == 0
    assert "up to date" not in capsys.readouterr().out
    assert workspace.require("candidates").digest != before
    assert candidates(workspace) == [("tt1_0", "fight")]


def test_a_new_table_is_merged(workspace, capsys):
    assert merge(workspace) == 0
    inputs = {"clips": workspace.require("clips").digest}
    put_text_labels(workspace.root, [("tt3_0", "kiss", "event", 0)], inputs)
    assert merge(workspace) == 0
    assert ("tt3_0", "kiss") in candidates(workspace)
    put_films(workspace.root, {"tt3": []})
    capsys.readouterr()
    assert merge(workspace) == 0
    assert "up to date" not in capsys.readouterr().out


def test_sources_stand_in_the_order_of_kinds(workspace):
    assert merge(workspace, "--kinds", "image", "entity", "event") == 0
    sources = {
        r["label"]: [s["kind"] for s in r["sources"]]
        for r in workspace.read("candidates").to_pylist()
    }
    assert sources["dojo"] == ["image", "entity"]
    assert sources["fight"] == ["entity", "event"]


def test_kinds_and_the_tables_they_need(workspace, capsys):
    assert merge(workspace, "--kinds", "entity", "event") == 0
    assert [label for _, label in candidates(workspace)] == ["dojo", "fight", "reeves"]
    shutil.rmtree(workspace.root / "text_labels")
    capsys.readouterr()
    assert merge(workspace) == 2
    error = capsys.readouterr().err
    assert "no table 'text_labels' here yet. Run first: lrmovienet extract" in error
    assert merge(workspace, "--kinds", "[image]") == 0
    assert [label for _, label in candidates(workspace)] == ["dojo", "cat"]
    shutil.rmtree(workspace.root / "image_labels")
    assert merge(workspace, "--kinds", "image") == 2
    assert "lrmovienet tag" in capsys.readouterr().err
    shutil.rmtree(workspace.root / "clips")
    assert merge(workspace) == 2
    assert "lrmovienet ingest" in capsys.readouterr().err
    assert [label for _, label in candidates(workspace)] == ["dojo", "cat"]


@pytest.mark.parametrize(("table", "verb"), [("image_labels", "tag"), ("text_labels", "extract")])
def test_labels_of_other_clips_are_refused(workspace, capsys, table, verb):
    assert merge(workspace) == 0
    before = workspace.require("candidates")
    put(workspace.root, table, workspace.read(table).to_pydict(), {"clips": "another digest"})
    capsys.readouterr()
    assert merge(workspace) == 2
    error = capsys.readouterr().err
    assert f"{table} was made from other clips" in error
    assert f"lrmovienet {verb}" in error
    assert workspace.require("candidates") == before


def test_tables_that_do_not_say_of_which_clips(workspace):
    put_text_labels(workspace.root, [("tt2_0", "kiss", "event", 0), ("tt9_9", "run", "event", 0)],
                    {})  # fmt: skip
    assert merge(workspace) == 0
    assert candidates(workspace) == [("tt1_0", "dojo"), ("tt1_0", "cat"), ("tt2_0", "kiss")]


def test_the_manifest_names_what_the_table_hangs_on(workspace, tmp_path):
    files = {}
    for name, text in {"thresholds": "label,threshold\ndog,1\n", "block_file": "label\n"}.items():
        files[name] = tmp_path / f"{name}.csv"
        files[name].write_text(text)
    put_films(workspace.root, {"tt1": []})
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert merge(workspace, *options) == 0
    manifest = workspace.require("candidates")
    tables = ("clips", "image_labels", "text_labels", "films")
    assert manifest.inputs == {
        **{table: workspace.require(table).digest for table in tables},
        **{name: sha256_file(path) for name, path in files.items()},
    }
    assert manifest.config["most"] == 20
    assert str(tmp_path) not in str(manifest.config)


# --- what is blocked ---


def test_words_to_block(workspace):
    assert merge(workspace, "--block", "Fights", "cats") == 0
    assert [label for _, label in candidates(workspace)] == ["dojo", "scene", "reeves"]
    assert merge(workspace, "--block", "[]") == 0
    assert ("tt1_0", "scene") in candidates(workspace)


def test_a_file_of_labels_to_block(workspace, tmp_path):
    put_text_labels(
        workspace.root,
        [(c, x, "event", i) for c in ("tt1_0", "tt2_0") for i, x in enumerate(["run", "kiss"])],
        {},
    )
    path = tmp_path / "mine.csv"
    path.write_text("clip_id,label\n,Dojos\ntt2_0,the kiss\n tt1_0 , cats \ntt1_0,\n,\n")
    assert merge(workspace, "--block_file", str(path)) == 0
    assert candidates(workspace) == [("tt1_0", "run"), ("tt1_0", "kiss"), ("tt2_0", "run")]
    reasons = {(c, label): why for c, label, why in dropped(workspace)}
    assert reasons["tt1_0", "dojo"] == "blocked: of all clips"
    assert reasons["tt1_0", "cat"] == reasons["tt2_0", "kiss"] == "blocked: of this clip"
    path.write_text("label\nrun\n")
    assert merge(workspace, "--block_file", str(path)) == 0
    assert ("tt1_0", "run") not in candidates(workspace)
    assert ("tt2_0", "kiss") in candidates(workspace)


# --- what is wrong ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kinds", "[sound]"], "--kinds ['sound']: give some of ['event', 'entity', 'image']"),
        (["--kinds", "[]"], "--kinds []: give some of"),
        (["--kinds", "image", "image"], "each once"),
        (["--most", "0"], "--most 0: give 1 or more."),
        (["--min_frames", "0"], "--min_frames 0: give 1 or more."),
        (["--min_image_score", "2"], "--min_image_score 2.0: give a number from 0 to 1."),
        (["--ceiling", "-0.1"], "--ceiling -0.1: give a number from 0 to 1."),
        (["--ceiling", ".nan"], "--ceiling nan: give a number from 0 to 1."),
        (["--near", "1.01"], "--near 1.01: give a number from 0 to 1."),
        (["--tail_genres", "1"], "--tail_genres 1: the clips have 0 genres."),
        (["--thresholds", "no.csv"], "--thresholds no.csv: no such file."),
        (["--block_file", "."], "--block_file .: no such file."),
        (["--near", "0.9", "--text_model", "nowhere"], "nowhere: no model here."),
    ],
)  # fmt: skip
def test_wrong_options(workspace, capsys, arguments, said):
    assert merge(workspace) == 0
    before = workspace.require("candidates")
    capsys.readouterr()
    assert merge(workspace, *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert workspace.require("candidates") == before


@pytest.mark.parametrize("arguments", [["--order", "best"], ["--cap_by", "film"], ["--most", "x"]])
def test_options_that_are_none_of_the_choices(workspace, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        merge(workspace, *arguments)
    assert stop.value.code == 2
    assert arguments[0][2:] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"clip_id\ntt1_0\n", "no column label in its first line"),
        (b"", "no column label in its first line"),
        (b"\xff", "not a readable CSV"),
    ],
)
def test_wrong_block_files(workspace, tmp_path, capsys, content, said):
    (tmp_path / "mine.csv").write_bytes(content)
    assert merge(workspace, "--block_file", str(tmp_path / "mine.csv")) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert workspace.manifest("candidates") is None


# --- options that reach the rules ---


@pytest.fixture
def two_genres(tmp_path):
    """21 dramas and a war film, in which a dog is in every clip."""
    clips = [clip(f"tt{i}_0", ["drama" if i else "war"]) for i in range(22)]
    inputs = {"clips": put_clips(tmp_path, clips).digest}
    rows = [(c["clip_id"], "dog", "event", 0) for c in clips]
    rows += [("tt1_0", x, "entity", i) for i, x in enumerate(["gun", "tank", "kiss"])]
    rows += [("tt0_0", x, "entity", i) for i, x in enumerate(["gun", "tank"])]
    put_text_labels(tmp_path, rows, inputs)
    return Workspace(tmp_path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "gun tank kiss"),
        ("--ceiling 1", "gun dog tank kiss"),
        ("--most 1", "gun kiss"),
        ("--most 1 --cap_by clip", "gun"),
        ("--ceiling 1 --most 3 --cap_by clip", "gun dog tank"),
        ("--ceiling 1 --kinds event entity", "dog gun tank kiss"),
        ("--ceiling 1 --order kinds", "gun tank kiss dog"),
        ("--ceiling 1 --order agreement", "gun dog tank kiss"),
        ("--ceiling 1 --most 2 --tail_genres 1", "gun dog kiss"),
    ],
)
def test_options_reach_the_rules(two_genres, options, expected):
    kinds = [] if "--kinds" in options else ["--kinds", "entity", "event"]
    assert merge(two_genres, *kinds, *options.split()) == 0
    assert [x for c, x in candidates(two_genres) if c == "tt1_0"] == expected.split()


# --- near ---


def test_near_labels_by_the_packaged_model(workspace, monkeypatch, capsys):
    inputs = {"clips": workspace.require("clips").digest}
    rows = [
        (c, x, "event", i)
        for c in ("tt1_0", "tt2_0")
        for i, x in enumerate(["photo frame", "picture frame", "man", "woman"])
    ]
    put_text_labels(workspace.root, rows, inputs)
    assert merge(workspace, "--kinds", "event", near="0.92") == 0
    manifest = workspace.require("candidates")
    assert manifest.inputs["text_model"] == hash_model(packaged_text_model(), "text_model")
    assert candidates(workspace) == [
        (c, x) for c in ("tt1_0", "tt2_0") for x in ("photo frame", "man", "woman")
    ]
    assert dropped(workspace)[0] == ("tt1_0", "picture frame", "near: 'photo frame' (0.93)")
    with sqlite3.connect(workspace.root / "cache" / "labels.sqlite") as database:
        assert database.execute("SELECT count(*) FROM results").fetchone() == (4,)
    # Vectors that were made are not made again, for another cosine either.
    monkeypatch.setattr(SentenceEncoder, "__call__", None)
    assert merge(workspace, "--kinds", "event", near="0.99") == 0
    assert ("tt1_0", "picture frame") in candidates(workspace)
    assert merge(workspace, "--kinds", "event", near="0.0") == 0
    assert candidates(workspace) == [("tt1_0", "photo frame"), ("tt2_0", "photo frame")]
    assert merge(workspace, "--kinds", "event") == 0
    assert "text_model" not in workspace.require("candidates").inputs
    capsys.readouterr()


def test_a_damaged_model_leaves_the_old_table(workspace, tmp_path, capsys):
    assert merge(workspace) == 0
    before = workspace.require("candidates")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    capsys.readouterr()
    assert merge(workspace, "--text_model", str(folder), near="0.9") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"lrmovienet merge: error: {folder}: this encoder cannot be loaded")
    assert workspace.require("candidates") == before


def test_blocks_of_clips_that_there_are_not(workspace, tmp_path, capsys):
    path = tmp_path / "mine.csv"
    path.write_text("clip_id,label\ntt9_0,kiss\n")
    assert merge(workspace, "--block_file", str(path)) == 2
    assert "mine.csv:\n  line 2: no clip 'tt9_0' in this workspace" in capsys.readouterr().err


def test_two_thresholds_of_one_label(workspace, tmp_path, capsys):
    path = tmp_path / "mine.csv"
    path.write_text("label,threshold\ncat,0.2\ncats,0.9\ndog,0.5\ndog,0.5\n")
    assert merge(workspace, "--thresholds", str(path)) == 2
    assert "line 3: 'cats' has another threshold before" in capsys.readouterr().err
