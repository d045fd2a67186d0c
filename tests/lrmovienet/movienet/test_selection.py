"""Which films and stories are taken: --films, --split, --min_words, --min_consistency."""

import json

import pytest
from trees import ONE, TWO, as_tars, clips_of, dropped_of, ids_of, ingest, put, story, two_films

SPLIT = {"train": ["tt9999999", TWO], "val": [], "test": [ONE], "full": [ONE, TWO]}


@pytest.fixture
def root(tmp_path):
    files = as_tars(two_films()) | {"movie1K.split.v1.json": json.dumps(SPLIT).encode()}
    return put(tmp_path / "m", files)


def films_of(workspace):
    return sorted({row["movie_id"] for row in clips_of(workspace)})


@pytest.mark.parametrize(
    ("given", "films"),
    [
        ([ONE], [ONE]),
        ([TWO, ONE, TWO], [ONE, TWO]),
        ([ONE, "tt0000001"], [ONE]),  # which has no story
        (["list.txt"], [ONE, TWO]),
        ([TWO, "list.txt"], [ONE, TWO]),
    ],
)
def test_films_by_id_and_by_file(tmp_path, root, given, films):
    put(tmp_path, {"list.txt": f"{ONE}\r\n\n  {TWO}\n".encode()})
    named = [str(tmp_path / g) if g.endswith(".txt") else g for g in given]
    assert ingest(tmp_path / "w", root, "--films", f"[{','.join(named)}]") == 0
    assert films_of(tmp_path / "w") == films


@pytest.mark.parametrize(
    ("split", "films"), [("train", [TWO]), ("test", [ONE]), ("full", [ONE, TWO])]
)
def test_films_of_a_split(tmp_path, root, split, films):
    assert ingest(tmp_path / "w", root, "--split", split) == 0
    assert films_of(tmp_path / "w") == films


def test_films_and_split_are_both_held_to(tmp_path, root, capsys):
    assert ingest(tmp_path / "w", root, "--split", "full", "--films", f"[{TWO}]") == 0
    assert films_of(tmp_path / "w") == [TWO]
    assert ingest(tmp_path / "v", root, "--split", "test", "--films", f"[{TWO}]") == 2
    assert "no film with an annotation is left by --films and --split" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--films", "[tt7]"], "--films: tt7: no annotation of it below"),
        (["--films", f"[tt7,{ONE},tt8]"], "--films: tt7, tt8: no annotation of them below"),
        (["--films", "[a,b,c,d,e,f,g]"], "--films: a, b, c, d, e and 2 more: no annotation"),
        (["--films", "[tt0000001]"], "no JSON file of the 1 chosen films has a story"),
        (["--split", "dev"], "--split dev: no such split; there is full, test, train, val."),
        (["--split", "val"], "no film with an annotation is left by --films and --split"),
    ],
)
def test_what_is_not_there(tmp_path, root, capsys, options, message):
    assert ingest(tmp_path / "w", root, *options) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "w" / "clips").exists()


def test_a_split_without_a_split_file(tmp_path, root, capsys):
    (root / "movie1K.split.v1.json").unlink()
    assert ingest(tmp_path / "w", root, "--split", "train") == 2
    assert "there is none: no movie1K.split.v1.json was found" in capsys.readouterr().err


def test_an_empty_list_of_films_is_not_all_of_a_split(tmp_path, root):
    put(tmp_path, {"list.txt": b"\n"})
    for more in ([], ["--split", "full"]):
        options = ["--films", f"[{tmp_path / 'list.txt'}]", *more]
        assert ingest(tmp_path / "w", root, *options) == 2, more


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_as_editors_save_them(tmp_path, root, capsys, encoding):
    put(tmp_path, {"list.txt": f"{ONE}\n".encode(encoding)})
    status = ingest(tmp_path / "w", root, "--films", f"[{tmp_path / 'list.txt'}]")
    if encoding == "utf-16":
        assert status == 2
        assert "list.txt" in capsys.readouterr().err
    else:
        assert films_of(tmp_path / "w") == [ONE]


def test_words_and_consistency(tmp_path):
    films = two_films()
    films[1].stories = [
        story(ONE, 0, [0, 0], description="one two three", consistency=0.5),
        story(ONE, 1, [1, 1], description="one two", consistency=1),
        story(ONE, 2, [2, 2], description="one two three four", consistency=None),
    ]
    put(tmp_path / "m", as_tars(films[1:]))
    assert ingest(tmp_path / "w", tmp_path / "m", "--min_words", "3") == 0
    assert ids_of(tmp_path / "w") == [f"{ONE}_0000", f"{ONE}_0002"]
    assert (f"{ONE}_0001", "too few words: 2, wanted are 3 or more") in dropped_of(tmp_path / "w")
    assert ingest(tmp_path / "w", tmp_path / "m", "--min_consistency", "0.5") == 0
    assert ids_of(tmp_path / "w") == [f"{ONE}_0000", f"{ONE}_0001"]
    assert ingest(tmp_path / "w", tmp_path / "m", "--min_consistency", "0.6") == 0
    assert ids_of(tmp_path / "w") == [f"{ONE}_0001"]
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    assert len(ids_of(tmp_path / "w")) == 3
