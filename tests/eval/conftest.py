import pytest
from written import gold_rows, write

from eval.runs import read_gold


@pytest.fixture
def gold(tmp_path):
    """Two clips with five labels."""
    return read_gold(write(tmp_path / "the_gold.jsonl", gold_rows()))
