"""Results set beside each other: what is put together, what is kept apart, and what is noise."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from generated_results import (
    CLIPS,
    FILMS,
    VERSION_1,
    WAVE,
    entries,
    generated_result,
    generated_run,
    level,
    marks,
    rows_of,
    saved,
)

from eval.boards import boards, load
from eval.leaderboard import html, markdown
from eval.result import (
    About,
    Conventions,
    Estimate,
    ResultError,
    Training,
)

# What is noise.


def test_pairs_by_film_decide_where_both_have_sums():
    """Intervals of .03 to either side overlap in all three; only pairs tell them apart."""
    films = 0.6 + 0.1 * WAVE
    (board,) = boards(
        entries(
            generated_result(
                generated_run("best", films),
                # .01 lower in every film: every resample says so.
                generated_run("always lower", films - 0.01),
                # .01 lower on average, but .1 to either side of that by film.
                generated_run("lower by chance", 0.59 - 0.1 * WAVE),
            )
        )
    )
    assert marks(board) == {"best": "best", "always lower": "", "lower by chance": "paired"}


def test_films_are_resampled_and_not_clips():
    """20 films differ by .1 · ±1 + .02. Films: standard error .1 / √20 = .022, so 0 is within.

    100 clips taken as independent would have .01, and the same difference would be two of them.
    """
    films = 0.6 + 0.02 + 0.1 * WAVE
    results = generated_result(generated_run("a", films), generated_run("b", level(0.6)))
    (board,) = boards(entries(results))
    assert marks(board) == {"a": "best", "b": "paired"}


def test_films_weigh_by_their_clips():
    """One film with most clips decides; by the mean over films the other run would be best."""
    counts = (200, *[1] * (FILMS - 1))
    gold = replace(generated_result().gold, film_clips=counts, clips=221)

    def run(name, films):
        mean = float(np.average(films, weights=counts))
        sums = {"ndcg@5": tuple(float(c * x) for c, x in zip(counts, films, strict=True))}
        return replace(
            generated_run(name, films, sums=False),
            measures={"ndcg@5": Estimate(mean, mean - 0.001, mean + 0.001)},
            by_film=sums,
        )

    big = run("big", [0.8, *[0.5] * (FILMS - 1)])
    small = run("small", [0.5, *[0.6] * (FILMS - 1)])
    path = entries(generated_result(big, small, gold=gold))
    (board,) = boards(path)
    # In a third of the resamples the large film is not drawn, and `small` is ahead.
    assert marks(board) == {"big": "best", "small": "paired"}


def test_the_mark_is_that_of_the_scorers_own_comparison():
    """The same bootstrap of the same differences, clip by clip, as `--compare` makes it."""
    from eval.significance import bootstrap

    rng = np.random.default_rng(0)
    film_of = np.repeat(np.arange(FILMS), CLIPS)
    ahead, told = rng.uniform(0.4, 0.6, FILMS * CLIPS), set()
    for shift in np.linspace(0.0, 0.06, 25):
        behind = np.clip(ahead - shift + rng.normal(0, 0.1, ahead.shape), 0, 1)
        runs = []
        for name, clips in (("a", ahead), ("b", behind)):
            sums = np.bincount(film_of, clips)
            run = generated_run(name, sums / CLIPS)
            runs.append(replace(run, by_film={"ndcg@5": tuple(sums.tolist())}))
        low, high = bootstrap((ahead - behind)[:, None], film_of, replicates=10_000, seed=0)
        (board,) = boards(entries(generated_result(*runs)))
        if ahead.mean() > behind.mean():
            assert marks(board) == {"a": "best", "b": "paired" if low[0] <= 0 <= high[0] else ""}
            told.add(marks(board)["b"])
    assert told == {"", "paired"}


@pytest.mark.parametrize(("mean", "mark"), [(0.57, "overlap"), (0.55, "overlap"), (0.53, "")])
def test_overlapping_intervals_decide_where_sums_are_lacking(mean, mark):
    for lacking in ("best", "other"):
        best = generated_run("best", level(0.6), sums=lacking != "best")
        other = generated_run("other", level(mean), sums=lacking != "other")
        (board,) = boards(entries(generated_result(best), generated_result(other)))
        assert marks(board) == {"best": "best", "other": mark}


def test_films_that_are_not_the_same_are_not_paired():
    """The film of a clip may come from another column; then only intervals can be compared."""
    a = generated_result(generated_run("a", level(0.6)))
    b = generated_result(generated_run("b", level(0.59)))
    other = replace(b, gold=replace(b.gold, film_ids=tuple(f"xx{i}" for i in range(FILMS))))
    assert marks(boards(entries(a, b))[0]) == {"a": "best", "b": ""}
    assert marks(boards(entries(a, other))[0]) == {"a": "best", "b": "overlap"}


def test_without_intervals_nothing_is_marked_and_a_dagger_says_so():
    sure = generated_result(generated_run("sure", level(0.59), sums=False))
    unsure = generated_run("unsure", level(0.6), sums=False, width=None)
    (board,) = boards(entries(sure, generated_result(unsure, confidence=None)))
    assert marks(board) == {"unsure †": "best", "sure": ""}
    assert "- † lacks intervals" in markdown([board])


def test_intervals_of_another_confidence_are_said_and_not_compared():
    a = generated_result(generated_run("a", level(0.6), sums=False))
    b = generated_result(generated_run("b", level(0.59), sums=False), confidence=0.9)
    (board,) = boards(entries(a, b))
    assert marks(board) == {"a": "best", "b (90% intervals)": ""}


def test_equal_best_runs_are_all_best():
    same = [generated_run(name, level(0.6)) for name in "ab"]
    assert marks(boards(entries(generated_result(*same)))[0]) == {"a": "best", "b": "best"}


def test_each_column_has_its_own_best():
    a = generated_run("a", level(0.6), ks=(1, 5))
    b = generated_run("b", level(0.5), ks=(1, 5))
    b.measures["ndcg@1"] = Estimate(0.7, 0.69, 0.71)
    b.by_film["ndcg@1"] = tuple([CLIPS * 0.7] * FILMS)
    (board,) = boards(entries(generated_result(a, b, ks=(1, 5))))
    assert marks(board, 0) == {"a": "", "b": "best"}
    assert marks(board, 1) == {"a": "best", "b": ""}


def test_one_film_gives_no_mark():
    gold = replace(generated_result().gold, films=1, film_ids=("tt0",), film_clips=(CLIPS,))
    runs = [
        replace(generated_run(name, [x], width=None), by_film={"ndcg@5": (CLIPS * x,)})
        for name, x in (("a", 0.6), ("b", 0.599))
    ]
    (board,) = boards(entries(generated_result(*runs, gold=gold)))
    assert marks(board) == {"a †": "best", "b †": ""}


# What is put together.


def test_regimes_are_tables_of_their_own_in_order():
    results = [
        generated_result(generated_run(f"of {regime}", level(mean)), regime=regime)
        for regime, mean in (("R2", 0.9), (None, 0.8), ("R0", 0.5), ("R1", 0.7))
    ]
    (board,) = boards(entries(*results))
    assert [title[:7] for title in board.tables] == ["R0: sou", "R1: R0 ", "R2: R1 ", "Regime "]
    assert [[row.name for row in rows] for rows in board.tables.values()] == [
        ["of R0"], ["of R1"], ["of R2"], ["of None"],
    ]  # fmt: skip
    assert set(marks(board).values()) == {"best"}
    # The floors stand under each.
    tables = rows_of(markdown([board]))
    assert [[row[0] for row in table[-3:]] for table in tables] == [
        ["oracle", "random order, expected", "worst order"]
    ] * 4


def test_rows_are_sorted_by_the_last_k_then_by_name():
    def run(name, at_1, at_5):
        given = ((1, at_1), (5, at_5))
        measures = {f"ndcg@{k}": Estimate(x) for k, x in given if x is not None}
        return replace(generated_run(name, level(0.5), sums=False), measures=measures)

    runs = [run("b", 0.1, 0.6), run("c", 0.9, None), run("a", 0.2, 0.6), run("d", 0.8, 0.7)]
    runs[2] = replace(runs[2], sha256="f" * 64)  # the name counts before the predictions
    (board,) = boards(entries(generated_result(*runs, ks=(5, 1), confidence=None)))
    (rows,) = board.tables.values()
    assert board.ks == (1, 5)
    assert [row.name for row in rows] == ["d †", "a †", "b †", "c †"]
    (table,) = rows_of(markdown([board]))
    assert table[0] == ["method", "predictions", "NDCG@1", "NDCG@5"]
    assert table[4] == ["c †", "63000000"[:8], ".900", "–"]
    assert "sorted by NDCG@5" in markdown([board])


def test_columns_are_those_of_all_files():
    a = generated_result(generated_run("a", level(0.6), ks=(1, 5)), ks=(1, 5))
    b = generated_result(generated_run("b", level(0.5), ks=(3,)), ks=(3,))
    (table,) = rows_of(markdown(boards(entries(a, b))))
    assert table[0][2:] == ["NDCG@1", "NDCG@3", "NDCG@5"]
    assert table[1] == ["a", "61000000", ".600 [.570, .630]", "–", ".600 [.570, .630]"]
    assert table[2] == ["b", "62000000", "–", ".500 [.470, .530]", "–"]
    assert table[4] == ["random order, expected", "", ".400", ".400", ".400"]


CHANGES = {
    "dataset": {"about": About("Other", "1.0", "strict", "R1")},
    "revision": {"about": About("LRMovieNet", "2.0", "strict", "R1")},
    "protocol": {"about": About("LRMovieNet", "1.0", "paper", "R1")},
    "split": {"gold": replace(generated_result().gold, split="target_dev")},
    "gold": {"gold": replace(generated_result().gold, sha256="0123456789abcdef" * 4)},
    "gain": {"conventions": Conventions("linear", "average", "skip", 1, 2)},
    "ties": {"conventions": Conventions("exp", "stable", "skip", 1, 2)},
    "empty": {"conventions": Conventions("exp", "average", "one", 1, 2)},
    "relevant_from": {"conventions": Conventions("exp", "average", "skip", 2, 2)},
    "max_grade": {"conventions": Conventions("exp", "average", "skip", 1, 3)},
    "compat": {"conventions": Conventions("exp", "average", "skip", 1, 2, "paper")},
    "scorer": {"scorer_version": "1"},
}
SHOWN = {
    "dataset": "Other instead of LRMovieNet",
    "gold": "0123456789ab instead of feedfacecafe",
    "ties": "stable instead of average",
    "relevant_from": "2 instead of 1",
    "scorer": "1 instead of 2",
    "compat": "paper instead of none",
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_made_otherwise_stands_apart(name):
    usual = generated_result(generated_run("a", level(0.6)), generated_run("b", level(0.5)))
    changed = generated_result(generated_run("other", level(0.9)), **CHANGES[name])
    made = boards(entries(changed, usual))
    assert [list(marks(board)) for board in made] == [["a", "b"], ["other"]]
    assert made[0].differs == ()
    (difference,) = made[1].differs
    assert difference.startswith(f"{name}: ")
    assert difference.removeprefix(f"{name}: ") == SHOWN.get(name, difference.split(": ")[1])
    text = markdown(made)
    apart = text.index("### Made with other gold or other conventions")
    assert text.index("| a |") < apart < text.index("| other |")
    assert "must not be compared" in text[apart:]
    page = html(made)
    assert page.index(">a<") < page.index("must not be compared") < page.index(">other<")


def test_the_largest_board_comes_first_and_the_order_of_files_does_not_matter():
    results = [
        generated_result(*[generated_run(f"{name}{i}", level(0.5 + i / 100)) for i in range(n)],
                         **change)
        for name, n, change in (("x", 1, {}), ("y", 3, CHANGES["ties"]), ("z", 1, CHANGES["gain"]))
    ]  # fmt: skip
    listed = entries(*results)
    texts = {markdown(boards(order)) for order in itertools.permutations(listed, len(listed))}
    assert len(texts) == 1
    assert [len(next(iter(b.tables.values()))) for b in boards(listed)] == [3, 1, 1]


def test_version_1_stands_apart_from_a_new_result(tmp_path):
    saved(tmp_path, new=generated_result(generated_run("a", level(0.6)),
                                         generated_run("b", level(0.5))))  # fmt: skip
    made = boards(load([VERSION_1, tmp_path / "new.json"]))
    assert [list(marks(board)) for board in made] == [["a", "b"], ["mine †"]]
    assert "scorer: 1 instead of 2" in made[1].differs
    tables = rows_of(markdown(made))
    assert tables[1][1] == ["mine †", "2999d2cd", ".250", ".737"]
    assert tables[1][3] == ["random order, expected", "", ".472", ".799"]


def test_a_run_that_is_in_two_files_is_shown_once():
    """And what only one of them has is kept; digits that depend on the machine do not matter."""
    a = generated_result(generated_run("a", level(0.6), ks=(1, 5), sums=False), ks=(1, 5))
    b = generated_result(generated_run("a", level(0.6 + 1e-12), ks=(5, 9)), ks=(5, 9))
    for order in ((a, b), (b, a)):
        (board,) = boards(entries(*order))
        ((row,),) = board.tables.values()
        assert [estimate.mean is None for estimate, _ in row.cells] == [False] * 3
    # The sums by film are kept as well, so that both k can be paired.
    ahead = generated_result(generated_run("b", level(0.61), ks=(5, 9), width=0.001), ks=(5, 9))
    by_5 = generated_result(generated_run("a", 0.6 + 0.1 * WAVE, ks=(5,), width=0.001), ks=(5,))
    by_9 = generated_result(generated_run("a", 0.6 + 0.1 * WAVE, ks=(9,), width=0.001), ks=(9,))
    (board,) = boards(entries(ahead, by_5, by_9))
    assert [marks(board, column)["a"] for column in (0, 1)] == ["paired", "paired"]
    once = generated_run("a", level(0.6))
    assert len(rows_of(markdown(boards(entries(generated_result(once, once)))))[0]) == 1 + 1 + 3


def test_other_predictions_of_the_same_name_are_another_run():
    runs = [generated_run("a", level(x), sha256=x_) for x, x_ in ((0.6, "1" * 64), (0.5, "2" * 64))]
    (table,) = rows_of(markdown(boards(entries(generated_result(*runs)))))
    assert [row[1] for row in table[1:3]] == ["11111111", "22222222"]


def test_a_row_keeps_the_runs_that_it_shows():
    """All seeds of a method, a run of two files once, and what only one of these had."""

    def seed(number, regime="R1", **more):
        run = generated_run(f"a{number}", level(0.5 + number / 10), **more)
        told = Training("a", number, "k", "r", {}, 0, 9, 1.0, None, "a", "2026-01-02", "here")
        return generated_result(replace(run, training=told), regime=regime, ks=(1, 5))

    mine = generated_result(generated_run("mine", level(0.4)))
    aside = generated_result(generated_run("aside", level(0.3)), **CHANGES["max_grade"])
    given = [seed(0), seed(1, ks=(1,)), seed(1, ks=(5,)), seed(0), seed(2, "R0"), mine, aside]
    for order in (entries(*given), entries(*given[::-1])):
        board, other = boards(order)
        shown = [
            [(row.name, [entry.run.name for entry in row.entries]) for row in rows]
            for rows in board.tables.values()
        ]
        for rows in shown:
            for _, names in rows:
                names.sort()
        assert shown == [[("a", ["a2"])], [("a", ["a0", "a1"]), ("mine", ["mine"])]]
        assert sorted(entry.run.name for entry in board.entries) == ["a0", "a1", "a2", "mine"]
        (merged,) = [entry for entry in board.entries if entry.run.name == "a1"]
        assert set(merged.run.by_film) == {"ndcg@1", "ndcg@5"}
        # They are the runs as they were read, and not the mean over them.
        assert all(entry.facts is None and not entry.seeds for entry in board.entries)
        assert [entry.run.name for entry in other.entries] == ["aside"]
        assert board.floors and not any(row.entries for row in board.floors)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            generated_result(generated_run("a", level(0.601))),
            r"has ndcg@5 0\.[56]\d* and 0\.60[01]\d*",
        ),
        (generated_result(generated_run("a", level(0.6)), regime="R2"), "has R1 and R2"),
        (generated_result(generated_run("a", level(0.6)), regime=None), "has R1 and no regime"),
        (
            generated_result(
                generated_run("b", level(0.6)), references={"random": {"ndcg@5": 0.5}}
            ),
            "ndcg@5 of the 'random' order is 0.4 and 0.5",
        ),
    ],
)
def test_files_that_contradict_each_other_are_both_named(other, message):
    with pytest.raises(ResultError, match=f"^0.json and 1.json: .*{message}.* Remove the file"):
        boards(entries(generated_result(generated_run("a", level(0.6))), other))


def test_missing_labels_are_said():
    run = generated_run("a", level(0.6), missing=1234)
    assert list(marks(boards(entries(generated_result(run)))[0])) == ["a (1,234 labels missing)"]
