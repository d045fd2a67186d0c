"""Every rule of the tables refuses what it should, by row and column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.labels import normal_form
from lrmovienet.errors import UserError
from lrmovienet.schema import IMAGE_LABELS, PREDICTIONS, RECORDS, TABLES
from lrmovienet.validation import from_columns, validate

GOOD = {
    "clip_id": ["c1"], "label": ["dog"], "score": [0.5], "frames_hit": [1],
    "frame_scores": [[0.5, None]], "threshold": [0.25], "tagger": ["t"],
}  # fmt: skip


@given(st.text())
def test_normal_form_is_reached_in_one_step(text):
    once = normal_form(text)
    assert normal_form(once) == once
    assert once == once.strip() and "  " not in once


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" Red \t Car\n", "red car"), ("E\u0301te\u0301", "\u00e9t\u00e9"), ("STRASSE", "strasse")],
)
def test_normal_form_by_hand(text, expected):
    assert normal_form(text) == expected


def test_good_rows_come_back_in_the_schema():
    rows = from_columns(dict(reversed(GOOD.items())), IMAGE_LABELS, "x")
    assert rows.schema == IMAGE_LABELS.schema
    assert rows.to_pydict() == GOOD


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("clip_id", "a b", "an id without spaces"),
        ("clip_id", "a/b", "an id without spaces"),
        ("clip_id", None, "an id without spaces"),
        ("label", "Dog", "lower-case"),
        ("label", "red  car", "single-spaced"),
        ("label", "e\u0301", "NFC"),
        ("label", "", "1 to 200"),
        ("label", "x" * 201, "1 to 200"),
        ("score", float("nan"), "from 0 to 1"),
        ("score", float("inf"), "from 0 to 1"),
        ("score", 1.1, "from 0 to 1"),
        ("score", -0.1, "from 0 to 1"),
        ("frames_hit", 0, "1 or more"),
        ("tagger", " ", "the tagger's name"),
    ],
)
def test_a_wrong_value_is_named(column, value, expected):
    with pytest.raises(UserError) as error:
        from_columns({**GOOD, column: [value]}, IMAGE_LABELS, "film.parquet")
    message = str(error.value)
    assert message.startswith("film.parquet: not a valid 'image_labels' table:")
    assert f"row 0, column '{column}'" in message
    assert expected in message
    assert len(message) < 400


def test_ten_are_listed_and_the_rest_counted():
    columns = {"clip_id": [f"c{i}" for i in range(25)], "label": ["X"] * 25, "score": [1.0] * 25}
    with pytest.raises(UserError) as error:
        from_columns(columns, PREDICTIONS, "x")
    lines = str(error.value).splitlines()
    assert [line.split(",")[0].strip() for line in lines[1:11]] == [f"row {i}" for i in range(10)]
    assert lines[11].strip() == "… and 15 more"
    assert len(lines) == 12


def test_a_repeated_key_is_named():
    columns = {"clip_id": ["a", "b", "a"], "label": ["x", "x", "x"], "score": [1.0, 2.0, 3.0]}
    with pytest.raises(UserError, match="row 2: repeats the key clip_id='a', label='x'"):
        from_columns(columns, PREDICTIONS, "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "missing column 'score'"),
        ({"extra": [1]}, "unknown column 'extra'"),
        ({"score": ["high"]}, "column 'score'"),
        ({"frames_hit": [1.5]}, "column 'frames_hit'"),
    ],
)
def test_wrong_columns_are_named(change, message):
    columns = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with pytest.raises(UserError, match=message):
        from_columns(columns, IMAGE_LABELS, "x")


def test_grades_may_be_missing_only_where_the_contract_says():
    row = {
        "clip_id": ["c"], "domain": ["target"], "split": ["target_pairs"], "position": [0],
        "label": ["x"], "grade": [None], "movie_id": ["m"], "genres": [[]], "source": ["image"],
    }  # fmt: skip
    assert from_columns(row, RECORDS, "x")["grade"].to_pylist() == [None]
    for column, value in (("grade", 3), ("grade", -1), ("domain", "both"), ("split", "test")):
        with pytest.raises(UserError, match=f"column '{column}'"):
            from_columns({**row, column: [value]}, RECORDS, "x")


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_is_valid(name):
    assert validate(TABLES[name].empty(), TABLES[name], "x").num_rows == 0


# One good row of each table, and every rule of its columns broken once.
ROW = {
    "films": {
        "movie_id": "tt1", "title": None, "genres": [], "source": "video", "file": None,
        "stories": 0, "shots": None, "frames": 3, "fps": 25.0, "fps_points": None,
        "fps_residual_s": 0.0, "fps_worst_s": None, "cast": [],
        "shots_include_end": True, "shots_by": None, "frames_include_end": None, "frames_by": "x",
        "tick_s": 0.04, "ticks": [1, 1, 2], "frames_sha256": None, "notes": [],
    },
    "clips": {
        "clip_id": "tt1_0000", "movie_id": "tt1", "title": None, "genres": [],
        "description": "A scene.", "shot": [0, 0], "frame": [0, 9], "start_s": None, "end_s": 1.5,
        "keyframes": [{"ref": "tt1/shot_0000_img_0.jpg", "sha256": "0" * 64}],
    },
    "image_labels": {
        "clip_id": "c", "label": "dog", "score": 1.0, "frames_hit": 1,
        "frame_scores": [None, 1.0], "threshold": 0.5, "tagger": "t",
    },
    "text_labels": {
        "clip_id": "c", "label": "dog", "kind": "event", "generator": "g", "prompt_version": "1",
        "rank": 0,
    },
    "candidates": {
        "clip_id": "c", "label": "dog", "position": 0,
        "sources": [{"kind": "image", "model": "m", "score": None}],
    },
    "dropped": {"clip_id": "c", "label": None, "stage": "clips", "reason": "no frames"},
    "screenings": {
        "clip_id": "c", "label": "dgo", "annotator": "ann", "verdict": "correct",
        "correction": "dog", "lead_time_s": 1.5, "created_at": None, "guidelines_version": "1",
        "project": "p", "position": None,
    },
    "screened": {
        "clip_id": "c", "label": "dog", "position": 3,
        "sources": [{"kind": "event", "model": "m", "score": 0.5}],
    },
    "ratings": {
        "clip_id": "c", "label": "dog", "annotator": "ann", "grade": 2, "lead_time_s": None,
        "created_at": None, "guidelines_version": "1", "project": "p", "position": None,
        "preannotated": None,
    },
    "pair_ratings": {
        "clip_id": "c", "label_a": "dog", "label_b": "cat", "annotator": "ann", "choice": "skip",
        "lead_time_s": 0.0, "created_at": "2026-01-01T00:00:00Z", "guidelines_version": "1",
        "project": "p", "position": 0,
    },
    "relevance": {
        "clip_id": "c", "label": "dog", "grade": 0, "n_ratings": 1, "spread": 2, "method": "m",
    },
    "preferences": {"clip_id": "c", "better": "dog", "worse": "cat", "n": 1, "agreement": 0.5},
    "strengths": {"clip_id": "c", "label": "dog", "strength": -1e300, "n": 1},
    "records": {
        "clip_id": "c", "domain": "source", "split": "source_train", "position": 0, "label": "dog",
        "grade": 1, "movie_id": "tt1", "genres": ["War"], "source": "image",
    },
    "pairs": {"clip_id": "c", "better": "dog", "worse": "cat", "percent": 40},
    "predictions": {"clip_id": "c", "label": "dog", "score": -1e300},
}  # fmt: skip

ID, LABEL, BLANK = ("a b", "a/b", "a\\b", ""), ("Dog", " dog", ""), ("", " \t")
WRONG = {
    "films": {
        "movie_id": ID, "genres": (None,), "source": ("film", None), "stories": (-1,),
        "shots": (-1,), "frames": (-1,), "fps": (-0.5, float("nan")), "fps_points": (-1,),
        "fps_residual_s": (-0.1,), "fps_worst_s": (float("inf"),), "tick_s": (-1.0,),
        "notes": (None,), "cast": (None,),
    },
    "clips": {
        "clip_id": ID, "movie_id": ID, "genres": (None,), "description": BLANK,
        "shot": ([], [1], [0, 1, 2], [2, 1], [-1, 0], None), "frame": ([3, 2], [0]),
        "start_s": (-0.1, float("nan"), float("inf")), "end_s": (-1.0,), "keyframes": ([], None),
    },
    "image_labels": {
        "clip_id": ID, "label": LABEL, "score": (-0.5, 1.5), "frames_hit": (0, -1),
        "threshold": (-0.5, 1.5), "tagger": BLANK,
    },
    "text_labels": {
        "clip_id": ID, "label": LABEL, "kind": ("image", ""), "generator": BLANK,
        "prompt_version": BLANK, "rank": (-1,),
    },
    "candidates": {"clip_id": ID, "label": LABEL, "position": (-1,), "sources": ([], None)},
    "dropped": {"clip_id": BLANK, "stage": BLANK, "reason": (*BLANK, None)},
    "screenings": {
        "clip_id": ID, "label": LABEL, "annotator": BLANK, "verdict": ("Keep", "", None),
        "correction": LABEL, "lead_time_s": (-1.0, float("inf")),
        "created_at": BLANK, "guidelines_version": (*BLANK, None), "project": (*BLANK, None),
        "position": (-1,),
    },
    "screened": {"clip_id": ID, "label": LABEL, "position": (-1, None), "sources": ([], None)},
    "ratings": {
        "clip_id": ID, "label": LABEL, "annotator": BLANK, "grade": (-1, 3, None),
        "lead_time_s": (-0.5, float("nan")), "created_at": BLANK, "guidelines_version": BLANK,
        "project": BLANK, "position": (-1,),
    },
    "pair_ratings": {
        "clip_id": ID, "label_a": LABEL, "label_b": LABEL, "annotator": BLANK,
        "choice": ("A", "left", None), "lead_time_s": (-1.0,), "created_at": BLANK,
        "guidelines_version": (*BLANK, None), "project": (*BLANK, None), "position": (-1,),
    },
    "relevance": {
        "clip_id": ID, "label": LABEL, "grade": (3, None), "n_ratings": (0,), "spread": (-1, 3),
        "method": BLANK,
    },
    "preferences": {
        "clip_id": ID, "better": LABEL, "worse": LABEL, "n": (0,), "agreement": (0.25, 1.5),
    },
    "strengths": {
        "clip_id": ID, "label": LABEL, "strength": (float("nan"), float("-inf"), None),
        "n": (0, None),
    },
    "records": {
        "clip_id": ID, "domain": ("both",), "split": ("test",), "position": (-1,), "label": LABEL,
        "grade": (3, -1), "movie_id": ID, "genres": (None,), "source": (None,),
    },
    "pairs": {"clip_id": ID, "better": LABEL, "worse": LABEL, "percent": (0, 15, 100)},
    "predictions": {
        "clip_id": ID, "label": LABEL, "score": (float("nan"), float("-inf"), None),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_every_rule_of_every_column_is_kept(name):
    table, row = TABLES[name], ROW[name]
    good = {column: [value] for column, value in row.items()}
    assert from_columns(good, table, "x").to_pylist() == [row]
    ruled = {c.name for c in table.columns if c.ok is not None or not c.nullable}
    assert set(WRONG[name]) == ruled, "a rule without a value that breaks it"
    for column, values in WRONG[name].items():
        (expected,) = (c.expected for c in table.columns if c.name == column)
        for value in values:
            with pytest.raises(UserError) as error:
                from_columns({**good, column: [value]}, table, "f.parquet")
            assert str(error.value) == (
                f"f.parquet: not a valid {name!r} table:\n"
                f"  row 0, column {column!r}: {value!r}; expected {expected}"
            )


def test_a_flood_in_one_cell_is_cut():
    with pytest.raises(UserError) as error:
        from_columns({**GOOD, "clip_id": ["a " * 10_000]}, IMAGE_LABELS, "x")
    assert len(str(error.value)) < 250
