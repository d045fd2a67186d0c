import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lrmovienet.cli import main
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.workspace import Workspace


def story(film: str, number: int, shot: list[int], **changes: Any) -> dict[str, Any]:
    whole = {
        "id": f"{film}_{number:04d}",
        "shot": shot,
        "frame": [shot[0] * 100, shot[1] * 100 + 99],
        "duration": [shot[0] * 4.0, shot[1] * 4.0 + 4],
        "consistency": 0.9,
        "description": f"Scene {number} of {film}.",
        "subtitle": [{"shot": shot[0], "duration": [0, 1], "sentences": ["Hello."]}],
    }
    return whole | changes


def frames(film: str, shots: int) -> dict[str, bytes]:
    return {
        f"{film}/shot_{s:04d}_img_{i}.jpg": f"{film} {s} {i}".encode()
        for s in range(shots)
        for i in range(3)
    }


def write_film(
    root: Path, film: str, stories: Any, pictures: dict[str, bytes], tar: bool = True
) -> None:
    annotation = {"imdb_id": film, "cast": None, "scene": None, "story": stories}
    meta = {"imdb_id": film, "title": "Titanic (1997)", "genres": ["Drama", "Romance"]}
    for folder, value in (("annotation", annotation), ("meta", meta)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / f"{film}.json").write_text(json.dumps(value))
    (root / "240P").mkdir(exist_ok=True)
    if not tar:
        (root / "240P" / film).mkdir()
        for name, data in pictures.items():
            (root / "240P" / name).write_bytes(data)
        return
    with tarfile.open(root / "240P" / f"{film}.tar", "w") as file:
        for name, data in pictures.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))


def make_tree(root: Path, tar: bool = True) -> Path:
    one, two = "tt0120338", "tt12345678"
    stories = [story(one, 0, [0, 1]), story(one, 1, [3, 8]), story(one, 2, [9, 9], duration=None)]
    write_film(root, two, [story(two, 0, [0, 0], description="  Été. \n")], frames(two, 1), tar)
    write_film(root, one, stories, frames(one, 10), tar)
    write_film(root, "tt0000001", None, {}, tar)
    write_film(root, "tt0000002", [], {}, tar)
    (root / "meta" / f"{two}.json").unlink()
    return root


def ingest(workspace: Path, root: Path, *options: str) -> int:
    return main(["ingest", "--workspace", str(workspace), "--movienet", str(root), *options])


def test_stories_become_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, workspace = make_tree(tmp_path / "movienet"), Workspace(tmp_path / "w")
    assert ingest(workspace.root, root) == 0
    assert capsys.readouterr().out.startswith("clips: 4 rows")
    rows = workspace.read("clips").to_pylist()
    assert [r["clip_id"] for r in rows] == [
        "tt0120338_0000", "tt0120338_0001", "tt0120338_0002", "tt12345678_0000",
    ]  # fmt: skip
    refs = [[k["ref"].removeprefix("tt0120338/") for k in r.pop("keyframes")] for r in rows]
    assert rows[1] == {
        "clip_id": "tt0120338_0001", "movie_id": "tt0120338", "title": "Titanic (1997)",
        "genres": ["Drama", "Romance"], "description": "Scene 1 of tt0120338.", "shot": [3, 8],
        "frame": [300, 899], "start_s": 12.0, "end_s": 36.0,
    }  # fmt: skip
    assert (rows[2]["start_s"], rows[2]["end_s"]) == (None, None)
    assert (rows[3]["title"], rows[3]["genres"], rows[3]["description"]) == (None, [], "Été.")
    # Both ends of a range belong to it: shots 0 and 1 are six frames, all of them kept.
    assert refs[0] == [f"shot_000{s}_img_{i}.jpg" for s in (0, 1) for i in range(3)]
    # Shots 3 to 8 are 18 frames; of each three the middle one is kept.
    assert refs[1] == [f"shot_000{s}_img_1.jpg" for s in range(3, 9)]
    assert refs[2] == [f"shot_0009_img_{i}.jpg" for i in range(3)]


def test_hashes_are_those_of_the_frames_and_readers_find_them(tmp_path: Path) -> None:
    root, workspace = make_tree(tmp_path / "movienet"), Workspace(tmp_path / "w")
    assert ingest(workspace.root, root) == 0
    manifest = workspace.require("clips")
    assert manifest.config["frames_root"] == "../movienet"
    assert set(manifest.inputs) == {
        "annotation/tt0120338.json", "annotation/tt12345678.json", "meta/tt0120338.json",
    }  # fmt: skip
    reader = KeyframeReader(frames_root(workspace))
    everything = frames("tt0120338", 10) | frames("tt12345678", 1)
    for row in workspace.read("clips").to_pylist():
        for keyframe in row["keyframes"]:
            data = reader.read(keyframe["ref"], keyframe["sha256"])
            assert data == everything[keyframe["ref"]]
            assert keyframe["sha256"] == hashlib.sha256(data).hexdigest()


def test_tars_and_folders_give_the_same_table(tmp_path: Path) -> None:
    for tar, name in ((True, "tars"), (False, "folders")):
        assert ingest(tmp_path / "w" / name, make_tree(tmp_path / name, tar)) == 0
    tars, folders = (Workspace(tmp_path / "w" / n).require("clips") for n in ("tars", "folders"))
    assert tars.digest == folders.digest


def test_frames_per_clip(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "movienet")
    assert ingest(tmp_path / "w", root, "--frames-per-clip", "2") == 0
    rows = Workspace(tmp_path / "w").read("clips").to_pylist()
    assert [len(r["keyframes"]) for r in rows] == [2, 2, 2, 2]
    assert [k["ref"][-19:] for k in rows[0]["keyframes"]] == [
        "shot_0000_img_1.jpg", "shot_0001_img_1.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"description": None}, "the story has no description"),
        ({"description": " \n"}, "the story has no description"),
        ({"shot": [50, 60]}, "none of its shots 50 to 60 has a keyframe"),
        ({"shot": [3, 2]}, "the story's 'shot' is [3, 2], expected [first, last]"),
        ({"shot": [0, 2**31]}, "the story's 'shot' is [0, 2147483648], expected [first, last]"),
        ({"shot": [True, 1]}, "the story's 'shot' is [True, 1], expected [first, last]"),
        ({"frame": None}, "the story's 'frame' is None, expected [first, last]"),
        ({"duration": [0, float("nan")]}, "the story's 'duration' is [0, nan], expected [start"),
        ({"duration": [5, 4]}, "the story's 'duration' is [5, 4], expected [start, end]"),
        ({"id": "tt9999999_0001"}, "the story's id is 'tt9999999_0001', expected tt0120338_0000"),
        ({"id": None}, "the story's id is None, expected tt0120338_0000"),
        ({"id": "tt0120338_0000"}, "the film has several stories with the id tt0120338_0000"),
    ],
)
def test_stories_that_cannot_be_clips_are_dropped_with_a_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    film, workspace = "tt0120338", Workspace(tmp_path / "w")
    stories = [story(film, 0, [0, 0]), story(film, 1, [1, 1]) | changes, story(film, 2, [2, 2])]
    write_film(tmp_path / "m", film, stories, frames(film, 3))
    assert ingest(workspace.root, tmp_path / "m") == 0
    kept = workspace.read("clips")["clip_id"].to_pylist()
    dropped = workspace.read_dropped("clips").to_pylist()
    twice = changes.get("id") == "tt0120338_0000"
    assert kept == (["tt0120338_0002"] if twice else ["tt0120338_0000", "tt0120338_0002"])
    assert len(dropped) == (2 if twice else 1)
    assert all(row["reason"].startswith(reason) for row in dropped)


def damage(root: Path, what: str) -> None:
    annotation, meta = (root / d / "tt0120338.json" for d in ("annotation", "meta"))
    tar = root / "240P/tt0120338.tar"
    match what:
        case "annotation cut":
            annotation.write_bytes(annotation.read_bytes()[:-20])
        case "annotation is a list":
            annotation.write_text("[]")
        case "annotation nested":
            annotation.write_text("[" * 200_000)
        case "annotation of another film":
            annotation.write_text(annotation.read_text().replace('"tt0120338"', '"tt7654321"', 1))
        case "story is text":
            annotation.write_text('{"story": "once"}')
        case "meta cut":
            meta.write_text('{"title": ')
        case "meta genres":
            meta.write_text('{"genres": "Drama"}')
        case "tar cut":
            tar.write_bytes(tar.read_bytes()[:4000])
        case "tar is text":
            tar.write_text("no tar\n" * 1000)
        case "tar missing":
            tar.unlink()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("annotation cut", "annotation/tt0120338.json is not readable JSON"),
        ("annotation is a list", "annotation/tt0120338.json holds no JSON object"),
        ("annotation nested", "annotation/tt0120338.json is not readable JSON"),
        ("annotation of another film", "tt0120338.json: says that it is of film 'tt7654321'"),
        ("story is text", "'story' is 'once', expected a list or null"),
        ("meta cut", "meta/tt0120338.json is not readable JSON"),
        ("meta genres", "meta: 'genres' is 'Drama', expected a list of names"),
        ("tar cut", "tt0120338.tar: not a readable tar (unexpected end of data)"),
        ("tar is text", "tt0120338.tar: not a readable tar"),
        ("tar missing", "no keyframes of tt0120338 here; looked for 240P/tt0120338.tar"),
    ],
)
def test_damaged_films(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, message: str
) -> None:
    root, workspace = make_tree(tmp_path / "movienet"), Workspace(tmp_path / "w")
    damage(root, what)
    assert ingest(workspace.root, root) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "clips: 1 of 2 failed; the table was not written. What succeeded is kept" in err
    assert "Traceback" not in err
    assert err.count("tt0120338.json") + err.count("tt0120338.tar") <= 2
    assert workspace.manifest("clips") is None

    assert ingest(workspace.root, root, "--skip_failed") == 0
    assert workspace.read("clips")["clip_id"].to_pylist() == ["tt12345678_0000"]
    assert message in workspace.read_dropped("clips")["reason"].to_pylist()[0]


def test_a_second_run_does_nothing_and_a_change_does_one_film(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, workspace = make_tree(tmp_path / "movienet"), Workspace(tmp_path / "w")
    assert ingest(workspace.root, root) == 0
    before = {p.name: p.read_bytes() for p in (workspace.root / "clips").iterdir()}
    capsys.readouterr()
    assert ingest(workspace.root, root) == 0
    assert capsys.readouterr().out == "clips: up to date (4 rows)\n"
    assert {p.name: p.read_bytes() for p in (workspace.root / "clips").iterdir()} == before

    film = "tt12345678"
    write_film(root, film, [story(film, 0, [0, 1])], frames(film, 2))
    assert ingest(workspace.root, root) == 0
    assert "1 of 2 parts were there" in capsys.readouterr().out
    assert len(workspace.read("clips").to_pylist()[3]["keyframes"]) == 6


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("annotation", "missing in it: annotation/ (annotation.v1). Unpack"),
        ("240P", "missing in it: 240P/ (the 240p keyframes). Unpack"),
        ("all", "missing in it: annotation/ (annotation.v1) and 240P/ (the 240p"),
        ("stories", "no JSON file here has a story"),
    ],
)
def test_what_is_no_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str, message: str
) -> None:
    root = tmp_path / "movienet"
    write_film(root, "tt0000001", None, {})
    if missing == "all":
        root = tmp_path / "nowhere"
    elif missing != "stories":
        (root / missing).rename(tmp_path / "away")
    assert ingest(tmp_path / "w", root) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w" / "clips").exists()
