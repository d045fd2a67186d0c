"""Other evaluation tools, where their conventions coincide with ours: the same numbers to 1e-9.

And where they do not, by how much: the figures that docs/scoring.md quotes.
"""

import itertools

import numpy as np
import pytest

from eval.measures import measure, names
from eval.ndcg import ndcg

pytestmark = pytest.mark.oracles

KS = (1, 3, 5, 10, 20)
# The worked example of docs/scoring.md.
LABELS, GRADES, SCORES = ["quarrel", "office", "lamp", "shirt"], [2, 1, 0, 0], [0.4, 0.9, 0.4, 0.1]


@pytest.fixture(scope="module")
def corpus():
    """300 ragged clips, generated; every clip has a relevant label and no score appears twice."""
    rng = np.random.default_rng(20)
    lengths = rng.integers(2, 24, 300)
    offsets = np.append(0, lengths.cumsum())
    grades = rng.choice(3, offsets[-1], p=(0.5, 0.3, 0.2))
    grades[offsets[:-1]] = rng.integers(1, 3, 300)
    return rng.permutation(offsets[-1]) / 7, grades, offsets


def as_dictionaries(scores, grades, offsets):
    """What the other tools take: clip -> label -> grade, and clip -> label -> score."""
    qrels, run = {}, {}
    for c, (begin, end) in enumerate(itertools.pairwise(offsets)):
        labels = [f"label {i}" for i in range(end - begin)]
        qrels[f"clip{c}"] = dict(zip(labels, grades[begin:end].tolist(), strict=True))
        run[f"clip{c}"] = dict(zip(labels, scores[begin:end].tolist(), strict=True))
    return qrels, run


def ours(corpus, **options):
    values = measure(*corpus, KS, **options)
    return dict(zip(names(KS), values.T, strict=True))


@pytest.mark.parametrize("decimals", [None, 0])
def test_scikit_learn(corpus, decimals):
    """Linear gain; ties averaged, also where most scores are equal."""
    ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score
    scores, grades, offsets = corpus
    if decimals is not None:
        scores = np.round(scores / 100, decimals)
        assert len(np.unique(scores)) < 20
    for k in KS:
        expected = [
            ndcg_score(grades[None, b:e], scores[None, b:e], k=k)
            for b, e in itertools.pairwise(offsets)
        ]
        values = ndcg(scores, grades, offsets, [k], gain="linear")[:, 0]
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("relevant_from", [1, 2])
def test_pytrec_eval(corpus, relevant_from):
    """Linear gain, no ties; precision is divided by k, also beyond the list."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    qrels, run = as_dictionaries(*corpus)
    cuts = ",".join(map(str, KS))
    asked = {f"ndcg_cut.{cuts}", f"P.{cuts}", f"recall.{cuts}", "recip_rank"}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, asked, relevance_level=relevant_from)
    found = evaluator.evaluate(run)
    mine = ours(corpus, gain="linear", relevant_from=relevant_from, empty="zero")
    theirs = {"ndcg": "ndcg_cut", "precision": "P", "recall": "recall"}
    for c in range(300):
        row = found[f"clip{c}"]
        assert mine["mrr"][c] == pytest.approx(row["recip_rank"], abs=1e-9)
        for name, their in theirs.items():
            for k in KS:
                assert mine[f"{name}@{k}"][c] == pytest.approx(row[f"{their}_{k}"], abs=1e-9)


def test_ir_measures(corpus):
    """As trec_eval has it."""
    ir_measures = pytest.importorskip("ir_measures")
    qrels, run = as_dictionaries(*corpus)
    linear = ours(corpus, gain="linear")
    asked = {ir_measures.nDCG @ k: linear[f"ndcg@{k}"] for k in KS}
    asked |= {ir_measures.P(rel=2) @ 3: ours(corpus, relevant_from=2, empty="zero")["precision@3"]}
    for value in ir_measures.iter_calc(list(asked), qrels, run):
        mine = asked[value.measure][int(value.query_id.removeprefix("clip"))]
        assert value.value == pytest.approx(mine, abs=1e-9)


def test_ranx(corpus):
    """Both gains, no ties."""
    ranx = pytest.importorskip("ranx")
    qrels, run = as_dictionaries(*corpus)
    exp, linear = ours(corpus), ours(corpus, gain="linear")
    asked = {"mrr": exp["mrr"]}
    for k in KS:
        asked[f"ndcg_burges@{k}"] = exp[f"ndcg@{k}"]
        asked[f"ndcg@{k}"] = linear[f"ndcg@{k}"]
        asked[f"recall@{k}"] = exp[f"recall@{k}"]
        asked[f"precision@{k}"] = exp[f"precision@{k}"]
    theirs = ranx.Run(run)
    ranx.evaluate(ranx.Qrels(qrels), theirs, list(asked), return_mean=False)
    for name, expected in asked.items():
        found = [theirs.scores[name][f"clip{c}"] for c in range(300)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9, err_msg=name)


def both(scores, labels=LABELS):
    return {"c": dict(zip(labels, GRADES, strict=True))}, {
        "c": dict(zip(labels, map(float, scores), strict=True))
    }


def trec(scores, labels=LABELS, k=3):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    qrels, run = both(scores, labels)
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {f"ndcg_cut.{k}"})
    return evaluator.evaluate(run)["c"][f"ndcg_cut_{k}"]


def ranx_of(scores, name, order=slice(None)):
    ranx = pytest.importorskip("ranx")
    qrels, run = both(scores)
    ordered = {"c": dict(list(run["c"].items())[order])}
    return float(ranx.evaluate(ranx.Qrels(qrels), ranx.Run(ordered), name))


def mine(scores, k=3, **options):
    return float(ndcg(scores, GRADES, [0, 4], [k], **options)[0, 0])


def test_where_the_tools_differ_on_one_clip():
    ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score
    assert mine(SCORES) == pytest.approx(0.7426, abs=5e-5)
    assert mine(SCORES, ties="stable") == pytest.approx(0.7967, abs=5e-5)
    assert ndcg_score([GRADES], [SCORES], k=3) == pytest.approx(0.8100, abs=5e-5)
    assert trec(SCORES) == pytest.approx(0.8597, abs=5e-5)
    assert ranx_of(SCORES, "ndcg_burges@3") == pytest.approx(0.7967, abs=5e-5)
    assert ranx_of(SCORES, "ndcg@3") == pytest.approx(0.8597, abs=5e-5)


def test_what_a_model_that_knows_nothing_is_worth():
    flat = [1.0] * 4
    assert mine(flat, 1) == pytest.approx(1 / 3)
    assert pytest.importorskip("sklearn.metrics").ndcg_score([GRADES], [flat], k=1) == 0.375
    # By document name, falling: the name of a label decides.
    assert trec(flat, k=1) == 0.0
    assert trec(flat, ["zz quarrel", *LABELS[1:]], k=1) == 1.0
    # By the order in which the run was given.
    assert ranx_of(flat, "ndcg_burges@1") == 1.0
    assert ranx_of(flat, "ndcg_burges@1", slice(None, None, -1)) == 0.0


def test_scores_that_single_precision_cannot_tell_apart():
    """trec_eval keeps scores in single precision: these tie there, and the names decide."""
    pytrec_eval, ranx = pytest.importorskip("pytrec_eval"), pytest.importorskip("ranx")
    qrels, run = {"c": {"a": 1, "b": 0}}, {"c": {"a": 1 + 1e-9, "b": 1.0}}
    assert ndcg([1 + 1e-9, 1.0], [1, 0], [0, 2], [1])[0, 0] == 1.0
    assert ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), "ndcg@1") == 1.0
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.1"})
    assert evaluator.evaluate(run)["c"]["ndcg_cut_1"] == 0.0
    assert evaluator.evaluate({"c": {"a": 1 + 1e-6, "b": 1.0}})["c"]["ndcg_cut_1"] == 1.0


def test_what_a_clip_without_a_relevant_label_is_worth():
    grades, scores = [[0, 0], [1, 0]], [[1.0, 0.0], [1.0, 0.0]]
    flat, offsets = np.ravel(grades), [0, 2, 4]
    values = ndcg(np.ravel(scores), flat, offsets, [2])[:, 0]
    assert (np.isnan(values[0]), values[1]) == (True, 1.0)
    assert pytest.importorskip("sklearn.metrics").ndcg_score(grades, scores) == 0.5
    ranx, pytrec_eval = pytest.importorskip("ranx"), pytest.importorskip("pytrec_eval")
    qrels = {c: dict(zip("ab", g, strict=True)) for c, g in zip("cd", grades, strict=True)}
    run = {c: dict(zip("ab", s, strict=True)) for c, s in zip("cd", scores, strict=True)}
    assert ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), "ndcg_burges@2") == 0.5
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.2"}).evaluate(run)
    assert [found[c]["ndcg_cut_2"] for c in "cd"] == [0.0, 1.0]
