"""Archives that are whole, but not quite as MovieNet's: told apart from films without frames."""

import pytest
from trees import (
    ONE,
    as_tars,
    as_zips,
    clips_of,
    ids_of,
    ingest,
    put,
    small_files,
    tar_of,
    tars,
    two_films,
    zip_of,
)

from lrmovienet.places import films_in

KEYFRAMES = "movie1K.keyframes.240p.v1.zip"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("{film}/shot_0000_img0.jpg", "shot_0000_img0.jpg"),
        ("shot_0000_img_0.jpg", "shot_0000_img_0.jpg"),
        ("frames/{film}/shot_0000_img_0.jpg", "frames/"),
    ],
)
def test_frames_by_other_names_are_told_and_not_taken_for_none(tmp_path, capsys, name, told):
    other = {f"240P/{ONE}.tar": tar_of({name.format(film=ONE): b"jpeg"})}
    root = put(tmp_path / "m", as_tars(two_films()) | other)
    assert ingest(tmp_path / "w", root) == 2
    err = capsys.readouterr().err
    assert f"{ONE}.tar: has no {ONE}/shot_0000_img_0.jpg or the like, but" in err
    assert told in err


def test_a_zip_of_unpacked_pictures_says_so(tmp_path, capsys):
    pictures = {f"240P/{ONE}/shot_0000_img_0.jpg": b"jpeg"}
    root = put(tmp_path / "m", small_files(two_films()) | {KEYFRAMES: zip_of(pictures)})
    assert ingest(tmp_path / "w", root) == 2
    assert "has no 240P/<film>.tar in it, but such as" in capsys.readouterr().err


def test_macs_own_files_in_a_zip_are_no_films(tmp_path):
    films = two_films()
    zips = as_zips(films)
    more = {f"__MACOSX/240P/._{ONE}.tar": b"x", "240P/._tt1.tar": b"x"} | tars(films)
    root = put(tmp_path / "m", zips | {KEYFRAMES: zip_of(more)})
    assert films_in(root / KEYFRAMES) == {film.movie_id for film in films if film.pictures}
    assert ingest(tmp_path / "w", root) == 0


def test_capitals_in_the_names_of_zips(tmp_path):
    zips = {name.replace(".zip", ".ZIP"): data for name, data in as_zips(two_films()).items()}
    assert ingest(tmp_path / "w", put(tmp_path / "m", zips)) == 0
    assert len(ids_of(tmp_path / "w")) == 4
    assert clips_of(tmp_path / "w")[0]["title"] is not None


def test_endless_stories_are_refused(tmp_path, capsys):
    endless = b'{"story": [' + b"{}," * 10_000 + b"{}]}"
    files = as_tars(two_films()) | {f"annotation/{ONE}.json": endless}
    assert ingest(tmp_path / "w", put(tmp_path / "m", files)) == 2
    assert "has 10001 stories; no film has more than 10000" in capsys.readouterr().err
