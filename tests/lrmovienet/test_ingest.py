import hashlib
import os
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from lrmovienet.cli import main
from lrmovienet.ingest import movie_id_of
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.workspace import Workspace

DEMO = Path(__file__).parents[2] / "demo"
COMMAND = [sys.executable, "-c", "from lrmovienet.cli import entry; entry()", "ingest"]


def make_video(path: Path, shots: list[int]) -> Path:
    """A film of 96 x 64 pixels, 25 frames a second, its shots dark and bright in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (96, 64))
    for number, length in enumerate(shots):
        for i in range(length):
            frame = np.full((64, 96, 3), 30 if number % 2 else 230, np.uint8)
            frame[:, i % 96] = 128
            writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    make_video(folder / "a.avi", [25, 25])
    make_video(folder / "b.avi", [50])
    (folder / "d.csv").write_text("video,description\na.avi,Dark then bright.\nb.avi,Bright.\n")
    return folder


def ingest(workspace: Path, videos: Path | str, descriptions: Path, *options: str) -> int:
    return main(
        ["ingest", "--workspace", str(workspace), "--videos", str(videos), "--descriptions",
         str(descriptions), *options]
    )  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def finished(workspace: Path) -> dict[str, bytes]:
    """The table and the frames that a failing run has to leave alone."""
    return content(workspace / "clips") | content(workspace / "frames")


@pytest.fixture(scope="session")
def made_before(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Path:
    folder = tmp_path_factory.mktemp("before")
    (folder / "before.csv").write_text("video,description\na.avi,As it was before.\n")
    assert ingest(folder / "w", films / "a.avi", folder / "before.csv") == 0
    return folder


@pytest.fixture
def workspace(tmp_path: Path, made_before: Path) -> Path:
    """A workspace with finished clips of one film, and the CSV they were made with beside it."""
    shutil.copytree(made_before, tmp_path, dirs_exist_ok=True)
    return tmp_path / "w"


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(tmp_path / "w")
    assert ingest(workspace.root, f"{DEMO}/*.mp4", DEMO / "descriptions.csv") == 0
    assert capsys.readouterr().out.startswith("clips: 3 rows")
    rows = workspace.read("clips").to_pylist()
    assert [(r["clip_id"], r["shot"], r["frame"], r["start_s"], r["end_s"]) for r in rows] == [
        ("bigbuckbunny_0000", [0, 0], [0, 131], 0.0, 5.28),
        ("nasa_13013_0000", [0, 1], [0, 201], 0.0, 8.08),
        ("nasa_13013_0001", [2, 2], [202, 324], 8.08, 13.0),
    ]
    assert [r["genres"] for r in rows] == [["Animation", "Comedy"]] + [["Documentary"]] * 2
    assert [len(r["keyframes"]) for r in rows] == [3, 6, 3]
    assert all(20 <= len(r["description"].split()) <= 45 for r in rows)
    reader = KeyframeReader(frames_root(workspace))
    for row in rows:
        for keyframe in row["keyframes"]:
            assert reader.read(keyframe["ref"], keyframe["sha256"])[:2] == b"\xff\xd8"
    listed = (tmp_path / "w/frames/shot_detection/nasa_13013.txt").read_text()
    assert listed == "0 126 31 62 93\n127 201 145 163 181\n202 324 232 262 292\n"
    manifest = workspace.require("clips")
    assert manifest.config["frames_root"] == "frames"
    assert set(manifest.inputs) == {"bigbuckbunny.mp4", "nasa_13013.mp4", "descriptions.csv"}
    assert str(tmp_path).encode() not in b"".join(content(tmp_path / "w" / "clips").values())


def test_the_credits_name_the_files_that_are_there() -> None:
    text = (DEMO / "CREDITS.md").read_text()
    for film in DEMO.glob("*.mp4"):
        assert hashlib.sha256(film.read_bytes()).hexdigest() in text


def test_a_second_run_does_nothing(
    tmp_path: Path, films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest(tmp_path / "w", f"[{films}/a.avi, {films}/b.avi]", films / "d.csv") == 0
    first = finished(tmp_path / "w")
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "w" / "frames").rglob("*.*")}
    capsys.readouterr()
    # Neither the order of the films nor that of the rows matters.
    (tmp_path / "d.csv").write_text("description,video\nBright.,b.avi\nDark then bright.,a.avi\n")
    assert ingest(tmp_path / "w", f"[{films}/b.avi, {films}/a.avi]", tmp_path / "d.csv") == 0
    assert capsys.readouterr().out == "clips: up to date (2 rows)\n"
    assert finished(tmp_path / "w") == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "w" / "frames").rglob("*.*")} == stamps


def test_processes_and_place_do_not_matter(tmp_path: Path, films: Path) -> None:
    (tmp_path / "other").mkdir()
    for name in ("a.avi", "b.avi", "d.csv"):
        shutil.copy(films / name, tmp_path / "other")
    assert ingest(tmp_path / "1", f"{films}/*.avi", films / "d.csv") == 0
    other = tmp_path / "other"
    assert ingest(tmp_path / "2", f"{other}/*.avi", other / "d.csv", "--processes", "2") == 0
    assert finished(tmp_path / "1") == finished(tmp_path / "2")


def test_only_what_changed_is_done_again(
    tmp_path: Path, films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "films"
    shutil.copytree(films, folder)
    assert ingest(tmp_path / "w", f"{folder}/*.avi", folder / "d.csv") == 0
    old = finished(tmp_path / "w")
    make_video(folder / "b.avi", [30, 30])
    capsys.readouterr()
    assert ingest(tmp_path / "w", f"{folder}/*.avi", folder / "d.csv") == 0
    assert "1 of 2 parts were there" in capsys.readouterr().out
    new = finished(tmp_path / "w")
    changed = {name for name in new if new[name] != old.get(name)}
    assert changed == {
        "part-00001.parquet", "manifest.json", "240P/b.tar", "shot_detection/b.txt",
    }  # fmt: skip
    (folder / "d.csv").write_text("video,description\na.avi,Other words.\nb.avi,Bright.\n")
    assert ingest(tmp_path / "w", f"{folder}/*.avi", folder / "d.csv") == 0
    assert "1 of 2 parts were there" in capsys.readouterr().out
    assert not (tmp_path / "w/.building/frames").exists()


@pytest.mark.parametrize("lost", ["240P/a.tar", "shot_detection/a.txt"])
def test_frames_that_were_deleted_are_made_again(
    tmp_path: Path, films: Path, workspace: Path, lost: str
) -> None:
    before = finished(workspace)
    (workspace / "frames" / lost).unlink()
    assert ingest(workspace, films / "a.avi", tmp_path / "before.csv") == 0
    assert finished(workspace) == before


def test_a_run_killed_before_frames_are_in_place_is_finished(
    tmp_path: Path, films: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    csv = tmp_path / "before.csv"
    with monkeypatch.context() as patched:
        patched.setattr("lrmovienet.ingest._publish", stop)
        assert ingest(workspace, films / "a.avi", csv, "--height", "32") == 130
    assert ingest(workspace, films / "a.avi", csv, "--height", "32") == 0
    assert ingest(tmp_path / "fresh", films / "a.avi", csv, "--height", "32") == 0
    assert finished(workspace) == finished(tmp_path / "fresh")


def test_a_failing_run_leaves_the_old_frames_too(
    tmp_path: Path, films: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = finished(workspace)
    cut = tmp_path / "b.avi"
    cut.write_bytes((films / "b.avi").read_bytes()[: (films / "b.avi").stat().st_size // 2])
    videos = f"[{films}/a.avi, {cut}]"
    assert ingest(workspace, videos, films / "d.csv", "--height", "32") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(
        "lrmovienet ingest: error: clips: 1 of 2 failed; the table was not written. What succeeded "
        "is kept for the next run.\n  b.avi: cut off or damaged: "
    )
    assert captured.err.count("\n") == 2
    assert finished(workspace) == before
    # Going back to the old options does not pick up what the failed run had prepared.
    assert ingest(workspace, films / "a.avi", tmp_path / "before.csv") == 0
    assert finished(workspace) == before
    # With the film repaired, only that film is left to do.
    shutil.copy(films / "b.avi", cut)
    assert ingest(workspace, videos, films / "d.csv", "--height", "32") == 0
    assert "1 of 2 parts were there" in capsys.readouterr().out
    assert ingest(tmp_path / "fresh", videos, films / "d.csv", "--height", "32") == 0
    assert finished(workspace) == finished(tmp_path / "fresh")


def test_films_can_be_skipped(tmp_path: Path, films: Path) -> None:
    (tmp_path / "b.avi").write_text("no film")
    videos = f"[{films}/a.avi, {tmp_path}/b.avi]"
    assert ingest(tmp_path / "w", videos, films / "d.csv", "--skip_failed") == 0
    workspace = Workspace(tmp_path / "w")
    assert workspace.read("clips")["clip_id"].to_pylist() == ["a_0000"]
    (dropped,) = workspace.read_dropped("clips").to_pylist()
    assert dropped["clip_id"] == "b"
    assert dropped["reason"].startswith("b.avi: not a video that can be opened")
    # Put right, it is taken up without another word.
    shutil.copy(films / "b.avi", tmp_path / "b.avi")
    assert ingest(tmp_path / "w", videos, films / "d.csv", "--skip_failed") == 0
    assert workspace.read("clips")["clip_id"].to_pylist() == ["a_0000", "b_0000"]


def write_bad_films(folder: Path, films: Path) -> dict[str, str]:
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
        "half.mp4": "not a video that can be opened: another kind of file, a codec that",
        "noise.mkv": "not a video that can be opened",
        "codec.avi": "re-encode it: ffmpeg -i IN -c:v libx264 OUT.mp4",
    }


@pytest.mark.parametrize("number", range(6))
def test_bad_films(
    tmp_path: Path, films: Path, workspace: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
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


def test_all_bad_films_are_listed_at_once_and_the_libraries_are_silent(
    tmp_path: Path, films: Path
) -> None:
    bad = write_bad_films(tmp_path, films)
    extra = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if extra:  # a real film whose decoder OpenCV lacks; it makes FFmpeg talk
        shutil.copy(Path(extra) / "open_video/av1_video.mkv", tmp_path)
        bad["av1_video.mkv"] = "Re-encode it: ffmpeg -i IN -c:v libx264 OUT.mp4"
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


def test_a_playlist_that_calls_itself_a_film_opens_no_connection(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


HEADER = "video,description,start_s,end_s\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty. Its first line must be: video,description,"),
        (b" \n\n", "the file is empty"),
        (b"video,description\n", "has no rows. Add one row a clip."),
        (b"video;description\na.avi;x\n", "missing column 'video'; missing column 'description';"),
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
    tmp_path: Path, films: Path, workspace: Path, capsys: pytest.CaptureFixture[str],
    text: bytes, message: str,
) -> None:  # fmt: skip
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
def test_bad_times(
    tmp_path: Path, films: Path, capsys: pytest.CaptureFixture[str], rows: str, message: str
) -> None:
    (tmp_path / "d.csv").write_text(HEADER + rows)
    assert ingest(tmp_path / "w", films / "a.avi", tmp_path / "d.csv") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_all_bad_rows_are_listed(
    tmp_path: Path, films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_rows_in_any_order_are_numbered_in_time(tmp_path: Path, films: Path) -> None:
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
    assert (rows[2]["title"], rows[2]["genres"]) == ("T", ["Drama", "Crime"])
    assert (rows[0]["title"], rows[0]["genres"]) == (None, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give either --videos with --descriptions, or --movienet"),
        (["--videos", "a", "--movienet", "b"], "give either --videos with --descriptions, or"),
        (["--videos", "a.avi"], "--videos needs --descriptions FILE.csv"),
        (["--movienet", "a", "--descriptions", "d.csv"], "--descriptions goes with --videos"),
        (["--videos", "[]", "--descriptions", "d.csv"], "--videos is empty"),
        (["--videos", "no*.mp4", "--descriptions", "d.csv"], "no file matches this pattern"),
        (["--videos", "{films}", "--descriptions", "d.csv"], "is a folder; give its files"),
        (["--videos", "{films}/a.avi", "--descriptions", "no.csv"], "no.csv: no such file of d"),
        (["--videos", "a", "--descriptions", "d", "--height", "0"], "--height is 0; it must be"),
        (["--videos", "a", "--descriptions", "d", "--threshold=-1"], "--threshold is -1.0; it"),
    ],
)
def test_wrong_options(
    tmp_path: Path, films: Path, capsys: pytest.CaptureFixture[str],
    options: list[str], message: str,
) -> None:  # fmt: skip
    options = [option.replace("{films}", str(films)) for option in options]
    assert main(["ingest", "--workspace", str(tmp_path / "w"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_two_films_may_not_share_an_id(
    tmp_path: Path, films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(films / "b.avi", tmp_path / "a.mkv")
    assert ingest(tmp_path / "w", f"[{films}/a.avi, {tmp_path}/a.mkv]", films / "d.csv") == 2
    assert (
        f"{films}/a.avi and {tmp_path}/a.mkv would both be the film 'a'" in capsys.readouterr().err
    )


def test_movie_ids_are_safe_file_names() -> None:
    assert movie_id_of(Path("x/nasa_13013.mp4")) == "nasa_13013"
    assert movie_id_of(Path("My film (1997).v2.mkv")) == "My_film_1997_.v2"
    assert movie_id_of(Path("...mp4")) == "_"
    assert movie_id_of(Path("e\u0301te\u0301.mp4")) == "été"
    assert movie_id_of(Path("a\\b\n.mp4")) == "a_b_"


def test_a_name_with_blanks_goes_all_the_way(tmp_path: Path, films: Path) -> None:
    shutil.copy(films / "b.avi", tmp_path / "My film, *one*.avi")
    (tmp_path / "d.csv").write_text('video,description\n"My film, *one*.avi",Bright.\n')
    assert ingest(tmp_path / "w", tmp_path / "My film, *one*.avi", tmp_path / "d.csv") == 0
    workspace = Workspace(tmp_path / "w")
    (row,) = workspace.read("clips").to_pylist()
    assert (row["clip_id"], row["movie_id"]) == ("My_film_one__0000", "My_film_one_")
    assert KeyframeReader(frames_root(workspace)).read(row["keyframes"][0]["ref"])


def test_a_full_disk(tmp_path: Path, workspace: Path) -> None:
    """The kernel lets no file grow over 60 kB, as a full disk would; the tar has some 110 kB."""
    before = finished(workspace)
    options = [
        "--workspace", workspace, "--videos", DEMO / "nasa_13013.mp4",
        "--descriptions", tmp_path / "d.csv",
    ]  # fmt: skip
    (tmp_path / "d.csv").write_text("video,description\nnasa_13013.mp4,A mirror.\n")
    done = subprocess.run(
        [*COMMAND, *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("lrmovienet ingest: error: ")
    assert "nasa_13013.tar: File too large. Finished tables are as they were" in done.stderr
    assert done.stderr.count("\n") == 1
    assert finished(workspace) == before
    assert not list(workspace.rglob("*.tmp"))


def test_a_really_full_disk(tmp_path: Path) -> None:
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    script = (
        'mount -t tmpfs -o size=80k tmpfs "$1" && shift && "$@"; code=$?; ls -A "$0"; exit $code'
    )
    options = [
        "--workspace", tiny / "w", "--videos", DEMO / "nasa_13013.mp4",
        "--descriptions", tmp_path / "d.csv",
    ]  # fmt: skip
    (tmp_path / "d.csv").write_text("video,description\nnasa_13013.mp4,A mirror.\n")
    unshare = ["unshare", "-rm", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*unshare, f"mount -t tmpfs tmpfs {tiny}"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("this machine lets nobody mount a small disk (unshare -rm)")
    done = subprocess.run(
        [*unshare, script, str(tiny / "w"), str(tiny), *COMMAND, *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "nasa_13013.tar: No space left on device. Finished tables" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "clips" not in done.stdout.split()
