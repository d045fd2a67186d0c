"""One MovieNet in each layout gives one table; what is no MovieNet is said to be none."""

import hashlib
import json
import os
import zipfile

import pytest
from trees import (
    ONE,
    TWO,
    as_folders,
    as_tars,
    as_zips,
    clips_of,
    digest_of,
    dropped_of,
    frames,
    ids_of,
    ingest,
    put,
    small_files,
    story,
    two_films,
)

from lrmovienet.errors import ItemError, UserError
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.movienet.layout import Tree
from lrmovienet.workspace import Workspace

DEFLATED = zipfile.ZIP_DEFLATED


def deeper(files, folder):
    return {f"{folder}/{name}": data for name, data in files.items()}


def renamed(files, old, new):
    return {name.replace(old, new, 1): data for name, data in files.items()}


LAYOUTS = {
    "tars in 240p": lambda films: as_tars(films, "240p"),
    "folders": as_folders,
    "folders in 240p": lambda films: as_folders(films, "240p"),
    "zips": as_zips,
    "zips of 240p": lambda films: as_zips(films, folder="240p"),
    "zips, deflated tars": lambda films: as_zips(films, DEFLATED),
    "zips of tars without a folder": lambda films: as_zips(films, folder="."),
    "tars deeper": lambda films: deeper(as_tars(films), "MovieNet"),
    "zips deeper": lambda films: deeper(as_zips(films), "raw files"),
    "deflated deeper": lambda films: deeper(as_zips(films, DEFLATED), "raw"),
    "each part in a folder of its zip's name": lambda films: renamed(
        renamed(as_tars(films), "annotation/", "annotation.v1/annotation/"), "meta/", "meta.v1/"
    ),
    "keyframes deeper than the rest": lambda films: renamed(
        as_tars(films), "240P/", "movie1K.keyframes.240p.v1/240P/"
    ),
    "films of folders, the rest zips": lambda films: {
        k: v for k, v in (as_zips(films) | as_folders(films)).items() if "keyframes" not in k
    },
    "a larger size beside it": lambda films: as_tars(films) | {f"720P/{ONE}.tar": b"no tar"},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The workspace made of the plainest layout."""
    folder = tmp_path_factory.mktemp("plain")
    assert ingest(folder / "w", put(folder / "movienet", as_tars(two_films()))) == 0
    return folder / "w"


def test_stories_become_clips(tmp_path, capsys):
    root = put(tmp_path / "movienet", as_tars(two_films()))
    assert ingest(tmp_path / "w", root) == 0
    lines = capsys.readouterr().out.splitlines()
    tables = [line.split(", ")[0] for line in lines if not line.startswith(" ")]
    assert tables == ["films: 2 rows", "clips: 4 rows"]
    rows = clips_of(tmp_path / "w")
    refs = [[k["ref"].split("/")[1] for k in row.pop("keyframes")] for row in rows]
    assert rows[1] == {
        "clip_id": "tt0120338_0001", "movie_id": ONE, "title": "Titanic (1997)",
        "genres": ["Drama", "Romance"], "description": "Scene 1 of tt0120338.", "shot": [3, 8],
        "frame": [300, 899], "start_s": 12.0, "end_s": 35.96,
    }  # fmt: skip
    assert ids_of(tmp_path / "w") == [
        "tt0120338_0000", "tt0120338_0001", "tt0120338_0002", "tt12345678_0000",
    ]  # fmt: skip
    assert (rows[3]["title"], rows[3]["genres"], rows[3]["description"]) == (None, [], "Été.")
    # Both ends of a range belong to it: shots 0 and 1 are six frames, all of them kept.
    assert refs[0] == [f"shot_000{s}_img_{i}.jpg" for s in (0, 1) for i in range(3)]
    # Shots 3 to 8 are 18 frames; of each three the middle one is kept.
    assert refs[1] == [f"shot_000{s}_img_1.jpg" for s in range(3, 9)]
    assert refs[2] == [f"shot_0009_img_{i}.jpg" for i in range(3)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_table_and_readers_find_the_frames(tmp_path, plain, layout):
    root = put(tmp_path / "movienet", LAYOUTS[layout](two_films()))
    before = {path: path.stat().st_size for path in root.rglob("*")}
    assert ingest(tmp_path / "w", root) == 0
    assert digest_of(tmp_path / "w") == digest_of(plain)
    ours, theirs = (Workspace(w).require("clips") for w in (tmp_path / "w", plain))
    assert ours.inputs == theirs.inputs, "names of inputs do not hang on the layout"
    assert ours.config == theirs.config
    everything = frames(ONE, 10) | frames(TWO, 1)
    reader = KeyframeReader(frames_root(Workspace(tmp_path / "w")))
    for row in clips_of(tmp_path / "w"):
        for keyframe in row["keyframes"]:
            data = reader.read(keyframe["ref"], keyframe["sha256"])
            assert data == everything[keyframe["ref"]]
            assert keyframe["sha256"] == hashlib.sha256(data).hexdigest()
    assert {ref: reader.read(ref) for ref in reader.refs(ONE)} == frames(ONE, 10)
    assert {path: path.stat().st_size for path in root.rglob("*")} == before


def test_the_table_films_is_the_same_too(tmp_path, plain):
    root = put(tmp_path / "movienet", as_zips(two_films(), DEFLATED))
    assert ingest(tmp_path / "w", root) == 0
    ours, theirs = (Workspace(w).require("films") for w in (tmp_path / "w", plain))
    assert ours.digest == theirs.digest


def test_folders_come_before_zips(tmp_path):
    films, others = two_films(), two_films()
    others[1].stories = [story(ONE, 0, [0, 1], description="of the zip")]
    put(tmp_path / "movienet", as_zips(others))
    put(tmp_path / "movienet", small_files(films))
    assert ingest(tmp_path / "w", tmp_path / "movienet") == 0
    assert clips_of(tmp_path / "w")[0]["description"] == "Scene 0 of tt0120338."


def test_a_zip_in_capitals_is_read_or_not_counted_as_keyframes(tmp_path):
    files = as_zips(two_films())
    name = "movie1K.keyframes.240p.v1.zip"
    put(tmp_path / "m", renamed(files, name, name.replace(".zip", ".ZIP")))
    assert ingest(tmp_path / "w", tmp_path / "m") == 2 or len(ids_of(tmp_path / "w")) == 4


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (("meta", "240P"), "not a MovieNet tree: no annotation/, annotation.v1/ or annotation.v1"),
        (("annotation", "meta"), "has annotations, but no keyframes: no 240P/ and no movie1K.key"),
        ((), "not a MovieNet tree"),
    ],
)
def test_what_is_no_tree(tmp_path, capsys, kept, message):
    files = as_tars(two_films())
    root = put(tmp_path / "m", {k: v for k, v in files.items() if k.split("/")[0] in kept})
    root.mkdir(exist_ok=True)
    assert ingest(tmp_path / "w", root) == 2
    err = capsys.readouterr().err
    assert f"{root}: {message}" in err
    assert f"lrmovienet doctor {root}" in err
    assert not (tmp_path / "w" / "clips").exists()


def test_no_folder_and_no_story(tmp_path, capsys):
    assert ingest(tmp_path / "w", tmp_path / "nowhere") == 2
    assert "nowhere: no such folder. Give the folder that holds your Mov" in capsys.readouterr().err
    assert ingest(tmp_path / "w", put(tmp_path / "m", as_tars(two_films()[2:]))) == 2
    assert "has annotations, but no keyframes" in capsys.readouterr().err
    (tmp_path / "m/240P").mkdir()
    assert ingest(tmp_path / "w", tmp_path / "m") == 2
    assert "annotation: no JSON file has a story." in capsys.readouterr().err


def damaged(files, what):
    """The files of two films, something of the first damaged."""
    annotation, meta, tar = f"annotation/{ONE}.json", f"meta/{ONE}.json", f"240P/{ONE}.tar"
    change = {
        "annotation cut": {annotation: files[annotation][:-20]},
        "annotation empty": {annotation: b""},
        "annotation is a list": {annotation: b"[]"},
        "annotation nested": {annotation: b"[" * 200_000},
        "annotation of another film": {annotation: b'{"imdb_id": "tt7654321"}'},
        "story is text": {annotation: b'{"story": "once"}'},
        "meta cut": {meta: b'{"title": '},
        "meta genres": {meta: b'{"genres": "Drama"}'},
        "meta title": {meta: b'{"title": ["Titanic"]}'},
        "tar cut": {tar: files[tar][:4000]},
        "tar is text": {tar: b"no tar\n" * 1000},
        "tar is empty": {tar: b""},
    }
    return files | change[what]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("annotation cut", f"annotation/{ONE}.json: not readable JSON"),
        ("annotation empty", f"annotation/{ONE}.json: not readable JSON"),
        ("annotation is a list", f"annotation/{ONE}.json: holds no JSON object"),
        ("annotation nested", f"annotation/{ONE}.json: not readable JSON"),
        ("annotation of another film", f"{ONE}.json: says that it is of film 'tt7654321'"),
        ("story is text", f"annotation/{ONE}.json: 'story' is 'once', expected a list or null"),
        ("meta cut", f"meta/{ONE}.json: not readable JSON"),
        ("meta genres", f"meta/{ONE}.json: 'genres' is 'Drama', expected a list of names"),
        ("meta title", f"meta/{ONE}.json: 'title' is ['Titanic'], expected text"),
        ("tar cut", f"{ONE}.tar: not a readable tar (unexpected end of data)"),
        ("tar is text", f"{ONE}.tar: not a readable tar"),
        ("tar is empty", f"{ONE}.tar: not a readable tar"),
    ],
)
def test_a_damaged_film_stops_the_run_or_is_left_out(tmp_path, capsys, what, message):
    root = put(tmp_path / "movienet", damaged(as_tars(two_films()), what))
    assert ingest(tmp_path / "w", root) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert err.count(f"{ONE}.json") + err.count(f"{ONE}.tar") == 1, "said once"
    if what.startswith("tar"):
        assert "clips: 1 of 2 failed; the table was not written. What succeeded is kept" in err
    else:
        assert "some files cannot be read; nothing was done." in err
        assert "--skip_failed" in err
        assert not (tmp_path / "w").exists()
    assert Workspace(tmp_path / "w").manifest("clips") is None

    assert ingest(tmp_path / "w", root, "--skip_failed") == 0
    assert ids_of(tmp_path / "w") == ["tt12345678_0000"]
    dropped = dict(dropped_of(tmp_path / "w"))
    assert message in dropped[ONE]


def test_all_films_damaged_is_an_error_even_with_skip_failed(tmp_path, capsys):
    files = as_tars(two_films())
    files |= {f"240P/{film}.tar": b"x" for film in (ONE, TWO)}
    assert ingest(tmp_path / "w", put(tmp_path / "m", files), "--skip_failed") == 2
    assert "clips: 2 of 2 failed; the table was not written." in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_only_looks_like_an_annotation_is_no_traceback(tmp_path, capsys, kind):
    root = put(tmp_path / "m", as_tars(two_films()))
    path = root / "annotation/tt0000009.json"
    path.mkdir() if kind == "folder" else path.symlink_to(tmp_path / "gone")
    assert ingest(tmp_path / "w", root, "--skip_failed") in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_film_whose_frames_are_gone_can_be_left_out(tmp_path):
    """Large files are often links into another place, which may be unplugged."""
    root = put(tmp_path / "m", as_folders(two_films()))
    (root / f"240P/{ONE}/shot_0000_img_0.jpg").unlink()
    (root / f"240P/{ONE}/shot_0000_img_0.jpg").symlink_to(tmp_path / "unplugged")
    assert ingest(tmp_path / "w", root, "--skip_failed") == 0
    assert f"{TWO}_0000" in ids_of(tmp_path / "w")


@pytest.mark.parametrize("name", [b"a film.json", b"tt\\1.json", b"tt\xff.json", b"-.json"])
def test_file_names_that_are_no_film_ids(tmp_path, capsys, name):
    root = put(tmp_path / "m", as_tars(two_films()))
    path = root / "annotation" / os.fsdecode(name)
    path.write_bytes(json.dumps({"story": [story("x", 0, [0, 0])]}).encode())
    assert ingest(tmp_path / "w", root) == 2
    assert "the file's name is no film id such as tt1210166" in capsys.readouterr().err
    assert ingest(tmp_path / "w", root, "--skip_failed") == 0
    assert len(ids_of(tmp_path / "w")) == 4


@pytest.mark.parametrize("name", ["meta.v1.zip", "movie1K.shot_detection.v1.zip"])
def test_a_damaged_zip_of_titles_or_shots_is_said(tmp_path, capsys, name):
    """Without a word, all films would lose their titles, or the bounds of their clips."""
    files = as_zips(two_films())
    files[name] = files[name][:50]
    ingest(tmp_path / "w", put(tmp_path / "m", files))
    said = capsys.readouterr()
    assert name in said.err + said.out


def test_small_files_too_large_are_not_read(tmp_path, capsys):
    root = put(tmp_path / "m", as_tars(two_films()))
    for name in (f"annotation/{ONE}.json", "movie1K.split.v1.json"):
        with (root / name).open("wb") as file:
            file.truncate(64_000_001)
    assert ingest(tmp_path / "w", root) == 2
    assert f"{ONE}.json: larger than 32000000 bytes" in capsys.readouterr().err
    with pytest.raises(ItemError, match=r"split\.v1\.json: larger than 32000000 bytes"):
        Tree.find(root).split_films()


def test_lists_of_films_are_checked(tmp_path):
    root = put(
        tmp_path / "m",
        {
            "a_split.json": b'{"train": ["tt2", "tt1"], "test": []}',
            "b_split.json": b'{"train": ["tt3", "tt1"]}',
            "MovieNet_shot_num.json": b'{"train": {"tt1": 12}, "test": {"tt2": 3}}',
        },
    )
    tree = Tree.find(root)
    assert tree.split_films() == {"train": ["tt1", "tt2", "tt3"], "test": []}
    assert tree.expected_shots() == {"tt1": 12, "tt2": 3}
    for bad in (b'{"train": "tt1"}', b'{"train": [1]}', b"[]", b"", b"[" * 100_000):
        (root / "a_split.json").write_bytes(bad)
        with pytest.raises(UserError, match=r"a_split\.json: "):
            tree.split_films()
    for bad in (b'{"train": ["tt1"]}', b'{"train": {"tt1": true}}', b'{"tt1": 3}'):
        (root / "MovieNet_shot_num.json").write_bytes(bad)
        with pytest.raises(UserError, match=r"shot_num\.json: expected numbers of shots"):
            tree.expected_shots()
