"""Names of annotators as they may be published: keyed, kept at home, the same every time."""

import hashlib
import hmac
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmovienet import pseudonyms
from lrmovienet.errors import UserError
from lrmovienet.pseudonyms import KEY_BYTES, KEY_FILE, is_generated, pseudonym, published
from lrmovienet.runner.local import run_once
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Workspace

COMMON = {
    "lead_time_s": 2.5, "guidelines_version": "1", "project": "grading", "position": 0,
    "preannotated": False,
}  # fmt: skip


def ratings(root, *rows, version="pull-1") -> Workspace:
    """Rows of (clip, label, annotator, grade, moment)."""
    names = ("clip_id", "label", "annotator", "grade", "created_at")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    columns |= {name: [value] * len(rows) for name, value in COMMON.items()}
    workspace = Workspace(root)
    run_once(workspace, "ratings", lambda: columns, version=version, inputs={}, config={})
    return workspace


MOMENT = "2026-03-01T23:59:58.123+02:00"


def test_a_pseudonym_is_a_keyed_hash_and_nothing_of_the_name():
    key = bytes(range(32))
    digest = hmac.new(key, "Ann Ä".encode(), hashlib.sha256).hexdigest()
    assert pseudonym("Ann Ä", key) == f"annotator-{digest[:8]}"
    assert pseudonym("Ann Ä", key) != pseudonym("Ann A", key)
    assert pseudonym("Ann Ä", key) != pseudonym("Ann Ä", key[::-1])


@given(st.text(min_size=1), st.binary(min_size=32, max_size=32))
def test_a_pseudonym_has_one_form_whatever_the_name(name, key):
    try:
        name.encode()
    except UnicodeEncodeError:  # no name that a table can hold
        return
    made = pseudonym(name, key)
    assert made.removeprefix("annotator-").isalnum()
    assert len(made) == len("annotator-") + 8


def test_rows_keep_everything_but_names_and_times_of_day(tmp_path):
    workspace = ratings(
        tmp_path, ("c", "dog", "zoe", 2, MOMENT), ("c", "cat", "zoe", 0, None),
        ("b", "cat", "Adam", 1, "2025-12-31"),
    )  # fmt: skip
    found = published(workspace, "ratings")
    assert found.schema == TABLES["ratings"].schema
    key = (tmp_path / "annotation" / KEY_FILE).read_bytes()
    zoe, adam = pseudonym("zoe", key), pseudonym("Adam", key)
    assert found.to_pylist() == [
        {"clip_id": "b", "label": "cat", "annotator": adam, "grade": 1, **COMMON,
         "created_at": "2025-12-31"},
        {"clip_id": "c", "label": "cat", "annotator": zoe, "grade": 0, **COMMON,
         "created_at": None},
        {"clip_id": "c", "label": "dog", "annotator": zoe, "grade": 2, **COMMON,
         "created_at": "2026-03-01"},
    ]  # fmt: skip


def test_people_of_one_clip_are_in_the_order_of_their_pseudonyms_not_of_their_names(tmp_path):
    names = [f"person {i:02d}" for i in range(20)]
    workspace = ratings(tmp_path, *(("c", "dog", name, 1, MOMENT) for name in names))
    order = published(workspace, "ratings")["annotator"].to_pylist()
    key = (tmp_path / "annotation" / KEY_FILE).read_bytes()
    assert order == sorted(pseudonym(name, key) for name in names)
    assert order != [pseudonym(name, key) for name in names]


def test_the_key_is_made_once_is_random_and_for_its_owner_alone(tmp_path):
    keys = []
    for name in ("a", "b"):
        workspace = ratings(tmp_path / name, ("c", "dog", "ann", 1, MOMENT))
        first = published(workspace, "ratings")
        path = tmp_path / name / "annotation" / KEY_FILE
        keys.append(path.read_bytes())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert published(workspace, "ratings").equals(first)
        assert path.read_bytes() == keys[-1]
    assert [len(key) for key in keys] == [KEY_BYTES] * 2
    assert keys[0] != keys[1]


def test_a_person_has_one_pseudonym_in_all_tables(tmp_path):
    workspace = ratings(tmp_path, ("c", "dog", "ann", 1, MOMENT))
    pair = {
        "clip_id": ["c"], "label_a": ["dog"], "label_b": ["cat"], "annotator": ["ann"],
        "choice": ["a"], "lead_time_s": [1.0], "created_at": [MOMENT],
        "guidelines_version": ["1"], "project": ["pairs"], "position": [0],
    }  # fmt: skip
    run_once(workspace, "pair_ratings", lambda: pair, version="pull-1", inputs={}, config={})
    names = {
        published(workspace, table)["annotator"][0].as_py() for table in ("ratings", "pair_ratings")
    }
    assert len(names) == 1


def test_generated_people_keep_their_names_and_no_key_is_made(tmp_path):
    row = ("c", "dog", "annotator-1", 1, MOMENT)
    workspace = ratings(tmp_path, row, version="synthetic-ratings:0")
    found = published(workspace, "ratings").to_pylist()
    assert [(r["annotator"], r["created_at"]) for r in found] == [("annotator-1", "2026-03-01")]
    assert not (tmp_path / "annotation").exists()
    assert is_generated(workspace.require("ratings"))
    assert not is_generated(ratings(tmp_path / "b", row).require("ratings"))


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_said_and_not_replaced(tmp_path, content):
    workspace = ratings(tmp_path, ("c", "dog", "ann", 1, MOMENT))
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / KEY_FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged\. Put a copy back"):
        published(workspace, "ratings")
    assert (tmp_path / "annotation" / KEY_FILE).read_bytes() == content


def test_two_people_never_become_one(tmp_path, monkeypatch):
    """Eight digits could meet; then nothing is published."""
    monkeypatch.setattr(pseudonyms, "pseudonym", lambda name, key: "annotator-00000000")
    workspace = ratings(tmp_path, ("c", "dog", "ann", 1, MOMENT), ("c", "dog", "bob", 1, MOMENT))
    with pytest.raises(UserError, match="two annotators got one pseudonym"):
        published(workspace, "ratings")


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no table 'ratings' here yet.*annotate pull"):
        published(Workspace(tmp_path), "ratings")


def test_a_run_stopped_while_the_key_was_made_does_not_stop_the_next(tmp_path, monkeypatch):
    """Run again, every command goes on; half a key would have to be deleted by hand."""
    workspace = ratings(tmp_path, ("c", "dog", "ann", 1, MOMENT))

    def stopped(*_):
        raise KeyboardInterrupt

    for function in ("token_bytes", "fsync"):
        where = pseudonyms.secrets if function == "token_bytes" else pseudonyms.os
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(where, function, stopped)
            published(workspace, "ratings")
        assert published(workspace, "ratings").num_rows == 1
        (tmp_path / "annotation" / KEY_FILE).unlink()


def test_the_key_is_one_though_several_ask_for_it_at_once(tmp_path):
    """Nobody may read a key that is still being written."""
    workspace = ratings(tmp_path, ("c", "dog", "ann", 1, MOMENT))
    for _ in range(20):
        found, gate = [], threading.Barrier(4)

        def ask(found=found, gate=gate):
            gate.wait()
            try:
                found.append(published(workspace, "ratings")["annotator"][0].as_py())
            except UserError as error:
                found.append(str(error))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({*found}) == 1, found
        (tmp_path / "annotation" / KEY_FILE).unlink()


def test_a_project_that_somebody_named_gets_a_pseudonym_and_ours_keep_their_names(tmp_path):
    from annotation.forms import FORMS

    ours = [f"{form}{end}" for form in FORMS for end in ("", "-adjudication")]
    theirs = ["round one, jane.doe@example.org", "grading "]
    columns = {
        "clip_id": [f"c_{i:04d}" for i in range(len(ours) + 2)], "project": [*ours, *theirs],
    }  # fmt: skip
    n = len(columns["clip_id"])
    rest = {
        "label": ["dog"] * n, "annotator": ["ann"] * n, "grade": [1] * n, "lead_time_s": [1.0] * n,
        "created_at": ["2026-11-22T10:00:00"] * n, "guidelines_version": ["1"] * n,
        "position": [0] * n, "preannotated": [False] * n,
    }  # fmt: skip
    run_once(
        Workspace(tmp_path), "ratings", lambda: {**columns, **rest}, version="pull-1", inputs={},
        config={},
    )  # fmt: skip
    shown = published(Workspace(tmp_path), "ratings")["project"].to_pylist()
    assert shown[: len(ours)] == ours
    assert len({*shown[len(ours) :]}) == 2
    assert all(name.startswith("project-") and "jane" not in name for name in shown[len(ours) :])
