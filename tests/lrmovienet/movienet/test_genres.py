"""Genres from a file of one's own."""

import pytest
from trees import ONE, TWO, as_tars, clips_of, dropped_of, ingest, put, said_of, two_films

from lrmovienet.errors import UserError
from lrmovienet.movienet.genres import genres_from

IMDB = (
    "tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\t"
    "genres\n"
    'tt0120338\tmovie\t"Titanic\tTitanic\t0\t1997\t\\N\t194\tDrama,Romance\n'
    "tt12345678\tmovie\tÉté, 2\tÉté\t0\t\\N\t\\N\t\\N\t\\N\n"
    "tt0000009\tshort\tx\tx\t0\t\\N\t\\N\t\\N\tSci-Fi\n"
)


def read(tmp_path, text, name="genres.csv"):
    path = put(tmp_path, {name: text.encode() if isinstance(text, str) else text}) / name
    return genres_from(path)


def test_imdbs_own_list(tmp_path):
    """A quote that opens and never closes stays in its own line."""
    genres = read(tmp_path, IMDB, "title.basics.tsv")
    assert genres("tt0120338") == ["Drama", "Romance"]
    assert genres("tt12345678") is None
    assert genres("tt0000009") == ["Sci-Fi"]
    assert genres("tt0000010") is None


@pytest.mark.parametrize("column", ["movie_id", "imdb_id", "imdbid", "tconst"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_of_ones_own(tmp_path, column, mark):
    text = f'{mark}{column},note,genres\r\ntt1,"a\nb","Drama, War"\r\ntt2,,Drama|Film-Noir| \r\n'
    text += "tt1,,War|Western\r\n tt3 ,,\r\ntt4\r\ntt5,x,War,too,many\r\n"
    genres = read(tmp_path, text)
    assert genres("tt1") == ["Drama", "War", "Western"], "rows of one film are joined"
    assert genres("tt2") == ["Drama", "Film-Noir"]
    assert [genres("tt3"), genres("tt4"), genres("tt5")] == [None, None, ["War"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "its first line is ''; it needs a column 'genres' and one of movie_id, imdb_id"),
        ("film,genres\ntt1,x\n", "its first line is 'film,genres'"),
        ("movie_id;genres\ntt1;Drama\n", "its first line is 'movie_id;genres'"),
        ("movie_id,genre\n", "it needs a column 'genres'"),
        ("movie_id,genres\ntt1,Ét\n".encode("latin-1"), "not readable as a table in UTF-8"),
        ("movie_id,genres\ntt1,Drama\n".encode("utf-16"), "not readable as a table in UTF-8"),
        ('movie_id,genres\ntt1,"' + "x" * 200_000, "not readable as a table in UTF-8"),
    ],
)
def test_files_that_are_no_table(tmp_path, content, message):
    with pytest.raises(UserError) as error:
        read(tmp_path, content)
    assert message in str(error.value)
    assert "genres.csv: " in str(error.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"gone\.csv: cannot be read: No such file"):
        genres_from(tmp_path / "gone.csv")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        genres_from(tmp_path)


@pytest.mark.parametrize("name", ["title.basics.tsv", "own.csv"])
def test_genres_of_a_file_take_the_place_of_those_of_meta(tmp_path, capsys, name):
    own = "movie_id,genres\ntt0120338,Drama|Romance\n" if name == "own.csv" else IMDB
    files = as_tars(two_films())
    files[f"meta/{ONE}.json"] = b'{"title": "Titanic (1997)", "genres": ["Wrong"]}'
    files[f"meta/{TWO}.json"] = b'{"title": "Two", "genres": ["Wrong"]}'
    put(tmp_path / "m", files)
    put(tmp_path, {name: own.encode()})
    assert ingest(tmp_path / "w", tmp_path / "m", "--genres", str(tmp_path / name)) == 0
    rows = clips_of(tmp_path / "w")
    assert [r["genres"] for r in rows] == [["Drama", "Romance"]] * 3 + [[]]
    assert [r["title"] for r in rows] == ["Titanic (1997)"] * 3 + ["Two"]
    why = "kept, no genres: the file given by --genres does not know the film"
    assert (TWO, why) in dropped_of(tmp_path / "w")
    capsys.readouterr()
    put(tmp_path, {name: own.replace("Drama", "War").encode()})
    assert ingest(tmp_path / "w", tmp_path / "m", "--genres", str(tmp_path / name)) == 0
    assert clips_of(tmp_path / "w")[0]["genres"] == ["War", "Romance"]
    assert "1 of 2 parts were there" in said_of("clips", capsys)


def test_a_missing_file_ends_the_run_with_2(tmp_path, capsys):
    put(tmp_path / "m", as_tars(two_films()))
    assert ingest(tmp_path / "w", tmp_path / "m", "--genres", str(tmp_path / "no.csv")) == 2
    assert "no.csv: cannot be read: No such file" in capsys.readouterr().err
