"""`lrmovienet letor bench` called again: folds, names, options and settings that are others now."""

import contextlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from letor_bench import (
    NAMES,
    bench,
    contents,
    grow,
    kept,
    made,
    official,
    pair,
    refused,
    rewrite,
    said,
    same,
)
from tiny_letor import made as documents
from tiny_letor import wrote_official

from baselines.letor.bench import Bench
from baselines.letor.methods import BASE, METHODS, REWARD
from baselines.letor.verb import LetorBenchConfig
from baselines.letor.work import Job
from eval.result import read
from lrmovienet.cli import main

pytestmark = pytest.mark.slow  # half a minute of trainings
LISTS = {"listnet", "dlcm", "prm", "gsf-1", "gsf", "setrank", "setrank-imsab", "rankformer",
         "context", "dasalc"}  # fmt: skip


# More folds of the same.


@pytest.fixture(scope="module")
def by_folds(tmp_path_factory) -> tuple[Path, list[str], dict[str, bytes]]:
    """Fold 1 of two methods, then all folds of one; what was said, and what was there between.

    Of the source, fold 1 learns 3 rows that fold 1 of the target tests; one query and two
    documents of these have the same ids.
    """
    folder = tmp_path_factory.mktemp("folds") / "w"
    parts = [documents(8, seed=i, first_query=1 + 100 * i, named=True) for i in range(3)]
    source = [
        documents(8, seed=9 + i, first_query=1008 + 100 * i, levels=5, named=True) for i in range(3)
    ]
    learned, tested = source[0], parts[2]  # of fold 1: see `wrote_official`
    ids = (*tested.documents[:2], "GX000-00-0000000", *learned.documents[3:])
    x = np.concatenate([tested.x[:3], learned.x[3:]])
    source[0] = replace(
        learned, x=x, documents=ids, queries=(tested.queries[4], *learned.queries[1:])
    )
    wrote_official(folder / "target", parts)
    wrote_official(folder / "source", source)
    told, between = [], {}
    for words in (["best-feature", "lr2ppo-base", "--folds", "1"], ["best-feature"]):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(official(folder, *words)) == 0
        told.append(out.getvalue())
        between = between or contents(folder / "out")
    return folder, told, between


@pytest.fixture
def folds(by_folds, tmp_path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(by_folds[0], tmp_path / "folds"))


def test_one_fold_first_and_then_all(by_folds, folds, capsys):
    """What was trained is kept; what rests on one fold alone stays, and is in nobody's way."""
    folder, (first, then), between = by_folds
    assert "2 runs over 1 folds: 2 trainings" in first and "were done before" not in first
    assert "1 runs over 3 folds: 3 trainings" in then and "1 of 3 trainings were done" in then
    assert "fold 1:" not in then and "fold 2:" in then and "fold 3:" in then
    out = contents(folder / "out")
    of_fold_1 = {name for name in between if ".fold1" in name}
    assert len(of_fold_1) >= 6
    stays = of_fold_1 | {"lr2ppo-base.R0.s0.json", "predictions/lr2ppo-base.R0.s0.parquet"}
    assert all(out[name] == between[name] for name in stays)
    assert json.loads(between["best-feature.R0.s0.json"])["gold"]["clips"] == 8
    for method, expected, queries in (("best-feature", "1 2 3", 24), ("lr2ppo-base", "1", 8)):
        result = read(folder / "out" / f"{method}.R0.s0.json")
        assert result.runs[0].training.options["folds"] == expected
        assert result.gold.clips == queries
    gold = pq.read_table(folder / "out" / "gold.parquet")["clip_id"].to_pylist()
    assert {query.split("/")[0] for query in gold} == {"1", "2", "3"} and len({*gold}) == 24
    table = pq.read_table(folder / "out" / "predictions" / "best-feature.R0.s0.parquet")
    assert table["clip_id"].to_pylist() == gold
    # Nor is the result of all folds in the way of one fold alone.
    assert kept(official(folds, "lr2ppo-base", "--folds", "1"), capsys) == "1 of 1"
    name = "best-feature.R0.s0.json"
    assert (folds / "out" / name).read_bytes() == out[name]
    assert json.loads((folds / "out" / "setting").read_bytes())["folds"].keys() == {"1", "2", "3"}


@pytest.mark.parametrize(
    ("changed", "wrong", "differ"),
    [
        (["target/Fold2/train.txt"], "2", "target"),
        (["target/Fold2/vali.txt"], "2", "target"),
        (["target/Fold2/test.txt"], "2", "target"),
        (["source/Fold3/train.txt"], "3", "source"),
        (["source/Fold3/train.txt", "target/Fold3/test.txt"], "3", "target, source"),
    ],
)
def test_a_fold_whose_files_are_others_is_refused_alone(folds, changed, wrong, differ, capsys):
    before = contents(folds / "out")
    for name in changed:
        grow(folds / name)
    for asked in (["--folds", wrong], []):
        message = refused(official(folds, "best-feature", *asked), capsys, empty=False)
        assert f"holds results of other sets or options ({differ} differ)" in message
    after = contents(folds / "out")  # beside it, the new files are in the cache
    assert {name: after[name] for name in before} == before
    others = [fold for fold in "123" if fold != wrong]
    assert kept(official(folds, "best-feature", "--folds", *others), capsys) == "2 of 2"
    told = read(folds / "out" / "best-feature.R0.s0.json").runs[0].training.options["folds"]
    assert told == " ".join(others)


def test_what_nobody_learns_of_a_source_may_change(folds, capsys):
    for part in ("vali", "test"):
        grow(folds / "source" / "Fold1" / f"{part}.txt")
    assert kept(official(folds, "best-feature"), capsys) == "3 of 3"


def test_what_source_and_target_share_is_told_in_numbers(by_folds, trained, root, capsys):
    sentence = (
        "the source and what chooses or is tested share 3 equal rows, 1 ids of queries and 2 of "
        "documents; look: lrmovienet letor leaks"
    )
    assert all(sentence in told.splitlines() for told in by_folds[1])
    nothing = said(pair(root, "lambdamart", "--dataset", "tiny"), capsys)
    assert "share" not in nothing and "letor leaks" not in nothing


def test_a_file_of_the_target_as_the_source_is_refused_once(folds, files, capsys):
    """Also where it is what a fold learns, which is neither chosen by nor tested."""
    shutil.rmtree(folds / "out")
    words = official(folds, "best-feature", "lambdamart")
    words[-1] = str(folds / "target" / "Fold1" / "train.txt")
    message = refused(words, capsys)
    assert message.count("a file of the source is one of the target too") == 1
    assert not (folds / "out" / "logs").exists()
    for protocol in ("honest", "released"):
        sides = ["--source", str(files / "b.txt"), "--protocol", protocol]
        message = refused(bench(files, "lambdamart", *sides), capsys)
        assert message.count("b.txt: a file of the source is one of the target too") == 1


# Options of methods.


def change(monkeypatch, name: str) -> None:
    """Another learning rate of one method, as a later version of the code may have it."""
    method = METHODS[name]

    def other(machine, levels, started):
        ranker = method.make(machine, levels, started)
        optimisation = replace(ranker.config.optimisation, learning_rate=0.5)
        ranker.config = replace(ranker.config, optimisation=optimisation)
        return ranker

    monkeypatch.setitem(METHODS, name, replace(method, make=other))


def keys(root: Path, device: str = "cpu") -> dict[Job, str]:
    """Of all trainings of all methods, with the options that they have now."""
    target, source = [root / "a.txt", root / "b.txt"], [root / "source.txt"]
    every = Bench(LetorBenchConfig(target=target, source=source, out=root / "out", seeds=1))
    setting = json.loads((root / "out" / "setting").read_bytes())
    every.common, every.files = setting["common"], setting["folds"]
    return {job: every.key(job, device) for job in every.jobs}


def test_a_key_is_of_a_methods_options_and_of_all_that_it_starts_from(trained, monkeypatch):
    before = keys(trained)
    scores = {path.stem: path for path in (trained / "out" / "scores").glob("*.json")}
    assert len(scores) == 16 and len({*before.values()}) == len(before)
    for job, key in before.items():
        if job.name in scores:
            assert json.loads(scores[job.name].read_bytes())["key"] == key
    follow = {name for name, method in METHODS.items() if BASE in method.starts_from}
    assert {REWARD, "lr2ppo", "preference", "dlcm"} <= follow and "listnet" not in follow
    for name, expected in (
        ("listnet", {"listnet"}), ("dlcm", {"dlcm"}), (BASE, follow | {BASE}),
        (REWARD, {REWARD, "lr2ppo", "distillation"}),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            change(patch, name)
            after = keys(trained)
        assert {job for job in before if before[job] != after[job]} == {
            job for job in before if job.method in expected
        }
    with monkeypatch.context() as patch:
        patch.setattr("baselines.letor.methods.EPOCHS", 13)
        after = keys(trained)
    assert {job.method for job in before if before[job] != after[job]} == LISTS
    assert keys(trained) == before


@pytest.mark.parametrize(
    ("changed", "asked", "named"),
    [
        ("listnet", ["lambdamart"], "listnet.R0.s0, listnet.R1.s0"),
        ("listnet", ["listnet", "--regimes", "R0"], "listnet.R1.s0"),
        ("listnet", ["listnet", "--regimes", "R1"], "listnet.R0.s0"),
        (BASE, ["lambdamart", "listnet", "best-feature"], "lr2ppo.R2.s0"),
        (BASE, ["lambdamart", "listnet", "lr2ppo-base"], "lr2ppo.R2.s0"),
        (REWARD, ["listnet", "--folds", "1"], "lr2ppo.R2.s0"),
    ],
)
def test_results_of_other_options_are_refused_where_they_are_not_asked_for(
    root, trained, changed, asked, named, monkeypatch, capsys
):
    logs = sorted((path, path.stat().st_mtime_ns) for path in (root / "out" / "logs").iterdir())
    change(monkeypatch, changed)
    message = refused(pair(root, *asked, "--dataset", "tiny"), capsys, empty=False)
    assert f"{root / 'out'}: {named}: made with other options" in message
    assert contents(root / "out") == contents(trained / "out")
    assert logs == sorted((path, path.stat().st_mtime_ns) for path, _ in logs)


def test_a_seed_is_a_part_of_what_a_result_is_of(root, capsys):
    """Results under the names of other seeds than were trained; more than five are counted."""
    for seed in range(1, 7):
        shutil.copy(root / "out/listnet.R0.s0.json", root / "out" / f"listnet.R0.s{seed}.json")
    before = contents(root / "out")
    for words in (["lambdamart"], ["listnet", "--regimes", "R1", "--seeds", "7"]):
        message = refused(pair(root, *words, "--dataset", "tiny"), capsys, empty=False)
        found = ", ".join(f"listnet.R0.s{seed}" for seed in range(1, 6))
        assert f": {found} and 1 more: made with other options" in message
    words = pair(root, "listnet", "--dataset", "tiny", "--seeds", "6")
    assert ": listnet.R0.s6: made with" in refused(words, capsys, empty=False)
    assert contents(root / "out") == before


def test_a_result_of_folds_that_nobody_knows_is_refused(root, capsys):
    rewrite(root / "out" / "listnet.R0.s0.json", options={"folds": "1 2 9"})
    message = refused(pair(root, "lambdamart", "--dataset", "tiny"), capsys, empty=False)
    assert ": listnet.R0.s0: made with other options" in message


def test_who_is_refused_adds_no_folds(folds, capsys):
    shutil.rmtree(folds / "out")
    assert main(official(folds, "best-feature", "--folds", "1")) == 0
    rewrite(folds / "out" / "best-feature.R0.s0.json", key="of others")
    before = (folds / "out" / "setting").read_bytes()
    refused(official(folds, "lr2ppo-base"), capsys, empty=False)
    assert (folds / "out" / "setting").read_bytes() == before


def test_a_result_of_other_options_is_made_again_where_it_is_asked_for(root, trained, capsys):
    rewrite(root / "out" / "lr2ppo.R2.s0.json", key="of others", date="1999-01-01")
    told = said(pair(root, "lr2ppo", "--dataset", "tiny"), capsys)
    assert "lr2ppo.R2.s0: its method has other options now, so it is made again" in told
    assert "6 of 6 trainings were done before" in told and told.count("made again") == 1
    assert contents(root / "out") == contents(trained / "out")


def test_a_result_that_is_made_again_is_removed_before(root, trained, monkeypatch, capsys):
    """Trainings fail here; what is of other options is gone all the same, and nothing else.

    Slow, as a process is started to fail.
    """
    (root / "out" / ".working").write_text("in the way of trainings")
    change(monkeypatch, "listnet")
    capsys.readouterr()
    assert main(pair(root, "listnet", "lambdamart", "--dataset", "tiny")) == 2
    told = capsys.readouterr()
    for name in ("listnet.R0.s0", "listnet.R1.s0"):
        assert f"{name}: its method has other options now, so it is made again" in told.out
        assert not (root / "out" / f"{name}.json").exists()
    assert told.out.count("made again") == 2
    assert "4 of 8 trainings failed" in told.err
    assert same(root, trained, but=("listnet", "gold", "setting"))
    assert {path.stem for path in (root / "out").glob("*.json")} == {
        "best-feature.R0.s0", "lambdamart.R0.s0", "lambdamart.R1.s0", "lr2ppo.R2.s0"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "again"),
    [("listnet", {"listnet R0", "listnet R1"}),
     (BASE, {"lr2ppo-base R0", "lr2ppo-reward R1", "lr2ppo R2"}),
     (REWARD, {"lr2ppo-reward R1", "lr2ppo R2"})],
)  # fmt: skip
def test_what_has_other_options_is_trained_again_and_what_starts_from_it(
    root, trained, changed, again, monkeypatch, capsys
):
    """Slow, as it trains. A process of its own has the usual options, so scores are the same."""
    words = pair(root, *NAMES, "--dataset", "tiny")
    name = "listnet." if changed == "listnet" else "lr2ppo."
    with monkeypatch.context() as patch:
        change(patch, changed)
        assert made(words, capsys) == {f"{job} seed 0 fold {n}" for job in again for n in (1, 2)}
        assert kept(words, capsys) == "16 of 16"
        of_jobs = tuple(f"scores/{job.replace(' ', '.')}" for job in again)
        assert same(root, trained, but=(name, *of_jobs))
        for path in (root / "out").glob(f"{name}*.json"):
            mine, old = (read(where / "out" / path.name).runs[0] for where in (root, trained))
            assert mine.training.key != old.training.key and mine.measures == old.measures
    message = refused(pair(root, "lambdamart", "--dataset", "tiny"), capsys, empty=False)
    assert f"{name}R" in message


def test_results_of_another_device_are_no_older_ones(root, trained, capsys):
    from lrmovienet.files import sha256_of

    of = {device: keys(root, device) for device in ("cpu", "cuda")}
    results = {"listnet.R1.s0": ("listnet", "R1"), "lr2ppo.R2.s0": ("lr2ppo", "R2")}
    for name, (method, regime) in results.items():
        jobs = [Job(fold, method, regime, 0) for fold in (1, 2)]
        cpu, cuda = (sha256_of([of[device][job] for job in jobs]) for device in ("cpu", "cuda"))
        path = root / "out" / f"{name}.json"
        assert read(path).runs[0].training.key == cpu != cuda
        rewrite(path, key=cuda)
    before = contents(root / "out")
    assert kept(pair(root, "lambdamart", "--dataset", "tiny"), capsys) == "4 of 4"
    assert contents(root / "out") == before
    # Asked for, they are made anew by the device that is asked for: here, as they were.
    assert "made again" not in said(pair(root, *NAMES, "--dataset", "tiny"), capsys)
    assert contents(root / "out") == contents(trained / "out")


def test_what_is_no_result_of_a_run_is_left_alone(root, trained, capsys):
    out = root / "out"
    stale = (out / "lambdamart.R1.s0.json").read_text()
    for name in ("nosuch.R0.s0", "listnet", "listnet.R9.s0", "listnet.R0.s0.old", "listnet.R0"):
        (out / f"{name}.json").write_text(stale)
    for name, content in (("lambdamart.R0.s5", "{"), ("lr2ppo.R2.s7", "[1]"), ("lr2ppo.R2.s8", ""),
                          ("notes", '{"of": "mine"}'), ("listnet.R1.s9", "{}")):  # fmt: skip
        (out / f"{name}.json").write_text(content)
    untrained = json.loads(stale)
    untrained["runs"][0]["training"] = None
    (out / "listnet.R0.s3.json").write_text(json.dumps(untrained))
    (out / "listnet.R0.s4.json").write_text(json.dumps(untrained | {"runs": []}))
    before = contents(out)
    assert kept(pair(root, *NAMES, "--dataset", "tiny"), capsys) == "16 of 16"
    assert contents(out) == before and same(root, trained)
    (out / "lr2ppo.R2.s0.json").write_text("{")  # one that is asked for is written again
    assert kept(pair(root, "lr2ppo", "--dataset", "tiny"), capsys) == "6 of 6"
    assert contents(out) == before


# What the folder is of.


@pytest.mark.parametrize(
    "content",
    [
        "[1]", "{", "{}", "", "null", '{"common": 1, "folds": {}}',
        '{"common": {}, "folds": {"1": 5}}', "\xff", None,
    ],
)  # fmt: skip
@pytest.mark.parametrize("results", [True, False])
def test_nobody_can_say_of_what_a_folder_is(root, trained, content, results, capsys):
    """One message, and nothing changes; but where nothing is said and no result is there."""
    setting = root / "out" / "setting"
    if not results:
        for path in (root / "out").glob("*.json"):
            path.unlink()
    setting.unlink()
    if content is not None:
        setting.write_bytes(content.encode("latin-1"))
    before = contents(root / "out")
    words = pair(root, *NAMES, "--dataset", "tiny")
    if content is None and not results:
        assert kept(words, capsys) == "16 of 16"
        assert contents(root / "out") == contents(trained / "out")
        return
    message = refused(words, capsys, empty=False)
    assert f"{setting}: not readable, so nobody can say" in message
    assert contents(root / "out") == before


@pytest.mark.parametrize("folds", [[], "", 5, None])
def test_nor_where_only_the_folds_are_damaged(root, folds, capsys):
    setting = root / "out" / "setting"
    setting.write_text(json.dumps(json.loads(setting.read_bytes()) | {"folds": folds}))
    before = contents(root / "out")
    message = refused(pair(root, "lambdamart", "--dataset", "tiny"), capsys, empty=False)
    assert f"{setting}: not readable, so nobody can say" in message
    assert contents(root / "out") == before
