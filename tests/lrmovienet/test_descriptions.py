import json
from pathlib import Path

import pytest

from lrmovienet.descriptions import film_facts, read_descriptions, read_subtitles
from lrmovienet.errors import UserError

FILM = [Path("films/film.mp4")]


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refused(read, *arguments):
    with pytest.raises(UserError) as error:
        read(*arguments)
    return str(error.value)


def test_json_lines_say_what_a_csv_says(tmp_path):
    (tmp_path / "d.csv").write_text(
        "video,description,start_s,end_s,title,genres\n"
        'x/a.mp4,"One, two.",0,1.5,The film,Drama|War\na.mp4,Three.,1.5,20,,\nb.mp4,Four.,,,,\n'
    )
    path = jsonl(
        tmp_path / "d.jsonl",
        {"video": "x/a.mp4", "description": "One, two.", "start_s": 0, "end_s": 1.5,
         "title": "The film", "genres": ["Drama", "War"]},
        {"video": "a.mp4", "description": "Three.", "start_s": "1.5", "end_s": "20"},
        {"video": "b.mp4", "description": "Four.", "start_s": None, "end_s": None, "title": None,
         "genres": None},
    )  # fmt: skip
    by_csv, by_json = read_descriptions(tmp_path / "d.csv"), read_descriptions(path)
    assert [row[1:] for row in by_json] == [row[1:] for row in by_csv]
    assert by_json[0][1:] == ("a.mp4", "One, two.", 0.0, 1.5, "The film", ["Drama", "War"])
    assert by_json[1][3:] == (1.5, 20.0, None, [])
    assert [row.line for row in by_json] == [1, 2, 3]
    assert [row.line for row in by_csv] == [2, 3, 4]


def test_genres_as_text_and_other_endings(tmp_path):
    for name in ("d.jsonl", "d.ndjson", "D.JSONL"):
        path = jsonl(tmp_path / name, {"video": "a", "description": "x", "genres": "Drama| War |"})
        assert read_descriptions(path)[0].genres == ["Drama", "War"]


def test_blank_lines_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "d.jsonl"
    row = '{"video": "a", "description": "Été \u2028 im Süden"}'
    path.write_bytes(f"\ufeff\r\n{row}\r\n  \r\n\r\n".encode())
    (read,) = read_descriptions(path)
    assert read.line == 2
    assert read.description == "Été \u2028 im Süden"


def test_half_characters_become_replacement_characters(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text(
        r'{"video": "a", "description": "half \ud83d here", "genres": ["\udc00x"]}'
        "\n"
        r'{"video": "b", "description": "whole \ud83d\ude00"}'
        "\n"
    )
    first, second = read_descriptions(path)
    assert (first.description, first.genres) == ("half \ufffd here", ["\ufffdx"])
    assert second.description == "whole 😀"
    assert first.description.encode()


ROW = {"video": "a.mp4", "description": "x"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "genres": "War", "start_s": True, "end_s": 3}, "start_s is True; expected"),
        ({**ROW, "start_s": False, "end_s": 3}, "start_s is "),
        ({**ROW, "start_s": [1], "end_s": 3}, "start_s is [1]; expected"),
        ({**ROW, "start_s": 1}, "a.mp4 has only one of start_s and end_s. Give both or neither."),
        ({**ROW, "start_s": 3, "end_s": 3}, "start_s 3 is not before end_s 3"),
        ({**ROW, "start_s": float("nan"), "end_s": 3}, "start_s is 'nan'; expected seconds"),
        ({**ROW, "start_s": 0, "end_s": float("inf")}, "end_s is 'inf'; expected seconds"),
        ({**ROW, "start_s": -1, "end_s": 3}, "start_s is '-1'; expected seconds"),
        ({**ROW, "start_s": 0, "end_s": 10**400}, "end_s is "),
        ({**ROW, "title": 1917}, "title is 1917; expected text"),
        ({**ROW, "genres": [1]}, "genres is [1]; expected text"),
        ({**ROW, "genres": {"a": 1}}, "genres is {'a': 1}; expected text"),
        ({**ROW, "text": "x"}, "unknown name 'text'; known are video, description, start_s"),
        ({"video": "a.mp4", "description": None}, "the description of a.mp4 is blank"),
        ({"video": "a.mp4", "description": " \n"}, "the description of a.mp4 is blank"),
        ({"video": 1, "description": "x"}, "video is 1; expected text"),
        ({"description": "x"}, "'video' is empty. Write the video's file name"),
        (["a.mp4", "x"], "is ['a.mp4', 'x']; expected an object"),
        (7, "is 7; expected an object"),
        (None, "is None; expected an object"),
    ],
)
def test_wrong_objects_are_refused_with_their_line(tmp_path, row, message):
    said = refused(read_descriptions, jsonl(tmp_path / "d.jsonl", {**ROW, "video": "o"}, row))
    assert said.startswith(f"{tmp_path}/d.jsonl: rows are wrong:\n  line 2: ")
    assert message in said


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty. Each line must be an object with video, description,"),
        (b"\n  \n", "the file is empty"),
        (b'{"video": "a"', "line 1: not readable as JSON ("),
        (b"[" * 100_000, "line 1: not readable as JSON ("),
        (
            b'\n{"video": "a", "description": "\xe9"}\n',
            "d.jsonl, line 2: not UTF-8 text (byte 0xe9",
        ),
        (b"video,description\na,x\n", "line 1: not readable as JSON ("),
        (b'{"video": 1' + b"0" * 5000 + b"}", "line 1: not readable as JSON ("),
    ],
)
def test_wrong_files_of_json_lines(tmp_path, data, message):
    (tmp_path / "d.jsonl").write_bytes(data)
    assert message in refused(read_descriptions, tmp_path / "d.jsonl")


def test_clips_said_twice_are_refused_whatever_the_format(tmp_path):
    path = jsonl(
        tmp_path / "d.jsonl", {**ROW, "start_s": 0, "end_s": 1},
        {**ROW, "start_s": "0.0", "end_s": 1.0}, ROW,
    )  # fmt: skip
    said = refused(read_descriptions, path)
    assert "line 2: duplicate clip, a.mp4 with the times of line 1." in said
    assert "line 3 makes the whole of a.mp4 one clip" in said


def test_a_films_title_and_genres_may_stand_on_any_row(tmp_path):
    path = jsonl(
        tmp_path / "d.jsonl", {**ROW, "start_s": 0, "end_s": 1},
        {**ROW, "start_s": 1, "end_s": 2, "title": "T"},
        {**ROW, "start_s": 2, "end_s": 3, "genres": ["War"], "title": "T"},
    )  # fmt: skip
    rows = read_descriptions(path)
    assert film_facts(rows) == ("T", ["War"], [])
    assert film_facts([]) == (None, [], [])


def srt(*events):
    """(start, end, text) in seconds."""

    def clock(seconds):
        ms = round(seconds * 1000)
        return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    return "".join(
        f"{i}\n{clock(a)} --> {clock(b)}\n{text}\n\n" for i, (a, b, text) in enumerate(events, 1)
    )


def stretches(tmp_path, text, window_s, name="film.srt"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    rows = read_subtitles([tmp_path / name], FILM, window_s)
    assert {row.video for row in rows} == {"film.mp4"}
    assert [row.line for row in rows] == list(range(1, len(rows) + 1))
    return [(row.start_s, row.end_s, row.description) for row in rows]


def test_windows_by_hand(tmp_path):
    """Ten seconds at most, from the first subtitle's beginning to the last one's end."""
    text = srt(
        (1, 3, "one"), (4, 6, "two"), (9, 11, "three"),  # 1 to 11 is ten seconds
        (11, 12, "four"), (20, 21, "five"),  # 11 to 21
        (21.001, 40, "long"), (41, 42, "last"),
    )  # fmt: skip
    assert stretches(tmp_path, text, 10) == [
        (1, 11, "one two three"), (11, 21, "four five"), (21.001, 40, "long"), (41, 42, "last"),
    ]  # fmt: skip
    assert stretches(tmp_path, text, 9.999)[0] == (1, 6, "one two")
    assert len(stretches(tmp_path, text, 0.001)) == 7
    assert len(stretches(tmp_path, text, 41)) == 1


def test_overlapping_and_unordered_subtitles(tmp_path):
    text = srt((5, 6, "third"), (0, 9, "first"), (1, 2, "second"), (8, 20, "fourth"))
    # "first" stands until 9: the stretch with it and the two inside lasts nine seconds.
    assert stretches(tmp_path, text, 10) == [(0, 9, "first second third"), (8, 20, "fourth")]
    assert stretches(tmp_path, text, 20) == [(0, 20, "first second third fourth")]


def test_what_is_said_is_plain_text(tmp_path):
    text = srt(
        (0, 1, "<i>Where</i>\n<b>are</b>  <font color='#fff'>you</font>?"), (1, 2, "{\\an8}Here!"),
        (2, 3, "<i></i>"), (3, 3, "no time at all"), (4, 5, "3 < 4 & 5"),
    )  # fmt: skip
    assert stretches(tmp_path, text, 60) == [(0, 5, "Where are you? Here! 3 < 4 & 5")]


def test_other_kinds_of_subtitles(tmp_path):
    vtt = "WEBVTT\n\n00:01.500 --> 00:03.000\n<v Ann>Hello.\n\n00:04.000 --> 00:05.000\nBye.\n"
    assert stretches(tmp_path, vtt, 60, "film.vtt") == [(1.5, 5, "Hello. Bye.")]
    ass = (
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
        "Format: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,Not said.\n"
        "Dialogue: 0,0:00:01.50,0:00:03.00,Default,,0,0,0,,{\\i1}Hello.{\\i0}\\NYou.\n"
        "Dialogue: 0,0:00:03.50,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}\n"
        "Dialogue: 0,0:00:04.00,0:00:05.00,Default,,0,0,0,,Bye.\n"
    )
    assert stretches(tmp_path, ass, 60, "film.ass") == [(1.5, 5, "Hello. You. Bye.")]


@pytest.mark.parametrize("name", ["film.srt", "film.en.srt", "film.EN-us.srt"])
def test_a_subtitle_file_belongs_to_the_film_of_its_name(tmp_path, name):
    assert stretches(tmp_path, srt((0, 1, "x")), 60, name) == [(0, 1, "x")]


def test_a_film_with_a_dot_in_its_name_goes_first(tmp_path):
    (tmp_path / "film.en.srt").write_text(srt((0, 1, "x")))
    videos = [Path("film.mp4"), Path("film.en.mkv")]
    (row,) = read_subtitles([tmp_path / "film.en.srt"], videos, 60)
    assert row.video == "film.en.mkv"


@pytest.mark.parametrize("name", ["other.srt", "film.mp4.en.srt", "Film.srt", "film.a.b.srt"])
def test_a_subtitle_file_of_no_film_is_refused(tmp_path, name):
    (tmp_path / name).write_text(srt((0, 1, "x")))
    said = refused(read_subtitles, [tmp_path / name], FILM, 60)
    assert said == f"{tmp_path / name}: no video is named like it. Rename it."


def test_two_films_of_a_name_and_two_files_for_a_film(tmp_path):
    for name in ("film.srt", "film.en.srt"):
        (tmp_path / name).write_text(srt((0, 1, "x")))
    both = [tmp_path / "film.en.srt", tmp_path / "film.srt"]
    said = refused(read_subtitles, both, FILM, 60)
    assert f"{both[1]}: {both[0]} is of film.mp4 too; give one of them." in said
    said = refused(read_subtitles, both[1:], [Path("film.mp4"), Path("film.mkv")], 60)
    assert "videos are all named like it: film.mp4, film.mkv. Rename it." in said


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf\n\n", "not readable as subtitles ("),
        (b"1\n00:00:00,000 --> 00:00:01,000\n<i></i>\n", "has no subtitles. Is it an SRT file?"),
        (b"Hello, this is a letter.\n", "film.srt: "),
        (
            b"1\n00:00:00,000 --> 00:00:01,000\ncaf\xe9\n",
            "iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW",
        ),
        (b"\xff\xfe1\x00\n\x00", "is UTF-16 text. Save it in UTF-8: iconv -f UTF-16"),
        (bytes(range(32)) * 9, "film.srt: "),
    ],
)
def test_files_that_are_no_subtitles(tmp_path, data, message):
    (tmp_path / "film.srt").write_bytes(data)
    said = refused(read_subtitles, [tmp_path / "film.srt"], FILM, 60)
    assert said.startswith(f"{tmp_path}/film.srt")
    assert message in said


def test_a_missing_file(tmp_path):
    said = refused(read_subtitles, [tmp_path / "film.srt"], FILM, 60)
    assert said == f"{tmp_path}/film.srt: no such file of subtitles."


def test_subtitles_that_last_no_time_are_counted(tmp_path, caplog):
    cues = [("00:00:01,000", "00:00:01,000"), ("00:00:03,000", "00:00:02,000"),
            ("00:00:04,000", "00:00:05,000")]  # fmt: skip
    text = "".join(f"{i}\n{a} --> {b}\nSaid {i}.\n\n" for i, (a, b) in enumerate(cues))
    (tmp_path / "film.srt").write_text(text)
    (row,) = read_subtitles([tmp_path / "film.srt"], FILM, 60)
    assert row.description == "Said 2."
    assert "2 subtitles last no time and are left out" in caplog.text


def test_a_subtitle_made_to_take_for_ever_is_cut(tmp_path):
    """Taking tags out of a long line costs the square of its length."""
    text = "1\n00:00:00,000 --> 00:00:01,000\nHello. " + "{\\" * 100_000 + "\n"
    (tmp_path / "film.srt").write_text(text)
    (row,) = read_subtitles([tmp_path / "film.srt"], FILM, 60)
    assert row.description.startswith("Hello.")
    assert len(row.description) <= 2000
