"""`lrmovienet hydrate` with copies that lack something, have it elsewhere or have it otherwise."""

import json

import pytest
from making import contents
from small_releases import (
    Pictures,
    Words,
    again,
    clip,
    coverage,
    hydrate,
    look,
    picture,
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
from lrmovienet.workspace import Workspace

pytestmark = pytest.mark.slow

# A release of three films by hand, and what a copy of them can be like.
PICTURES = {ref(f, i): picture(10 * n + i) for n, f in enumerate(("fa", "fb", "fc"))
            for i in range(3)}  # fmt: skip


def small(root, hashes=True):
    """fa_0000 shows two frames of fa and fa_0001 the third; fb_0000 two of fb; fc_0000 one."""
    shown = {"fa_0000": [("fa", 0), ("fa", 1)], "fa_0001": [("fa", 2)],
             "fb_0000": [("fb", 0), ("fb", 1)], "fc_0000": [("fc", 0)]}  # fmt: skip
    clips = [
        clip(c, [(ref(*at), sha256(PICTURES[ref(*at)]),
                  look(PICTURES[ref(*at)]) if hashes else None) for at in frames])
        for c, frames in shown.items()
    ]  # fmt: skip
    relevance = [
        row
        for clip_id, split in (("fa_0000", "source_train"), ("fa_0001", "source_train"),
                               ("fb_0000", "target_pairs"), ("fc_0000", "target_test"))
        for row in record(clip_id, split, dict.fromkeys(["dog", "rain"], None) if split ==
                          "target_pairs" else {"dog": 2, "rain": 0})
    ]  # fmt: skip
    pairs = [{"clip_id": "fb_0000", "better": "dog", "worse": "rain", "percent": 5, "n": 1,
              "agreement": 1.0}]  # fmt: skip
    return write_release(root, clips, relevance, pairs).root


def changed_copy():
    """fa: one frame as it was, one under another name, one encoded anew. fb: one gone, one another
    picture. fc is not there."""
    return {
        ref("fa", 0): PICTURES[ref("fa", 0)], ref("fa", 8): PICTURES[ref("fa", 1)],
        ref("fa", 2): again(PICTURES[ref("fa", 2)]), ref("fb", 1): picture(99),
        ref("fb", 2): PICTURES[ref("fb", 2)],
    }  # fmt: skip


@pytest.mark.parametrize("layout", ["folders", "tars", "zip"])
def test_what_was_found_and_what_not_is_counted_film_by_film(tmp_path, layout, capsys):
    films = put_frames(tmp_path / "films", changed_copy(), layout)
    workspace = hydrate(small(tmp_path / "r"), tmp_path / "h", "--frames", films)
    report, none = coverage(workspace), dict.fromkeys(
        ("same", "moved", "alike", "other", "missing"), 0
    )  # fmt: skip
    assert report["by_film"] == {
        "fa": none | {"same": 1, "moved": 1, "alike": 1},
        "fb": none | {"missing": 1, "other": 1}, "fc": none | {"missing": 1},
    }  # fmt: skip
    assert report["films"] == {"all": 3, "whole": 1, "in part": 0, "absent": 2}
    assert (report["frames"]["all"], report["frames"]["joined"]) == (6, 3)
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 of 3 films whole, 0 in part, 2 absent" in shown
    # Clips say what lies in the copy, where it does: the frame's own name there and its own hash.
    keyframes = {row["clip_id"]: row["keyframes"] for row in rows(workspace, "clips")}
    anew = again(PICTURES[ref("fa", 2)])
    assert keyframes == {
        "fa_0000": [{"ref": ref("fa", 0), "sha256": sha256(PICTURES[ref("fa", 0)])},
                    {"ref": ref("fa", 8), "sha256": sha256(PICTURES[ref("fa", 1)])}],
        "fa_0001": [{"ref": ref("fa", 2), "sha256": sha256(anew)}],
        "fb_0000": [{"ref": ref("fb", i), "sha256": sha256(PICTURES[ref("fb", i)])}
                    for i in (0, 1)],
        "fc_0000": [{"ref": ref("fc", 0), "sha256": sha256(PICTURES[ref("fc", 0)])}],
    }  # fmt: skip
    assert len(rows(workspace, "records")) == 8


def test_frames_that_are_kept_though_missing_are_named_by_encode(tmp_path, capsys):
    films = put_frames(tmp_path / "films", changed_copy())
    workspace = hydrate(small(tmp_path / "r"), tmp_path / "h", "--frames", films)
    with pytest.raises(UserError, match="3 keyframes") as error:
        encode(workspace, Words(), Pictures(), 16)
    assert ref("fb", 0) in str(error.value)


def test_dropped_frames_go_and_clips_without_any_go_with_their_rows(tmp_path):
    frames = changed_copy() | {ref("fb", 0): PICTURES[ref("fb", 0)]}
    films = put_frames(tmp_path / "films", frames)
    workspace = hydrate(
        small(tmp_path / "r"), tmp_path / "h", "--frames", films, "--missing", "drop"
    )
    kept = {
        row["clip_id"]: [f["ref"] for f in row["keyframes"]] for row in rows(workspace, "clips")
    }
    assert kept == {
        "fa_0000": [ref("fa", 0), ref("fa", 8)], "fa_0001": [ref("fa", 2)],
        "fb_0000": [ref("fb", 0)],
    }  # fmt: skip
    assert {row["clip_id"] for row in rows(workspace, "records")} == {*kept}
    assert len(rows(workspace, "records")) == 6
    for table, number in (("clips", 1), ("records", 2), ("pairs", 0)):
        dropped = workspace.read_dropped(table).to_pylist()
        assert [row["clip_id"] for row in dropped] == ["fc_0000"] * number
        assert {row["reason"] for row in dropped} <= {"none of its frames is in the copy"}
    encode(workspace, Words(), Pictures(), 16)  # nothing is missing any more


def test_pairs_of_a_clip_that_is_dropped_go_with_it(tmp_path):
    films = put_frames(tmp_path / "films", changed_copy())
    workspace = hydrate(
        small(tmp_path / "r"), tmp_path / "h", "--frames", films, "--missing", "drop"
    )
    assert rows(workspace, "pairs") == []
    assert workspace.read_dropped("pairs")["clip_id"].to_pylist() == ["fb_0000"]


def test_without_hashes_a_frame_encoded_anew_is_another_picture(tmp_path):
    films = put_frames(tmp_path / "films", changed_copy())
    workspace = hydrate(small(tmp_path / "r", hashes=False), tmp_path / "h", "--frames", films)
    frames = coverage(workspace)["frames"]
    assert (frames["alike"], frames["other"], frames["joined"]) == (0, 2, 2)


def test_bits_say_what_is_alike(tmp_path):
    """With all 64 bits free, another picture under a frame's name is that frame."""
    films = put_frames(tmp_path / "films", changed_copy())
    workspace = hydrate(small(tmp_path / "r"), tmp_path / "h", "--frames", films, "--bits", 64)
    frames = coverage(workspace)["frames"]
    assert (frames["alike"], frames["other"], frames["missing"]) == (2, 0, 2)


@pytest.mark.parametrize("layout", ["folders", "tars"])
def test_after_the_copy_changed_the_workspace_follows_it(tmp_path, layout, capsys):
    release, films = small(tmp_path / "r"), tmp_path / "films"
    workspace = hydrate(
        release, tmp_path / "h", "--frames", put_frames(films, changed_copy(), layout)
    )
    before = workspace.manifest("clips").digest
    put_frames(films, PICTURES, layout)
    hydrate(release, tmp_path / "h", "--frames", films)
    assert coverage(workspace)["frames"]["same"] == 6
    assert workspace.manifest("clips").digest != before
    fresh = hydrate(release, tmp_path / "fresh", "--frames", films)
    for table in ("clips", "records", "pairs"):
        assert rows(workspace, table) == rows(fresh, table)


def test_a_damaged_tar_costs_its_film_and_is_said_to_be_damaged(tmp_path, capsys):
    films = put_frames(tmp_path / "films", PICTURES, "tars")
    tar = films / "240P" / "fb.tar"
    tar.write_bytes(tar.read_bytes()[:1500])
    release = small(tmp_path / "r")
    capsys.readouterr()
    workspace = hydrate(release, tmp_path / "h", "--frames", films)
    report = coverage(workspace)
    assert report["films"] == {"all": 3, "whole": 2, "in part": 0, "absent": 1}
    assert report["frames"]["joined"] == 4
    # Or it looks as if the user had not got the film.
    assert [str(tar) in problem for problem in report["problems"]] == [True]
    said = capsys.readouterr()
    assert "fb.tar" in said.out + said.err


def test_a_film_that_is_not_there_is_not_called_damaged(tmp_path):
    frames = {name: data for name, data in PICTURES.items() if not name.startswith("fb")}
    films = put_frames(tmp_path / "films", frames)
    workspace = hydrate(small(tmp_path / "r"), tmp_path / "h", "--frames", films)
    assert coverage(workspace)["problems"] == []
    assert coverage(workspace)["films"]["absent"] == 1


def test_a_workspace_of_another_release_is_made_that_of_this_one(tmp_path):
    one = small(tmp_path / "r1")
    other = write_release(
        tmp_path / "r2", [clip("fd_0000")], record("fd_0000", "target_test", {"sea": 1, "sky": 0})
    ).root
    hydrate(one, tmp_path / "h")
    workspace = hydrate(other, tmp_path / "h")
    assert [row["clip_id"] for row in rows(workspace, "records")] == ["fd_0000"] * 2
    assert rows(workspace, "pairs") == []


def test_a_damaged_zip_is_not_an_absent_one(tmp_path, capsys):
    films = put_frames(tmp_path / "films", PICTURES, "zip")
    (path,) = films.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    release = small(tmp_path / "r")
    argv = ["hydrate", str(release), "--workspace", str(tmp_path / "h"), "--frames", str(films)]
    assert main(argv) == 2
    said = capsys.readouterr()
    assert path.name in said.out + said.err
    assert Workspace(tmp_path / "h").manifest("clips") is None


def test_a_coverage_report_is_of_the_present_tables(tmp_path):
    """Without frames, none is covered: what an earlier run counted is no longer said."""
    release = small(tmp_path / "r")
    films = put_frames(tmp_path / "films", PICTURES)
    workspace = hydrate(release, tmp_path / "h", "--frames", films)
    assert coverage(workspace)["frames"]["joined"] == 6
    hydrate(release, tmp_path / "h")
    path = workspace.root / "coverage.json"
    assert not path.exists() or json.loads(path.read_bytes())["frames"]["joined"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bits", "65"), "give 0 to 64"), (("--bits", "-1"), "give 0 to 64"),
        (("--frames", "gone"), "no such folder"), (("--frames", "r/README.md"), "no such folder"),
        (("--frames", "empty"), "none of the release's 6 frames"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, capsys, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    (small(tmp_path / "r") / "README.md").write_text("a card")
    (tmp_path / "empty").mkdir()
    assert said in refused(capsys, "r", "--workspace", "h", *options)
    assert Workspace(tmp_path / "h").manifest("records") is None


def test_a_damaged_release_leaves_the_workspace_as_it_is(tmp_path, capsys):
    release = small(tmp_path / "r")
    root = hydrate(release, tmp_path / "h").root
    before = contents(root)
    path = release / "relevance" / "target_test.parquet"
    path.write_bytes(path.read_bytes()[:-4] + b"PAR2")
    assert "damaged" in refused(capsys, release, "--workspace", root)
    assert contents(root) == before


def test_a_folder_of_frames_is_no_release_to_hydrate(tmp_path, capsys):
    release = small(tmp_path / "r")
    manifest = json.loads((release / "manifest.json").read_bytes())
    manifest |= {"kind": "frames", "files": {}}
    (release / "manifest.json").write_text(json.dumps(manifest))
    assert "is a release of frames" in refused(capsys, release, "--workspace", tmp_path / "h")
