"""What two sets of documents share, against a plain double loop and what is known of real files."""

import math
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import baselines.letor.leaks as module
from baselines.letor.documents import Documents
from baselines.letor.leaks import PLACEHOLDER, compare, printed, shared

NULL = math.nan


def documents(lists, *, grades=True, ids=True, name="file") -> Documents:
    """Query -> its documents: (features, grade, id), the last two where they are asked for."""
    rows = [row for of_query in lists.values() for row in of_query]
    return Documents(
        name=name,
        sha256=name,
        x=np.array([row[0] for row in rows], np.float32),
        grades=np.array([row[1] for row in rows]) if grades else None,
        offsets=np.cumsum([0, *map(len, lists.values())]),
        queries=tuple(lists),
        documents=tuple(row[2] for row in rows) if ids else None,
    )


def only_rows(a, b):
    """What two blocks of features share: one query each, no grades and no ids."""
    left, right = ({q: [(row,) for row in rows]} for q, rows in (("a", a), ("b", b)))
    return shared(*(documents(side, grades=False, ids=False) for side in (left, right)))


def test_every_kind_of_overlap():
    a = documents({
        "10": [((1, 2), 2, "D1"), ((3, 4), 0, "D2"), ((5, 6), 1, PLACEHOLDER)],
        "11": [((7, 8), 0, "D3"), ((3, 4), 1, ""), ((0, 0), 0, "D4")],
    })  # fmt: skip
    b = documents({
        "20": [((9, 9.5), 1, "D3"), ((2, 3), 0, "D9")],  # a document of another query
        "11": [((4, 5), 0, "D8"), ((0, 1), 0, PLACEHOLDER)],  # a query, and the placeholder
        "21": [((3, 4), 1, "D7"), ((1, 2), 0, ""), ((0, 0), 0, "D6")],  # rows
        "22": [((6, 7), 1, ""), ((5, 5), 2, "D5")],  # neither no id nor a constant row
    })  # fmt: skip
    found = shared(a, b)
    assert found.queries == ("11",)
    assert found.documents == ("D3",)
    assert found.placeholders == (1, 1)
    assert found.compared == (6, 9)
    assert found.silent == (1, 2)
    # (3, 4) stands twice in a; the second has grade 1, too. (1, 2) has another grade there.
    assert found.equal.tolist() == [[4, 4], [0, 5]]
    assert (found.same_grade, found.other_grade, found.alike) == (1, 1, 0)
    assert found.rows == 3  # D3, (3, 4), (1, 2)
    assert found.queries_touched == 3  # 20 by a document, 11 by its id, 21 by rows

    other = shared(b, a)
    assert (other.queries, other.documents, other.placeholders) == (("11",), ("D3",), (1, 1))
    # Of the two that are (3, 4) in a, the first is D2, so not D7.
    assert other.equal.tolist() == [[5, 0], [4, 4]]
    assert (other.same_grade, other.other_grade, other.alike) == (1, 1, 1)
    assert (other.rows, other.queries_touched) == (3, 2)


@pytest.mark.parametrize(
    ("of_a", "name", "grade", "expected"),
    [
        ([("D1", 0), ("D2", 0)], "D2", 0, (1, 1, 0, 0)),  # its own document, not the first row
        ([("D1", 0), ("D2", 0)], "D3", 0, (None, 0, 0, 1)),  # another one: alike by chance
        ([("D1", 1), ("D2", 0)], "D2", 1, (1, 0, 1, 0)),  # nor is its grade that of D1
        ([("D1", 0), ("", 1)], "D3", 0, (1, 0, 1, 0)),  # who knows what the second is
        ([("D1", 0), ("", 1), ("D3", 0)], "D3", 0, (2, 1, 0, 0)),  # the same grade goes first
        ([("", 1), ("D3", 1)], "D3", 0, (0, 0, 1, 0)),
        ([("D1", 1), ("D2", 0)], "", 0, (1, 1, 0, 0)),
        ([("D1", 1), ("D2", 0)], "", 2, (0, 0, 1, 0)),
        ([(PLACEHOLDER, 1)], "D1", 1, (0, 1, 0, 0)),
        ([("D1", 1)], PLACEHOLDER, 1, (0, 1, 0, 0)),
        ([(PLACEHOLDER, 1)], PLACEHOLDER, 0, (0, 0, 1, 0)),
    ],
)
def test_rows_of_other_documents_are_not_equal(of_a, name, grade, expected):
    a = documents({"7": [((1, 2), of_row, of_doc) for of_doc, of_row in of_a]})
    b = documents({"8": [((1, 2), grade, name)]})
    found = shared(a, b)
    partner, *numbers = expected
    assert found.equal.tolist() == ([] if partner is None else [[partner, 0]])
    assert [found.same_grade, found.other_grade, found.alike] == numbers
    assert found.rows == (partner is not None)


def test_nothing():
    a = documents({"1": [((1, 2), 0, "D1")], "5": [((1, 3), 0, PLACEHOLDER)]})
    b = documents({"2": [((2, 1), 0, "D2")], "6": [((0, 0), 0, PLACEHOLDER)]})
    found = shared(a, b)
    assert (found.queries, found.documents, found.equal.shape) == ((), (), (0, 2))
    assert (found.rows, found.queries_touched) == (0, 0)
    assert (found.placeholders, found.silent) == ((1, 1), (0, 1))


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ((1, NULL), (1, NULL), True),
        ((1, NULL), (NULL, 1), False),
        ((1, NULL), (1, 0), False),  # NULL is not 0
        ((1, 0.0), (1, -0.0), True),  # but 0 is -0
        ((2, 1.00000001), (2, 1.0000000099), True),  # one 32-bit number
        ((1, 2), (2, 1), False),
        ((1e30, 1), (1e30, 2), False),
        ((NULL, NULL), (NULL, NULL), False),  # says nothing
        ((0.0, -0.0), (0.0, 0.0), False),  # nor does this
        ((3, 3), (3, 3), False),
        ((NULL, 3), (NULL, 3), True),
    ],
)
def test_when_rows_are_equal(a, b, equal):
    found = only_rows([a], [b])
    assert found.equal.tolist() == ([[0, 0]] if equal else [])
    assert found.rows == found.queries_touched == equal


def test_any_nan_is_null():
    other = np.array([0x7FC00000, 0xFFC12345], np.uint32).view(np.float32)
    assert only_rows([(1, other[0])], [(1, other[1])]).equal.tolist() == [[0, 0]]
    assert only_rows([other], [other]).silent == (1, 1)


@pytest.mark.parametrize(
    ("grades", "ids", "expected"),
    [((True, False), (True, True), (0, 0)), ((False, True), (True, True), (0, 0)),
     ((True, True), (False, True), (1, 1)), ((True, True), (True, False), (1, 1))],
)  # fmt: skip
def test_without_grades_or_ids(grades, ids, expected):
    rows = {"7": [((1, 2), 0, "D1"), ((1, 3), 1, "D2")]}
    others = {"8": [((1, 2), 0, "D1"), ((1, 3), 0, "D2")]}
    a = documents(rows, grades=grades[0], ids=ids[0])
    b = documents(others, grades=grades[1], ids=ids[1])
    found = shared(a, b)
    assert len(found.equal) == found.rows == 2
    assert (found.same_grade, found.other_grade) == expected
    assert found.documents == (("D1", "D2") if all(ids) else None)


def test_numbers_are_no_ids():
    """Lists without ids are numbered from 1 in every file."""
    a = documents({"1": [((1, 2), 0, "A")], "2": [((1, 3), 0, "B")]})
    b = documents({"1": [((2, 2.5), 0, "C")], "2": [((3, 3.5), 0, "D")], "3": [((4, 5), 0, "B")]})
    found = shared(a, b)
    assert found.queries is None
    assert (found.documents, found.queries_touched) == (("B",), 1)
    named = documents({"2": [((2, 3), 0, "C")], "1": [((3, 2), 0, "D")]})  # ids: not in order
    assert shared(a, named).queries == ("2", "1")
    assert shared(named, a).queries_touched == 2


def test_other_numbers_of_features_are_not_compared():
    a = documents({"7": [((1, 2, 0), 0, "A")]})
    b = documents({"7": [((1, 2), 0, "A"), ((0, 0), 0, "B")]})
    found = shared(a, b)
    assert (found.compared, found.silent, len(found.equal)) == ((0, 0), (0, 0), 0)
    assert (found.queries, found.documents, found.rows) == (("7",), ("A",), 1)


def test_files_of_a_side_stand_together():
    """Rows are numbered through them, also through those with other numbers of features."""
    a = [
        documents({"1": [((1, 2, 3), 0, "A"), ((4, 5, 6), 2, "B")]}),
        documents({"5": [((1, 2), 1, "C")], "6": [((8, 9), 0, "D"), ((6, 6), 0, "")]}, ids=False),
        documents({"7": [((9, 9, 9, 9, 9), 0, "H")]}),
    ]
    b = [
        documents({"1": [((4, 5, 6), 2, "B")]}),
        documents({"9": [((8, 9), 0, "E")]}, grades=False),
        documents({"5": [((1, 2), 1, "F"), ((8, 9), 1, "B"), ((6, 6), 0, PLACEHOLDER)]}),
        documents({"4": [((4, 4, 4, 4), 0, "A")]}),
    ]
    found = compare([printed(one) for one in a], [printed(one) for one in b])
    assert found.queries == ("1", "5")
    assert found.documents == ("B", "A")
    assert found.placeholders == (0, 1)
    assert (found.compared, found.silent) == ((5, 5), (1, 1))
    assert found.equal.tolist() == [[1, 0], [3, 1], [2, 2], [3, 3]]
    assert (found.same_grade, found.other_grade) == (2, 1)
    assert (found.rows, found.queries_touched) == (5, 4)


def test_a_set_with_itself():
    rng = np.random.default_rng(4)
    x = rng.random((3000, 5), np.float32)
    names = tuple(f"D{i}" for i in range(3000))
    queries = tuple(f"{i}" for i in range(7, 107))
    grades = rng.integers(0, 5, 3000)
    whole = Documents("w", "w", x, grades, np.arange(101) * 30, queries, names)
    found = shared(whole, whole)
    assert found.equal.tolist() == [[i, i] for i in range(3000)]
    assert (found.queries, found.documents) == (queries, names)
    assert (found.same_grade, found.rows, found.queries_touched) == (3000, 3000, 100)
    folds = whole.take(range(60)), whole.take(range(60, 100))
    assert shared(*folds).queries_touched == 0
    assert shared(whole, folds[1]).equal.tolist() == [[1800 + i, i] for i in range(1200)]


VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, NULL])
IDS = st.sampled_from(["", PLACEHOLDER, "D1", "D2", "D3"])


@st.composite
def sides(draw):
    """One to three files of few rows from few values, so that much is equal."""
    files = []
    for i in range(draw(st.integers(1, 3))):
        width = draw(st.integers(1, 3))
        row = st.tuples(st.tuples(*[VALUES] * width), st.integers(0, 2), IDS)
        names = st.lists(st.sampled_from("12345"), min_size=1, max_size=3, unique=True)
        lists = {name: draw(st.lists(row, min_size=1, max_size=5)) for name in draw(names)}
        graded, with_ids = draw(st.booleans()), draw(st.booleans())
        files.append(documents(lists, grades=graded, ids=with_ids, name=f"f{i}"))
    return files


def says_nothing(row):
    return all(v == row[0] for v in row) or all(math.isnan(v) for v in row)


def same(one, two):
    pairs = zip(one, two, strict=True)
    return all(v == w or (math.isnan(v) and math.isnan(w)) for v, w in pairs)


def by_hand(a, b):
    """Every row of b against every row of a."""

    def rows(side):
        return [
            (
                tuple(map(float, file.x[i])),
                None if file.grades is None else int(file.grades[i]),
                file.documents[i] if file.documents else "",
                (number, int(np.searchsorted(file.offsets, i, "right")) - 1),
            )
            for number, file in enumerate(side) for i in range(len(file.x))
        ]  # fmt: skip

    pairs, agreed, differed, alike, affected, touched = [], 0, 0, 0, 0, set()
    for j, (y, grade, name, query) in enumerate(rows(b)):
        looks = [
            (i, other, their) for i, (x, other, their, _) in enumerate(rows(a))
            if len(x) == len(y) and same(x, y) and not says_nothing(x)
        ]  # fmt: skip
        equal = [
            (i, other) for i, other, their in looks
            if their == name or not (their.startswith("D") and name.startswith("D"))
        ]  # fmt: skip
        alike += bool(looks) and not equal
        known = name.startswith("D") and any(name == other for _, _, other, _ in rows(a))
        if equal:
            first = [i for i, other in equal if other == grade and grade is not None]
            pairs.append([first[0] if first else equal[0][0], j])
            agreed += bool(first)
            differed += (
                grade is not None and not first and any(other is not None for _, other in equal)
            )
        if equal or known:
            affected += 1
            touched.add(query)
    numbered = all(f.queries == tuple("123"[: len(f)]) for f in (*a, *b))
    queries = None
    if not numbered:
        there = {query for f in a for query in f.queries}
        asked = [(n, i, q) for n, f in enumerate(b) for i, q in enumerate(f.queries) if q in there]
        touched |= {(n, i) for n, i, _ in asked}
        queries = tuple(dict.fromkeys(q for _, _, q in asked))
    return queries, pairs, agreed, differed, alike, affected, len(touched)


@settings(max_examples=300, deadline=None)
@given(sides(), sides(), st.booleans())
def test_a_plain_double_loop_finds_the_same(a, b, weak):
    left, right = ([printed(file) for file in side] for side in (a, b))
    if weak:  # all fingerprints are equal: exactness must not hang on them
        for part in (*left, *right):
            part.prints[:] = 7
    found = compare(left, right)
    numbers = (found.same_grade, found.other_grade, found.alike, found.rows, found.queries_touched)
    assert (found.queries, found.equal.tolist(), *numbers) == by_hand(a, b)


def test_chunks_do_not_show(monkeypatch):
    rng = np.random.default_rng(5)
    a, b = (rng.integers(0, 3, (60, 4)).astype(np.float32) for _ in range(2))
    whole = only_rows(a, b)
    assert 5 < len(whole.equal) < 60
    for values in (1, 9, 100):
        monkeypatch.setattr(module, "VALUES_AT_ONCE", values)
        parts = only_rows(a, b)
        assert parts.equal.tolist() == whole.equal.tolist()
        assert parts.silent == whole.silent


def test_fingerprints_tell_rows_apart():
    """Of 20,000 rows of whole numbers, as counts are, hardly two have one by chance."""
    x = np.random.default_rng(6).integers(0, 50, (20_000, 30)).astype(np.float32)
    x = np.unique(x, axis=0)
    one = documents({"q": [((0,),)]}, grades=False, ids=False)
    found = printed(Documents(**{**vars(one), "x": x, "offsets": np.array([0, len(x)])}))
    assert len(np.unique(found.prints)) == len(x)


@pytest.fixture(scope="module")
def real():
    """Read a file of the folder of real data."""
    folder = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if not folder:
        pytest.skip("LRMOVIENET_EXTRA_DATA is unset: the ranking data are not here")
    from baselines.letor.read import read

    return lambda name: read(Path(folder) / name)


@pytest.fixture(scope="module")
def agg(real):
    return [printed(real(f"mq2007_agg/S{i}.txt")) for i in (1, 2, 3, 4)]


def test_mq2007_and_mq2008_share_55_documents(real, agg):
    part = printed(real("mq2008_fold1_part/vali_part.txt"))
    found = compare(agg, [part])
    assert found.queries == ()
    assert len(found.documents) == 55
    assert PLACEHOLDER not in found.documents
    assert found.compared == (0, 0)  # 21 features against 46
    each = [compare([one], [part]) for one in agg]
    assert [len(one.documents) for one in each] == [13, 13, 19, 13]
    assert {name for one in each for name in one.documents} == {*found.documents}
    assert found.placeholders == (sum(one.placeholders[0] for one in each), 1)
    assert [one.placeholders[0] for one in each] == [153, 167, 185, 170]


def test_parts_of_mq2007_share_documents(agg):
    """As counted by `comm` over their sorted ids, in which the placeholder is one more."""
    found = [compare([a], [b]) for a, b in combinations(agg, 2)]
    assert [one.queries for one in found] == [()] * 6
    assert [len(one.documents) + 1 for one in found] == [283, 359, 288, 265, 237, 331]
    # Three features in ten are NULL: most rows that are equal are of other documents.
    assert [(len(one.equal), one.alike) for one in found[:2]] == [(14, 656), (28, 641)]


def test_texts_of_mq2007_are_equal_where_rows_are(agg):
    """Its values are whole numbers and NULL, so that one row has one text."""
    sides = []
    for part in agg[:2]:
        path = Path(os.environ["LRMOVIENET_EXTRA_DATA"]) / "mq2007_agg" / part.documents.name
        lines = path.read_text().splitlines()
        rows = [line.split("#docid = ") for line in lines]
        sides.append([(row[0].split()[2:], row[1].split()[0]) for row in rows])
    mine: dict[str, set[str]] = {}
    for values, name in sides[0]:
        mine.setdefault(" ".join(values), set()).add(name)
    equal, alike = [], 0
    for j, (values, name) in enumerate(sides[1]):
        names = mine.get(" ".join(values), set())
        if names and len({value.split(":")[1] for value in values}) > 1:
            same = bool({name, PLACEHOLDER} & names) or name == PLACEHOLDER
            equal += [j] * same
            alike += not same
    found = compare(agg[:1], agg[1:2])
    assert (found.equal[:, 1].tolist(), found.alike) == (equal, alike)


def test_rows_without_ids_find_their_documents(real):
    """36 of 50 queries that came without grades are in a file that has them."""
    a, b = (
        real("mq2008_fold1_part/vali_part.txt"),
        real("letor_unlabelled/mq2008_fold1_vali_50q.npz"),
    )
    found = shared(a, b)
    assert len(found.queries) == 36
    assert found.documents is None
    row_of = dict(enumerate(np.repeat(a.queries, a.lengths)))
    query_of = dict(enumerate(np.repeat(b.queries, b.lengths)))
    assert all(row_of[i] == query_of[j] for i, j in found.equal)
