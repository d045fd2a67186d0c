import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ingesting import HEADER, finished, ingest

from lrmovienet.cli import main
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.video.given import movie_id_of
from lrmovienet.workspace import Workspace

DEMO = Path(__file__).parents[3] / "demo"
COMMAND = [sys.executable, "-c", "from lrmovienet.cli import entry; entry()", "ingest"]


def write_bad_films(folder: Path, films) -> dict[str, str]:
    """Bad films, and what is to be said of each."""
    bunny = (DEMO / "bigbuckbunny.mp4").read_bytes()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("This is not a film.\n" * 500)
    (folder / "half.mp4").write_bytes(bunny[: len(bunny) // 2])
    (folder / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(20_000))
    (folder / "codec.avi").write_bytes((films / "b.avi").read_bytes().replace(b"MJPG", b"ZZZZ"))
    return {
        "missing.mp4": "there is no such file",
        "empty.mp4": "the file is empty",
        "text.mp4": "not a video that can be opened",
        "half.mp4": "not a video that can be opened: another kind of file, or cut off so that",
        "noise.mkv": "not a video that can be opened",
        "codec.avi": "has no decoder. Re-encode it: ffmpeg -i IN -c:v libx264 OUT.mp4",
    }


@pytest.mark.parametrize("number", range(6))
def test_bad_films(tmp_path, films, workspace, capsys, number):
    name, message = list(write_bad_films(tmp_path, films).items())[number]
    (tmp_path / "d.csv").write_text(f"video,description\n{name},Nothing.\n")
    before = finished(workspace)
    assert ingest(workspace, tmp_path / name, tmp_path / "d.csv") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 of 1 videos cannot be read; nothing was done" in captured.err
    assert f"{tmp_path / name}: " in captured.err
    assert message in captured.err
    assert captured.err.count("\n") == 2
    assert finished(workspace) == before


def test_all_bad_films_are_listed_at_once_and_the_libraries_are_silent(tmp_path, films):
    bad = write_bad_films(tmp_path, films)
    (tmp_path / "d.csv").write_text("video,description\n")
    videos = "[" + ", ".join(str(tmp_path / name) for name in bad) + f", {films}/a.avi]"
    options = ["--workspace", tmp_path / "w", "--videos", videos, "--descriptions", "d.csv"]
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    head, *lines = done.stderr.splitlines()
    assert f"error: {len(bad)} of {len(bad) + 1} videos cannot be read" in head
    assert [Path(line.split(": ")[0].strip()).name for line in lines] == sorted(bad)
    for line in lines:
        assert bad[Path(line.split(": ")[0].strip()).name] in line
    assert not (tmp_path / "w").exists()


def test_a_playlist_that_calls_itself_a_film_opens_no_connection(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        (tmp_path / "list.mp4").write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n"
        )
        (tmp_path / "d.csv").write_text("video,description\nlist.mp4,Nothing.\n")
        assert ingest(tmp_path / "w", tmp_path / "list.mp4", tmp_path / "d.csv") == 2
        with pytest.raises(TimeoutError):
            server.accept()
    assert "list.mp4: not a video that can be opened" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty. Its first line must be: video,description,"),
        (b" \n\n", "the file is empty"),
        (b"video,description\n", "has no rows. Add one row a clip."),
        (b"video;description\na.avi;x\n", "its columns are separated by ';'; save it with commas."),
        (b"video,text\na.avi,x\n", "missing column 'description'; unknown column 'text'. Its fi"),
        (b"video,description,start\na.avi,x,1\n", "unknown column 'start'. Its first line must"),
        (b"video,video,description\na.avi,a,x\n", "column 'video' twice"),
        (b"video,description\na.avi,\n", "line 2: the description of a.avi is blank. Write"),
        (b"video,description\na.avi, \t\n", "line 2: the description of a.avi is blank"),
        (b"video,description\n,x\n", "line 2: column 'video' is empty"),
        (b"video,description\na.avi,x, y\n", "line 2: more values than columns. Put quotes"),
        (b"video,description\na.avi,\xe9t\xe9\n", "d.csv, line 2: not UTF-8 text (byte 0xe9). S"),
        (b'video,description\na.avi,"x\n', "not readable as CSV (unexpected end of data)"),
        (b"video,description\na.avi,x\nz.avi,y\n", "line 3: z.avi is not among --videos (a.avi)"),
        (b"video,description\nz.avi,y\n", "no row describes a.avi. Add one, or leave the video"),
        (b"video,description\na.avi,x\na.avi,y\n", "line 3: duplicate clip, a.avi with the tim"),
    ],
)
def test_bad_descriptions(
    tmp_path, films, workspace, capsys,
    text, message,
):  # fmt: skip
    (tmp_path / "d.csv").write_bytes(text)
    before = finished(workspace)
    assert ingest(workspace, films / "a.avi", tmp_path / "d.csv") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"lrmovienet ingest: error: {tmp_path / 'd.csv'}")
    assert message in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert finished(workspace) == before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.avi,x,1,1\n", "line 2: a.avi: start_s 1 is not before end_s 1"),
        ("a.avi,x,1.5,0.5\n", "line 2: a.avi: start_s 1.5 is not before end_s 0.5"),
        ("a.avi,x,1,\n", "line 2: a.avi has only one of start_s and end_s. Give both or neither"),
        ("a.avi,x,,1\n", "line 2: a.avi has only one of start_s and end_s"),
        ("a.avi,x,zero,1\n", "line 2: start_s is 'zero'; expected seconds such as 12.5"),
        ("a.avi,x,-1,1\n", "line 2: start_s is '-1'; expected seconds such as 12.5, 0 or more"),
        ("a.avi,x,0,nan\n", "line 2: end_s is 'nan'; expected seconds"),
        ("a.avi,x,0,inf\n", "line 2: end_s is 'inf'; expected seconds"),
        ('a.avi,x,0,"1,5"\n', "line 2: end_s is '1,5'; expected seconds"),
        ("a.avi,x,0,2.1\n", "line 2: end_s 2.1 is beyond the end of a.avi, which lasts 2.00 s"),
        ("a.avi,x,0,1\na.avi,y,0,1.0\n", "line 3: duplicate clip, a.avi with the times of line 2"),
        ("a.avi,x,0,1\na.avi,y,,\n", "line 2: line 3 makes the whole of a.avi one clip. Give st"),
    ],
)
def test_bad_times(tmp_path, films, capsys, rows, message):
    (tmp_path / "d.csv").write_text(HEADER + rows)
    assert ingest(tmp_path / "w", films / "a.avi", tmp_path / "d.csv") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_all_bad_rows_are_listed(tmp_path, films, capsys):
    (tmp_path / "d.csv").write_text(HEADER + "a.avi,,,\na.avi,x,1,0\n" + "a.avi,y,0,1\n" * 11)
    assert ingest(tmp_path / "w", films / "a.avi", tmp_path / "d.csv") == 2
    err = capsys.readouterr().err
    assert [f"line {n}:" in err for n in (2, 3, 4, 5, 12, 13)] == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]
    assert "… and 2 more" in err


def test_rows_in_any_order_are_numbered_in_time(tmp_path, films):
    text = "\ufeff" + HEADER.replace("\n", ",title,genres\r\n")
    text += "a.avi,later,1,2,T,Drama| Crime |\r\n\r\n"
    text += 'other/a.avi," early, ""so"" ",0,1,,\r\na.avi,overlapping,0.5,0.9\r\n'
    (tmp_path / "d.csv").write_bytes(text.encode())
    assert ingest(tmp_path / "w", films / "a.avi", tmp_path / "d.csv") == 0
    rows = Workspace(tmp_path / "w").read("clips").to_pylist()
    assert [(r["clip_id"], r["description"]) for r in rows] == [
        ("a_0000", 'early, "so"'), ("a_0001", "overlapping"), ("a_0002", "later"),
    ]  # fmt: skip
    assert [r["frame"] for r in rows] == [[0, 24], [12, 22], [25, 49]]
    assert [r["shot"] for r in rows] == [[0, 0], [0, 0], [1, 1]]
    assert {(r["title"], *r["genres"]) for r in rows} == {("T", "Drama", "Crime")}  # the film's


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give either --videos with --descriptions, or --movienet"),
        (["--videos", "a", "--movienet", "b"], "give either --videos with --descriptions, or"),
        (["--videos", "a.avi"], "--videos needs --descriptions FILE: a CSV"),
        (["--movienet", "a", "--descriptions", "d.csv"], "--descriptions goes with --videos"),
        (["--videos", "[]", "--descriptions", "d.csv"], "--videos is empty"),
        (["--videos", "no*.mp4", "--descriptions", "d.csv"], "no file matches this pattern"),
        (["--videos", "{films}", "--descriptions", "d.csv"], "is a folder; give its files"),
        (["--videos", "{films}/a.avi", "--descriptions", "no.csv"], "no.csv: no such file of d"),
        (["--videos", "a", "--descriptions", "d", "--height", "0"], "--height is 0; it must be"),
        (["--videos", "a", "--descriptions", "d", "--height", "9"], "--height is 9; give 10 to 43"),
        (["--videos", "a", "--descriptions", "d", "--height", "10000"], "--height is 10000; give"),
        (["--videos", "a", "--descriptions", "d", "--min_shot", "101"], "--min_shot is 101; give"),
        (["--videos", "a", "--descriptions", "d", "--threshold=-1"], "--threshold is -1.0; it"),
    ],
)
def test_wrong_options(
    tmp_path, films, capsys,
    options, message,
):  # fmt: skip
    options = [option.replace("{films}", str(films)) for option in options]
    assert main(["ingest", "--workspace", str(tmp_path / "w"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_two_films_may_not_share_an_id(tmp_path, films, capsys):
    shutil.copy(films / "b.avi", tmp_path / "a.mkv")
    assert ingest(tmp_path / "w", f"[{films}/a.avi, {tmp_path}/a.mkv]", films / "d.csv") == 2
    assert (
        f"{films}/a.avi and {tmp_path}/a.mkv would both be the film 'a'" in capsys.readouterr().err
    )


def test_movie_ids_are_safe_file_names():
    assert movie_id_of(Path("x/nasa_13013.mp4")) == "nasa_13013"
    assert movie_id_of(Path("My film (1997).v2.mkv")) == "My_film_1997_.v2"
    assert movie_id_of(Path("...mp4")) == "_"
    assert movie_id_of(Path("e\u0301te\u0301.mp4")) == "été"
    assert movie_id_of(Path("a\\b\n.mp4")) == "a_b_"


def test_a_name_with_blanks_goes_all_the_way(tmp_path, films):
    shutil.copy(films / "b.avi", tmp_path / "My film, *one*.avi")
    (tmp_path / "d.csv").write_text('video,description\n"My film, *one*.avi",Bright.\n')
    assert ingest(tmp_path / "w", tmp_path / "My film, *one*.avi", tmp_path / "d.csv") == 0
    workspace = Workspace(tmp_path / "w")
    (row,) = workspace.read("clips").to_pylist()
    assert (row["clip_id"], row["movie_id"]) == ("My_film_one__0000", "My_film_one_")
    assert KeyframeReader(frames_root(workspace)).read(row["keyframes"][0]["ref"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "a.avi,x,0,1,A,\na.avi,y,1,2,B,\n",
            "line 3: title 'B', but 'A' on line 2. A film has one; w",
        ),
        ("a.avi,x,0,1,,War\na.avi,y,1,2,,Drama\n", "line 3: genres Drama, but War on line 2."),
    ],
)
def test_a_film_has_one_title_and_its_genres(tmp_path, films, capsys, rows, message):
    (tmp_path / "d.csv").write_text(HEADER.replace("\n", ",title,genres\n") + rows)
    assert ingest(tmp_path / "w", films / "a.avi", tmp_path / "d.csv") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_contradiction_names_both_lines_whichever_comes_first_in_the_film(
    tmp_path, films, capsys
):
    """Line 3 is the earlier in the film, so the other is not above it."""
    text = HEADER.replace("\n", ",title,genres\n") + "a.avi,y,1,2,Second,\na.avi,x,0,1,First,\n"
    (tmp_path / "d.csv").write_text(text)
    assert ingest(tmp_path / "w", films / "a.avi", tmp_path / "d.csv") == 2
    said = capsys.readouterr().err
    assert "line 2" in said
    assert "line 3" in said


def test_keyframes_of_any_height_are_found_again(tmp_path, films):
    (tmp_path / "d.csv").write_text("video,description\nb.avi,Dark.\n")
    for height in ("10", "100", "1080", "4320"):
        workspace = tmp_path / height
        assert ingest(workspace, films / "b.avi", tmp_path / "d.csv", "--height", height) == 0
        (row,) = Workspace(workspace).read("clips").to_pylist()
        reader = KeyframeReader(frames_root(Workspace(workspace)))
        assert all(reader.read(k["ref"], k["sha256"]) for k in row["keyframes"])
