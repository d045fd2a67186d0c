"""`annotate export`: what people said goes out, who they are and when they worked does not."""

import os
import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from annotation.export import EXPORTED, ExportConfig, run
from lrmovienet.cli import main
from lrmovienet.pseudonyms import KEY_BYTES, KEY_FILE, pseudonym
from lrmovienet.runner.local import run_once
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Workspace

ANN, BOB = "Annabella.Quux@example.org", "BOBBERT"
COMMON = {"lead_time_s": 2.5, "guidelines_version": "1", "position": 0}


def put(workspace: Workspace, table: str, rows: list[dict]) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    run_once(workspace, table, lambda: columns, version="pull-1", inputs={}, config={})


def said_in(root: Path) -> Workspace:
    """A workspace in which two people graded, compared and screened."""
    workspace = Workspace(root)
    both = [
        {**COMMON, "clip_id": "c", "annotator": name, "created_at": f"2026-03-0{day}T23:59:58.1Z"}
        for name, day in ((ANN, 1), (BOB, 2))
    ]
    put(workspace, "ratings", [
        {**row, "label": label, "grade": grade, "project": "grading", "preannotated": False}
        for row, grade in zip(both, (2, 0), strict=True)
        for label in ("dog", "cat")
    ])  # fmt: skip
    pair = {"label_a": "dog", "label_b": "cat", "choice": "tie", "project": "pairs"}
    put(workspace, "pair_ratings", [{**row, **pair} for row in both])
    verdict = {"label": "dog", "verdict": "keep", "correction": None, "project": "screening"}
    put(workspace, "screenings", [{**row, **verdict, "created_at": None} for row in both])
    return workspace


def export(root: Path, out: Path) -> dict[str, list[dict]]:
    run(ExportConfig(root, out=out))
    return {path.stem: pq.read_table(path).to_pylist() for path in sorted(out.iterdir())}


def test_all_three_tables_keep_what_was_said(tmp_path):
    workspace = said_in(tmp_path / "w")
    found = export(tmp_path / "w", tmp_path / "o")
    assert set(found) == set(EXPORTED)
    hidden = {"annotator", "created_at"}
    for name, rows in found.items():
        assert pq.read_schema(tmp_path / "o" / f"{name}.parquet") == TABLES[name].schema

        def open_part(some: list[dict]) -> Counter:
            return Counter(tuple((k, v) for k, v in row.items() if k not in hidden) for row in some)

        assert open_part(rows) == open_part(workspace.read(name).to_pylist())
    # Who said what stays together, under one pseudonym in all tables.
    of_grade = {row["grade"]: row["annotator"] for row in found["ratings"]}
    assert len(set(of_grade.values())) == 2
    for rows in found.values():
        assert {row["annotator"] for row in rows} == set(of_grade.values())
    days = {row["annotator"]: row["created_at"] for row in found["pair_ratings"]}
    assert days == {of_grade[2]: "2026-03-01", of_grade[0]: "2026-03-02"}
    assert {row["created_at"] for row in found["screenings"]} == {None}


def test_no_name_and_no_time_of_day_is_in_the_files(tmp_path):
    said_in(tmp_path / "w")
    found = export(tmp_path / "w", tmp_path / "o")
    texts = [str(value) for rows in found.values() for row in rows for value in row.values()]
    files = [path.read_bytes() for path in (tmp_path / "o").iterdir()]
    for secret in (ANN, BOB, "Annabella", "example.org", "23:59", "T23"):
        assert not any(secret.lower() in text.lower() for text in texts)
        assert not any(secret.lower().encode() in data.lower() for data in files)
    assert all(re.fullmatch("annotator-[0-9a-f]{8}", row["annotator"])
               for rows in found.values() for row in rows)  # fmt: skip


def test_rows_are_in_the_order_of_pseudonyms(tmp_path):
    """The order of names would tell who is who."""
    said_in(tmp_path / "w")
    for name, rows in export(tmp_path / "w", tmp_path / "o").items():
        keys = [[row[column] for column in TABLES[name].key] for row in rows]
        assert keys == sorted(keys)


def test_the_same_workspace_gives_the_same_pseudonyms_and_another_others(tmp_path):
    for name in "wv":
        said_in(tmp_path / name)
    first, second = (export(tmp_path / "w", tmp_path / out) for out in "ab")
    assert first == second
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    other = export(tmp_path / "v", tmp_path / "c")
    names = [{row["annotator"] for row in some["ratings"]} for some in (first, other)]
    assert not names[0] & names[1]


def test_a_pseudonym_depends_on_every_letter_of_name_and_key():
    key = bytes(range(KEY_BYTES))
    made = {pseudonym(name, key) for name in ("ann", "Ann", "ann ", "名前")}
    made.add(pseudonym("ann", key[:-1] + b"x"))
    assert len(made) == 5
    assert pseudonym("ann", key) == pseudonym("ann", key)


def test_the_key_is_for_its_owner_alone_and_stays_at_home(tmp_path):
    said_in(tmp_path / "w")
    before = os.umask(0)
    try:
        export(tmp_path / "w", tmp_path / "o")
    finally:
        os.umask(before)
    path = tmp_path / "w" / "annotation" / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    key = path.read_bytes()
    assert len(key) == KEY_BYTES
    for file in (tmp_path / "o").iterdir():
        assert key not in file.read_bytes() and key.hex().encode() not in file.read_bytes()
    export(tmp_path / "w", tmp_path / "o")
    assert path.read_bytes() == key


def test_a_damaged_key_is_not_replaced(tmp_path, capsys):
    said_in(tmp_path / "w")
    path = tmp_path / "w" / "annotation" / KEY_FILE
    path.parent.mkdir()
    path.write_bytes(b"short")
    words = ["annotate", "export", str(tmp_path / "o"), "--workspace", str(tmp_path / "w")]
    assert main(words) == 2
    assert f"{path}: is damaged. Put a copy back" in capsys.readouterr().err
    assert path.read_bytes() == b"short"
    assert not (tmp_path / "o").exists()


def test_nothing_to_export_is_said_and_no_key_is_made(tmp_path, capsys):
    words = ["annotate", "export", "--workspace", str(tmp_path), "--out", str(tmp_path / "o")]
    assert main(words) == 2
    assert "no table 'ratings' here yet. Run first: lrmovienet annotate pull" in (
        capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", EXPORTED)
def test_one_table_is_enough(table, tmp_path):
    workspace = said_in(tmp_path / "all")
    put(Workspace(tmp_path / "w"), table, workspace.read(table).to_pylist())
    assert set(export(tmp_path / "w", tmp_path / "o")) == {table}
