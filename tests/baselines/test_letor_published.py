"""The published results of the classic track, and the page that is made of them."""

from pathlib import Path

import pytest

from baselines.letor.methods import METHODS
from eval.leaderboard import RESULTS
from eval.result import read
from lrmovienet.cli import main

PAGE = Path(RESULTS).parents[1] / "docs" / "letor.md"
ALONE = sorted((RESULTS / "letor").glob("agg.*.json"))


def test_the_page_is_up_to_date(capsys):
    assert main(["letor", "table", "--into", str(PAGE), "--check"]) == 0
    assert capsys.readouterr().out == "up to date\n"


def test_what_is_learned_of_mq2007_agg_ranks_its_other_queries():
    """Queries without a relevant document are left out; a random order reaches .298."""
    found: dict[str, list[float]] = {}
    for path in ALONE:
        result = read(path)
        assert result.conventions.empty == "skip" and result.about.protocol == "honest"
        assert (result.gold.clips, result.gold.clips_skipped) == (1356, 191)
        assert result.references["random"]["ndcg@10"] == pytest.approx(0.298, abs=1e-3)
        (run,) = result.runs
        assert run.training is not None
        found.setdefault(run.training.method, []).append(run.measures["ndcg@10"].mean or 0.0)
    assert set(found) == {name for name, method in METHODS.items() if "R0" in method.regimes}
    assert min(found.pop("lambdamart")) >= 0.56
    assert min(found.pop("best-feature")) > 0.45
    assert min(min(values) for values in found.values()) >= 0.5
    assert {len(values) for values in found.values()} == {3}
