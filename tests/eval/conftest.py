import pytest
from three_clips import GOLD, SCORES, jsonl
from written import gold_rows, write

from eval import significance
from eval.runs import read_gold


@pytest.fixture
def gold(tmp_path):
    """Two clips with five labels."""
    return read_gold(write(tmp_path / "the_gold.jsonl", gold_rows()))


@pytest.fixture(params=[1, 100, 12_345])
def other_chunks(request, monkeypatch):
    """Work is divided otherwise, after a first result is at hand."""
    return lambda: monkeypatch.setattr(significance, "_CELLS", request.param)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with gold.jsonl, mine.jsonl and best.jsonl, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "gold.jsonl", GOLD, "grade")
    jsonl(tmp_path / "mine.jsonl", SCORES, "score")
    jsonl(tmp_path / "best.jsonl", GOLD, "score")
    return tmp_path
