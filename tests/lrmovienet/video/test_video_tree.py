import hashlib
import json
from pathlib import Path

import pytest
from ingesting import HEADER, dropped, ingest, make_video, rows
from written_films import DARK, LIGHT, colour_in, decoded, number_in

from lrmovienet.cli import main
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.movienet.annotation import parse_annotation, parse_meta, parse_shots
from lrmovienet.video.decode import Clock
from lrmovienet.video.tree import annotation_of
from lrmovienet.workspace import Workspace

DEMO = Path(__file__).parents[3] / "demo"
TITLED = HEADER.replace("\n", ",title,genres\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A film of shots 0-19, 20-54, 55-70 and 71-110 with seven clips, and one of a single clip."""
    folder = tmp_path_factory.mktemp("made")
    make_video(folder / "film.mp4", [20, 35, 16, 40])
    make_video(folder / "other.mkv", [30])
    (folder / "d.csv").write_text(
        TITLED + "film.mp4,A,0,0.8,The film,Drama|War\nfilm.mp4,B,0.8,2.84\nfilm.mp4,C,1,1.2\n"
        "film.mp4,D,1.2,1.28\nfilm.mp4,E,1.28,1.36\nfilm.mp4,F,0,4.44\nfilm.mp4,G,0.5,1.5\n"
        "other.mkv,H\n"
    )
    assert ingest(folder / "w", f"[{folder}/film.mp4, {folder}/other.mkv]", folder / "d.csv") == 0
    return folder


def refs(row):
    return [k["ref"].removeprefix("film/") for k in row["keyframes"]]


def names(*pairs):
    return [f"shot_{s:04d}_img_{i}.jpg" for s, i in pairs]


def test_the_files_are_those_of_a_movienet_tree(made):
    root = made / "w/frames"
    assert sorted(str(p.relative_to(root)) for p in root.rglob("*.*")) == [
        ".ingest.json", "240P/film.tar", "240P/other.tar", "annotation/film.json",
        "annotation/other.json", "meta/film.json", "meta/other.json",
        "shot_detection/film.txt", "shot_detection/other.txt",
    ]  # fmt: skip
    data = (root / "shot_detection/film.txt").read_bytes()
    assert data == b"0 19 4 8 12\n20 54 28 36 44\n55 70 58 61 64\n71 110 80 89 98\n"
    assert [shot.keyframes for shot in parse_shots(data)][1] == (28, 36, 44)
    annotation = json.loads((root / "annotation/film.json").read_bytes())
    assert set(annotation) == {"imdb_id", "cast", "scene", "story", "cinematic_style"}
    assert annotation["imdb_id"] == "film"
    first, *_ = annotation["story"]
    assert first == {
        "id": "film_0000", "shot": [0, 0], "frame": [0, 19], "duration": [0.0, 0.8],
        "consistency": None, "description": "A", "subtitle": [],
    }  # fmt: skip
    assert parse_annotation("film", (root / "annotation/film.json").read_bytes()).unknown == []
    assert parse_meta((root / "meta/film.json").read_bytes()) == ("The film", ["Drama", "War"])
    assert json.loads((root / "meta/other.json").read_bytes()) == {
        "imdb_id": "other", "title": None, "genres": [],
    }  # fmt: skip


def test_clips_have_the_shots_frames_and_keyframes_of_their_stretch(made):
    clips = {r["description"]: r for r in rows(Workspace(made / "w"))}
    assert {d: (r["shot"], r["frame"]) for d, r in clips.items()} == {
        "A": ([0, 0], [0, 19]), "B": ([1, 2], [20, 70]), "C": ([1, 1], [25, 29]),
        "D": ([1, 1], [30, 31]), "E": ([1, 1], [32, 33]), "F": ([0, 3], [0, 110]),
        "G": ([0, 1], [12, 37]), "H": ([0, 0], [0, 29]),
    }  # fmt: skip
    assert refs(clips["A"]) == names((0, 0), (0, 1), (0, 2))
    assert refs(clips["B"]) == names(*[(s, i) for s in (1, 2) for i in range(3)])
    # Frames 25 to 29 hold the keyframe at 28 only; a clip that holds none gets the nearest.
    assert refs(clips["C"]) == names((1, 0))
    assert refs(clips["D"]) == names((1, 0))
    assert refs(clips["E"]) == names((1, 1))
    # Frames 12 to 37 hold 12 of the first shot's 4, 8, 12 and 28, 36 of the second's 28, 36, 44.
    assert refs(clips["G"]) == names((0, 2), (1, 0), (1, 1))
    assert refs(clips["F"]) == names((0, 1), (1, 0), (1, 2), (2, 1), (3, 0), (3, 2))
    assert [(clips[d]["title"], clips[d]["genres"]) for d in "AGH"] == [
        ("The film", ["Drama", "War"]), ("The film", ["Drama", "War"]), (None, []),
    ]  # fmt: skip
    assert (clips["F"]["start_s"], clips["F"]["end_s"]) == (0.0, 4.44)
    assert (clips["H"]["start_s"], clips["H"]["end_s"]) == (0.0, pytest.approx(1.2, abs=1e-6))


def test_the_pictures_of_a_clip_are_of_its_frames(made):
    reader = KeyframeReader(made / "w/frames")
    for row in rows(Workspace(made / "w")):
        shown = [number_in(decoded(reader.read(k["ref"], k["sha256"]))) for k in row["keyframes"]]
        nearest = row["description"] in "DE"
        assert all(row["frame"][0] - 8 * nearest <= n <= row["frame"][1] + 8 * nearest
                   for n in shown)  # fmt: skip
        assert shown == sorted(shown)
    (first,) = [r for r in rows(Workspace(made / "w")) if r["description"] == "A"]
    (second,) = [r for r in rows(Workspace(made / "w")) if r["description"] == "C"]
    for row, colour in ((first, DARK), (second, LIGHT)):
        for keyframe in row["keyframes"]:
            assert colour_in(decoded(reader.read(keyframe["ref"]))) == colour


def test_films_says_what_was_learned(made):
    films = {f["movie_id"]: f for f in rows(Workspace(made / "w"), "films")}
    film = films["film"]
    assert (film["file"], film["source"]) == ("film.mp4", "video")
    assert (film["shots"], film["frames"], film["notes"]) == (4, 111, [])
    assert film["fps"] == pytest.approx(25, abs=1e-9)
    assert len(film["ticks"]) == 111
    assert sum(film["ticks"]) * film["tick_s"] == pytest.approx(4.44, abs=1e-9)
    assert film["frames_sha256"] == sha256(made / "w/frames/240P/film.tar")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("options", [[], ["--frames_per_clip", "2"], ["--near_duplicates", "8"]])
def test_read_as_movienet_the_tree_gives_the_same_clips(made, tmp_path, options):
    ours = tmp_path / "ours"
    videos = f"[{made}/film.mp4, {made}/other.mkv]"
    assert ingest(ours, videos, made / "d.csv", *options) == 0
    theirs = tmp_path / "theirs"
    arguments = ["ingest", "--workspace", theirs, "--movienet", ours / "frames", *options]
    assert main([str(a) for a in arguments]) == 0
    assert Workspace(theirs).read("clips").equals(Workspace(ours).read("clips"))
    more = set(dropped(Workspace(theirs))) - set(dropped(Workspace(ours)))
    assert set(dropped(Workspace(ours))) <= set(dropped(Workspace(theirs)))
    assert more == {("other", "kept, no genres: meta names none")}


def test_the_demo(tmp_path, capsys):
    workspace = Workspace(tmp_path / "w")
    assert ingest(workspace.root, f"{DEMO}/*.mp4", DEMO / "descriptions.csv") == 0
    said = capsys.readouterr().out
    assert said.startswith("films: 2 rows")
    assert "\nclips: 3 rows" in said
    clips = rows(workspace)
    assert [(r["clip_id"], r["shot"], r["frame"], r["start_s"], r["end_s"]) for r in clips] == [
        ("bigbuckbunny_0000", [0, 0], [0, 131], 0.0, 5.28),
        ("nasa_13013_0000", [0, 1], [0, 201], 0.0, 8.08),
        ("nasa_13013_0001", [2, 2], [202, 324], 8.08, 13.0),
    ]
    assert [r["genres"] for r in clips] == [["Animation", "Comedy"]] + [["Documentary"]] * 2
    assert [len(r["keyframes"]) for r in clips] == [3, 6, 3]
    listed = (tmp_path / "w/frames/shot_detection/nasa_13013.txt").read_text()
    assert listed == "0 126 31 62 93\n127 201 145 163 181\n202 324 232 262 292\n"
    manifest = workspace.require("clips")
    assert manifest.config["frames_root"] == "frames"
    assert set(manifest.inputs) == {"bigbuckbunny.mp4", "nasa_13013.mp4", "descriptions.csv"}
    for table in ("films", "clips"):
        for path in (tmp_path / "w" / table).iterdir():
            assert str(tmp_path).encode() not in path.read_bytes()


def test_the_credits_name_the_files_that_are_there():
    text = (DEMO / "CREDITS.md").read_text()
    for film in DEMO.glob("*.mp4"):
        assert sha256(film) in text


def test_a_clip_past_the_last_frame_by_hand():
    """Ten frames a second, of which 20 are left: 2 s."""
    clock, shots = Clock(0.1, [1] * 20), [(0, 9), (10, 19)]
    clips = [
        {"start_s": a, "end_s": b, "description": "x"}
        for a, b in ((None, None), (0.5, 1.0), (0.9, 1.1), (1.5, 9.0), (2.0, 3.0), (5.0, 6.0))
    ]
    story = annotation_of("m", clips, clock, shots)["story"]
    assert [s["frame"] for s in story[:4]] == [[0, 19], [5, 9], [9, 10], [15, 19]]
    assert [s["shot"] for s in story] == [[0, 1], [0, 0], [0, 1], [1, 1], None, None]
    assert all(s["frame"][0] > 19 for s in story[4:])
    assert [s["duration"] for s in story[:2]] == [[0.0, 2.0], [0.5, 1.0]]


SRT = """1
00:00:00,500 --> 00:00:01,000
<i>Who is</i> there?

2
00:00:01,000 --> 00:00:01,900
Nobody.

3
00:00:03,000 --> 00:00:09,000
It stands longer than the film.

4
00:00:20,000 --> 00:00:21,000
Subtitles by someone.
"""


def test_subtitles_go_all_the_way(tmp_path, made):
    """The film lasts 4.44 s: the third subtitle straddles its end, the fourth is beyond it."""
    (tmp_path / "film.en.srt").write_text(SRT)
    options = ["--window_s", "2"]
    assert ingest(tmp_path / "w", made / "film.mp4", tmp_path / "*.srt", *options) == 0
    workspace = Workspace(tmp_path / "w")
    clips = rows(workspace)
    assert [(r["clip_id"], r["description"], r["frame"]) for r in clips] == [
        ("film_0000", "Who is there? Nobody.", [12, 47]),
        ("film_0001", "It stands longer than the film.", [75, 110]),
    ]
    assert [(r["start_s"], r["end_s"]) for r in clips] == [(0.5, 1.9), (3.0, pytest.approx(4.44))]
    ((reason,),) = [[r for c, r in dropped(workspace) if c == "film_0002"]]
    assert reason.startswith("beyond the end: frame 500, the last shot ends at 110")


def test_json_lines_give_the_clips_of_a_csv(tmp_path, made):
    table = (made / "d.csv").read_text().splitlines()[1:]
    with (tmp_path / "d.jsonl").open("w") as file:
        for line in table:
            cells = dict(zip(TITLED.strip().split(","), line.split(","), strict=False))
            file.write(json.dumps(cells) + "\n")
    videos = f"[{made}/film.mp4, {made}/other.mkv]"
    assert ingest(tmp_path / "w", videos, tmp_path / "d.jsonl") == 0
    assert Workspace(tmp_path / "w").read("clips").equals(Workspace(made / "w").read("clips"))
