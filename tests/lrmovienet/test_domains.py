"""Domains by genre: what is asked about, what the options do, and the algebra of the two sets."""

from collections import Counter

import pytest
from drawn_tables import Tables, clip, records

from lrmovienet.cli import main
from lrmovienet.domains import (
    first_ten,
    named_genres,
    without_genre,
)
from lrmovienet.errors import UserError
from lrmovienet.runner.local import run_once
from lrmovienet.schema import SPLITS
from lrmovienet.splits import SplitConfig, genres_of_domains, paper_splits, run
from lrmovienet.workspace import Workspace

CLIPS = [clip("f1_0", "Drama"), clip("f2_0", "Drama", "War"), clip("f3_0", "Drama", "Crime"),
         clip("f4_0", "Crime")]  # fmt: skip


def kept(rows: list[dict]) -> dict[tuple[str, str], set[str]]:
    """Record -> its labels."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row["drop_reason"] is None:
            found.setdefault((row["clip_id"], row["split"]), set()).add(row["label"])
    return found


# --- target genres, by name -------------------------------------------------------------------


def test_named_genres_come_in_the_order_of_their_clips():
    assert named_genres(CLIPS, ["War", "Crime"]) == ["Crime", "War"]
    assert named_genres(CLIPS, ["War", "War"]) == ["War"]
    assert named_genres(CLIPS, []) == []


def test_an_unknown_genre_is_named_with_the_nearest_and_all_there_are():
    with pytest.raises(UserError) as error:
        named_genres(CLIPS, ["War", "Dramma"])
    assert str(error.value) == (
        "--target_genres 'Dramma': no clip has this genre. Did you mean 'Drama'? There are Drama, "
        "Crime, War."
    )
    with pytest.raises(UserError, match="'war': no clip has this genre"):
        named_genres(CLIPS, ["war"])
    with pytest.raises(UserError, match=r"no clip has this genre\. There are"):
        named_genres(CLIPS, ["Xyz"])
    with pytest.raises(UserError) as error:
        named_genres(CLIPS, ["x" * 5000])
    assert len(str(error.value)) < 300


def test_all_genres_cannot_be_the_target():
    with pytest.raises(UserError, match="leave some for the source"):
        named_genres(CLIPS, ["War", "Drama", "Crime"])


CORPUS = """
a1_0 Drama,War  rain=2 tank=1 mud=0
a2_0 War        tank=0 mud=2
b1_0 Drama      rain=0 love=2 tea=1
b2_0 Drama      love=1 tea=0 car=2
b3_0 Drama      tea=2 car=1 gun=0
c1_0 Crime      gun=2 car=0 mud=1
c2_0 Crime      gun=1 money=0 car=2
"""


def test_named_genres_make_the_target_though_they_are_not_the_rarest():
    """Crime: gun, car, mud, money are target labels, and only those, wherever they stand."""
    rows = records(CORPUS, target_genres=["Crime"], protocol="paper", equal_grades="keep",
                   test_share=0.45, dev_share=0)  # fmt: skip
    target = {row["label"] for row in rows if row["domain"] == "target"}
    assert target == {"gun", "car", "mud", "money"}
    assert {row["label"] for row in rows if row["domain"] == "source"} == {
        "rain", "tank", "love", "tea"
    }  # fmt: skip


# --- clips without a genre ----------------------------------------------------------------------

NONE = CORPUS + "n1_0 - rain=2 tank=1 own=0\nn1_1 - tea=1 own=2\nn2_0 - mud=2 gun=0\n"
SHARES = {
    "target_genres": ["War"], "protocol": "paper", "test_share": 0.4, "dev_share": 0,
    "equal_grades": "keep",
}  # fmt: skip


def test_clips_without_a_genre_are_asked_about():
    with pytest.raises(UserError) as error:
        records(NONE, **SHARES)
    message = str(error.value)
    assert message.startswith("clips: 3 clips of 2 films have no genre")
    assert ": n1, n2. " in message
    for way in ("--no_genre drop", "--no_genre source", "--genres FILE"):
        assert way in message


def test_clips_without_a_genre_can_be_dropped():
    rows = records(NONE, no_genre="drop", **SHARES)
    without = [row for row in rows if row["clip_id"].startswith("n")]
    assert len(without) == 7
    assert {row["drop_reason"] for row in without} == {"its film has no genre"}
    # The others are as if these had never been there.
    assert [row for row in rows if not row["clip_id"].startswith("n")] == records(CORPUS, **SHARES)


def test_clips_without_a_genre_can_be_source():
    """Their labels are source labels, but for those that clips of the target have."""
    rows = [r for r in records(NONE, no_genre="source", **SHARES) if r["clip_id"] == "n1_0"]
    assert {row["label"]: row["domain"] for row in rows} == {
        "rain": "target", "tank": "target", "own": "source"
    }  # fmt: skip


def test_clips_without_a_genre_that_nobody_graded_are_of_no_account():
    clips = {c["clip_id"]: c for c in [*CLIPS, clip("n1_0")]}
    labels = {c["clip_id"]: [{"label": "x"}] for c in CLIPS}
    assert without_genre(clips, labels, "refuse") == set()
    labels["n1_0"] = [{"label": "x"}]
    assert without_genre(clips, labels, "drop") == {"n1_0"}
    assert without_genre(clips, labels, "source") == set()
    with pytest.raises(UserError, match="1 clips of 1 films have no genre"):
        without_genre(clips, labels, "refuse")


@pytest.mark.parametrize("no_genre", ["refuse", "source", "drop"])
def test_where_no_clip_has_a_genre_the_message_is_about_the_cut(no_genre):
    text = "a_0 - x=1 y=2\nb_0 - x=0 y=1\n"
    with pytest.raises(UserError, match=r"0 genres; a split into domains needs at least two"):
        records(text, no_genre=no_genre)


# --- records of one grade -----------------------------------------------------------------------

EQUAL = "".join(f"a{i}_0 Drama,War tank={i % 3} mud={i % 3}\n" for i in range(9)) + (
    "".join(f"b{i}_0 Drama rain={i % 3} love=1\n" for i in range(9))
)  # fmt: skip
TAIL = {"target_genres": ["War"], "protocol": "paper", "test_share": 0.3, "dev_share": 0.2}


def scored(rows: list[dict]) -> set[str]:
    return {
        row["clip_id"]
        for row in rows
        if row["split"] in ("target_dev", "target_test") and row["clip_id"].startswith("a")
    }


def test_records_of_one_grade_are_asked_about_where_they_are_scored():
    of = {row["clip_id"]: row for row in records(EQUAL, equal_grades="keep", **TAIL)
          if row["domain"] == "target"}  # fmt: skip
    asked = sorted(c for c in of if of[c]["split"] in ("target_dev", "target_test"))
    assert 2 <= len(asked) < 9
    with pytest.raises(UserError) as error:
        records(EQUAL, **TAIL)
    message = str(error.value)
    assert message.startswith(f"relevance: {len(asked)} records to be scored have one grade")
    for clip_id in asked:
        grade = int(clip_id[1]) % 3
        assert f"{clip_id} ({of[clip_id]['split']}, all {grade})" in message
    for other in {*of} - {*asked}:  # in target_pairs grades do not count
        assert other not in message
    assert "--equal_grades drop" in message
    assert "--equal_grades keep" in message


def test_records_of_one_grade_can_be_dropped_or_kept():
    mixed = EQUAL + "".join(f"c{i}_0 War tank=2 mud=0\n" for i in range(9))
    everything = records(mixed, equal_grades="keep", **TAIL)
    rows = records(mixed, equal_grades="drop", **TAIL)
    equal = scored(everything)
    assert equal
    dropped = [row for row in rows if row["drop_reason"] is not None]
    assert {row["clip_id"] for row in dropped} == equal
    for row in dropped:
        grade = int(row["clip_id"][1]) % 3
        assert row["drop_reason"] == f"one grade for all labels of the record: {grade}"
    assert {key: labels for key, labels in kept(everything).items() if key[0] not in equal} == kept(
        rows
    )


def test_one_grade_is_looked_for_among_the_labels_that_are_kept():
    """A record whose only other grade lies beyond its most labels is one of one grade, too."""
    text = "".join(f"a{i}_0 War tank=1 mud=1 smoke=2\n" for i in range(6)) + (
        "b_0 Drama rain=1 love=1\nb2_0 Drama rain=2 tea=0\n"
    )  # fmt: skip
    with pytest.raises(UserError, match="have one grade for all their labels"):
        records(text, max_labels=2, **TAIL)
    assert records(text, max_labels=3, **TAIL)


def test_source_records_of_one_grade_are_training_and_stay():
    rows = records(EQUAL, equal_grades="keep", **TAIL)
    one = [r for r in rows if r["clip_id"] == "b1_0"]  # rain=1 love=1
    assert [row["split"] for row in one] == ["source_train"] * 2
    assert [row["drop_reason"] for row in one] == [None, None]


# --- empty splits and shares --------------------------------------------------------------------


def test_a_split_without_records_is_named():
    text = "a_0 War tank=1 mud=0\nb_0 Drama rain=1 love=0\nc_0 Drama tea=1 car=0\n"
    with pytest.raises(UserError, match=r"the split target_(pairs|test) would be empty") as error:
        records(text, target_genres=["War"], protocol="paper", test_share=0.3, dev_share=0)
    for way in ("more films", "--seed", "--test_share", "--dev_share", "--tail_genres"):
        assert way in str(error.value)


def test_no_source_label_is_an_empty_split():
    text = (
        "".join(f"a{i}_0 War,Drama tank=1 mud=0\n" for i in range(8)) + "b_0 Drama tank=1 mud=2\n"
    )
    with pytest.raises(UserError, match="the split source_train would be empty"):
        records(text, target_genres=["War"], protocol="paper", equal_grades="keep", dev_share=0.2)


@pytest.mark.parametrize(
    ("options", "n"),
    [
        ({"dev_share": 0}, {"target_test": 1000, "target_pairs": 2206}),
        ({}, {"target_test": 1000, "target_pairs": 1885, "target_dev": 321}),
    ],
)
def test_the_papers_numbers_of_clips(options, n):
    """Paper, §5.1: 2,206 and 1,000 of 3,206; by default a part of the 2,206 is for choosing."""
    ids = [f"tt{i:07d}_{i % 15:04d}" for i in range(3206)]
    drawn = paper_splits(ids, SplitConfig(protocol="paper", **options))
    assert Counter(drawn.values()) == n
    assert {*drawn} == {*ids}
    if options == {}:
        without = paper_splits(ids, SplitConfig(protocol="paper", dev_share=0))
        test = {c for c in ids if drawn[c] == "target_test"}
        assert test == {c for c in ids if without[c] == "target_test"}  # the test is the same


def put(workspace: Workspace, table: str, rows: list[dict], version: str = "1") -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    run_once(workspace, table, lambda: columns, version=version, inputs={}, config={})


@pytest.fixture
def workspace(tmp_path):
    """48 clips of 16 films: four labels of War where it is a War film, four of Drama where not."""
    text = ""
    for i in range(48):
        words = "tank mud smoke gun" if i // 3 % 2 else "rain love tea car"
        labels = " ".join(f"{word}={(j + i) % 3}" for j, word in enumerate(words.split()))
        text += f"f{i // 3:02d}_{i % 3} {'War' if i // 3 % 2 else 'Drama'} {labels}\n"
    tables = Tables(text).tables
    for row in tables["clips"]:
        row |= {
            "title": None, "description": "x", "shot": [0, 0], "frame": [0, 0], "start_s": None,
            "end_s": None, "keyframes": [{"ref": "a/b.jpg", "sha256": "0" * 64}],
        }  # fmt: skip
    for row in tables["relevance"]:
        row |= {"n_ratings": 1, "spread": 0, "method": "m"}
    tables["preferences"] = [
        {"clip_id": c["clip_id"], "better": "tank", "worse": "mud", "n": 1, "agreement": 1.0}
        for c in tables["clips"]
        if c["genres"] == ["War"]
    ]
    found = Workspace(tmp_path / "w")
    for name, rows in tables.items():
        put(found, name, rows)
    return found


def test_strict_needs_a_development_split_and_the_papers_protocol_does_not(workspace, capsys):
    with pytest.raises(UserError, match=r"--dev_share 0: give two numbers above 0"):
        run(SplitConfig(workspace.root, dev_share=0))
    run(SplitConfig(workspace.root, protocol="paper", dev_share=0, target_genres=["War"]))
    there = Counter(workspace.read("records")["split"].to_pylist())
    assert {*there} == {s for s in SPLITS if s != "target_dev"}
    target = {c for c in workspace.read("clips")["clip_id"].to_pylist() if int(c[1:3]) % 2}
    assert there["source_train"] == 4 * (48 - len(target))


def test_genres_by_name_and_by_number_do_not_go_together(workspace, capsys):
    options = ["--target_genres", "War", "--tail_genres", "1"]
    assert main(["split", "--workspace", str(workspace.root), *options]) == 2
    assert "--target_genres or --tail_genres, not both" in capsys.readouterr().err
    assert workspace.manifest("records") is None


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ({"target_genres": ["Drama"]}, (["War"], ["Drama"])),
        ({"target_genres": ["War"]}, (["Drama"], ["War"])),
        ({"tail_genres": 1}, (["Drama"], ["War"])),
    ],
)
def test_the_genres_of_the_domains_are_those_that_records_were_made_with(workspace, options, sides):
    """Preferences are about labels of the side that is the target."""
    drama = sides[1] == ["Drama"]
    rows = [
        {"clip_id": c["clip_id"], "n": 1, "agreement": 1.0}
        | ({"better": "rain", "worse": "love"} if drama else {"better": "tank", "worse": "mud"})
        for c in workspace.read("clips").to_pylist()
        if c["genres"] == sides[1]
    ]
    put(workspace, "preferences", rows, version="2")
    run(SplitConfig(workspace.root, protocol="paper", dev_share=0, **options))
    assert genres_of_domains(workspace) == sides


def test_failing_options_leave_the_records_as_they_were(workspace, capsys):
    good = ["--target_genres", "War", "--protocol", "paper"]
    command = ["split", "--workspace", str(workspace.root)]
    assert main([*command, *good]) == 0
    before = workspace.require("records"), workspace.require("pairs")
    for wrong in (["--target_genres", "Wars"], ["--tail_genres", "2"], ["--test_share", "1.5"]):
        assert main([*command, *wrong]) == 2
        assert "error" in capsys.readouterr().err
        assert (workspace.require("records"), workspace.require("pairs")) == before


def test_ten_names_are_listed_and_the_others_counted():
    assert first_ten(["a", "b"]) == "a, b"
    assert first_ten([str(i) for i in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert first_ten([str(i) for i in range(13)]).endswith("8, 9 and 3 more")
