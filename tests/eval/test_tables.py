"""Where rows come from: gzip, other names, standard input, folders, patterns."""

import gzip
import hashlib
import io
import sys
from pathlib import Path

import pytest
from written import (
    GOLD,
    WRITERS,
    gold_rows,
    meaning,
    refused,
    score_rows,
    to_csv,
    write,
)

from eval.runs import read_gold, read_run

# ---------------------------------------------------------------- gzip


def test_gzip_is_known_by_its_first_bytes_and_may_have_several_members(tmp_path):
    data = to_csv(gold_rows())
    cut = data.index(b"\n") + 1
    path = tmp_path / "g.csv"
    path.write_bytes(gzip.compress(data[:cut]) + gzip.compress(data[cut:]))
    assert meaning(read_gold(path))["grades"] == [2, 0, 1, 0, 2]
    path = tmp_path / "g.csv.gz"
    path.write_bytes(data)
    assert "not a gzip file" in refused(read_gold, path)


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz", ".trec.gz", ".parquet.gz"])
def test_damaged_gzip(tmp_path, suffix):
    path = write(tmp_path / f"g{suffix}", gold_rows())
    whole = path.read_bytes()
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 0xFF
    for data in (whole[:-9], whole[:20], whole[:3], bytes(middle), whole + b"rest"):
        path.write_bytes(data)
        assert "gzip" in refused(read_gold, path)


def test_gzip_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.rows.MAX_BYTES", 1 << 20)
    path = tmp_path / "g.csv.gz"
    path.write_bytes(gzip.compress(b"x" * (1 << 26)))
    assert "unpacks to more than 1 MiB" in refused(read_gold, path)


# ---------------------------------------------------------------- known by content, standard input


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv", ".trec"])
@pytest.mark.parametrize("gz", [False, True])
def test_other_names_are_known_by_content(tmp_path, gold, suffix, gz):
    for name in ("g.txt", "g", "g.data"):
        data = WRITERS[suffix](gold_rows())
        (tmp_path / name).write_bytes(gzip.compress(data) if gz else data)
        assert meaning(read_gold(tmp_path / name)) == meaning(gold)
    data = WRITERS[suffix](score_rows())
    (tmp_path / "r.txt").write_bytes(gzip.compress(data) if gz else data)
    assert read_run(tmp_path / "r.txt", gold, "r").scores.tolist() == [3.0, -1.0, 2.5, 0.5, 0.5]


def test_json_lines_may_be_called_json(tmp_path, gold):
    for rows, name in ((gold_rows(), "g.json"), (score_rows(), "r.json")):
        (tmp_path / name).write_bytes(WRITERS[".jsonl"](rows))
    assert meaning(read_gold(tmp_path / "g.json")) == meaning(gold)
    assert read_run(tmp_path / "r.json", gold, "r").scores.tolist() == [3.0, -1.0, 2.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "data", [b"hello", b"<html></html>", b"\x89PNG\r\n\x1a\n\0\0", b"a;b;c\n1;2;3\n"]
)
def test_content_of_no_format(tmp_path, data):
    (tmp_path / "g.txt").write_bytes(data)
    message = refused(read_gold, tmp_path / "g.txt")
    for name in ("Parquet", "JSON Lines", "CSV", "TREC"):
        assert name in message


class Stdin:
    """A standard input that holds these bytes."""

    def __init__(self, data):
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv", ".trec"])
def test_standard_input(tmp_path, gold, monkeypatch, suffix):
    data = gzip.compress(WRITERS[suffix](score_rows()))
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    run = read_run(Path("-"), gold, "r")
    assert run.scores.tolist() == [3.0, -1.0, 2.5, 0.5, 0.5]
    assert run.sha256 == hashlib.sha256(data).hexdigest()


def test_standard_input_is_read_only_once(gold, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(to_csv(score_rows())))
    assert "only once" in refused(read_run, [Path("-"), Path("-")], gold, "r")
    monkeypatch.setattr(sys, "stdin", Stdin(to_csv(score_rows())))
    read_run(Path("-"), gold, "r")
    assert "only once" in refused(read_run, Path("-"), gold, "r")


# ---------------------------------------------------------------- folders, patterns, parts


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl.gz", ".csv", ".qrels"])
def test_a_folder_is_its_files_of_one_format(tmp_path, gold, suffix):
    folder = tmp_path / "gold"
    folder.mkdir()
    writer = WRITERS[".trec" if suffix == ".qrels" else suffix.removesuffix(".gz")]
    content = b""
    for i, part in enumerate((GOLD[:2], GOLD[2:])):
        data = writer(gold_rows(part))
        data = gzip.compress(data) if suffix.endswith(".gz") else data
        (folder / f"part-{i}{suffix}").write_bytes(data)
        content += data
        for skipped in ("dropped-", ".", "_"):
            (folder / f"{skipped}part-{i}{suffix}").write_bytes(b"not this")
    (folder / "manifest.json").write_text("{}")
    (folder / "README.md").write_text("hello")
    read = read_gold(folder)
    assert meaning(read) == meaning(gold)
    assert read.sha256 == hashlib.sha256(content).hexdigest()
    (folder / "more.csv" if suffix != ".csv" else folder / "more.jsonl").write_text("x")
    assert "several formats" in refused(read_gold, folder)


@pytest.mark.parametrize("name", ["records", "relevance"])
def test_a_workspace_or_release_stands_for_its_table_of_grades(tmp_path, gold, name):
    (tmp_path / "w" / name).mkdir(parents=True)
    (tmp_path / "w" / "README.md").write_text("hello")
    (tmp_path / "w" / "croissant.json").write_text("{}")
    write(tmp_path / "w" / name / "part-0.parquet", gold_rows())
    assert meaning(read_gold(tmp_path / "w")) == meaning(gold)
    refused(read_run, tmp_path / "w", gold, "r")  # of predictions there is no one table


def test_several_paths_and_patterns_are_parts_of_one_table(tmp_path, gold):
    a = write(tmp_path / "part-a.csv", gold_rows(GOLD[:2]))
    b = write(tmp_path / "part-b.csv", gold_rows(GOLD[2:]))
    whole = read_gold([a, b])
    assert meaning(whole) == meaning(gold)
    assert whole.sha256 == hashlib.sha256(a.read_bytes() + b.read_bytes()).hexdigest()
    pattern = read_gold(tmp_path / "part-*.csv")
    assert (meaning(pattern), pattern.sha256) == (meaning(whole), whole.sha256)
    # Lines are counted in each part by itself.
    write(b, gold_rows([*GOLD[2:], ("c9", "x", 5)]))
    assert f"{b}, line 5, clip 'c9'" in refused(read_gold, [a, b])
    assert "appears twice" in refused(read_gold, [a, a])
    message = refused(read_gold, tmp_path / "none-*.csv")
    assert "none-*.csv" in message


def test_a_file_whose_name_looks_like_a_pattern(tmp_path, gold):
    path = write(tmp_path / "g[1].csv", gold_rows())
    assert meaning(read_gold(path)) == meaning(gold)


def test_names_nearly_right_are_suggested(tmp_path):
    write(tmp_path / "predictions.csv", gold_rows())
    assert "predictions.csv" in refused(read_gold, tmp_path / "predictoins.csv")
    assert "Did you mean" not in refused(read_gold, tmp_path / "zzz")
    refused(read_gold, tmp_path / "no" / "such" / "folder.csv")
    refused(read_gold, tmp_path / ("x" * 300))
    refused(read_gold, tmp_path / ("*" + "x" * 300))
    refused(read_gold, Path("a\0b"))


def test_a_device_or_an_empty_folder(tmp_path):
    refused(read_gold, tmp_path)
    refused(read_gold, Path("/dev/null"))
