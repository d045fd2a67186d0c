"""What changed between two releases: each kind of change by hand, and what must hold of any two."""

import copy
import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import contents
from small_releases import clip, pair, record, refused, write_release

from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.release.diff import changelog, compare, entry

ADDED, REMOVED = ("clips added", "labels added", "preferences added"), (
    "clips removed", "labels removed", "preferences removed",
)  # fmt: skip
KINDS = (*ADDED, *REMOVED, "clips changed", "labels regraded", "labels moved to another split",
         "preferences turned round", "preferences moved to another subset",
         "labels changed otherwise", "preferences changed otherwise",
         "labels whose grade is shown now", "labels whose grade is hidden now",
         *(f"{config} {change}" for config in ("ratings", "pair_ratings")
           for change in ("added", "removed", "changed")))  # fmt: skip


def base():
    return {
        "clips": [clip(c) for c in ("a_0000", "a_0001", "b_0000", "c_0000")],
        "relevance": [
            *record("a_0000", "source_train", {"dog": 2, "rain": 0}),
            *record("a_0001", "target_dev", {"tank": 2, "mud": 1}),
            *record("b_0000", "target_pairs", {"tank": None, "mud": None, "smoke": None}),
            *record("c_0000", "target_test", {"tank": 1, "sea": 0}),
        ],
        "pairs": [pair("b_0000", "tank", "mud", 5), pair("b_0000", "tank", "smoke", 10)],
    }


def set_in(table, where, **changed):
    """A change of the rows of a table that have some values."""

    def change(tables):
        rows = [r for r in tables[table] if all(r[k] == v for k, v in where.items())]
        assert rows
        for row in rows:
            row.update(changed)

    return change


def add(table, *rows):
    return lambda tables: tables[table].extend(copy.deepcopy(rows))


def remove(table, **where):
    def change(tables):
        kept = [r for r in tables[table] if not all(r[k] == v for k, v in where.items())]
        assert len(kept) < len(tables[table])
        tables[table] = kept

    return change


def both(*changes):
    return lambda tables: [change(tables) for change in changes]


def replaced(position):
    keyframes = clip("a_0000")["keyframes"]
    keyframes[0] = {**keyframes[0], **position}
    return keyframes


CASES = {
    "nothing": (both(), {}),
    "a clip more": (
        both(add("clips", clip("d_0000")),
             add("relevance", *record("d_0000", "target_test", {"sky": 2, "ash": 0}))),
        {"clips added": [["d_0000"]],
         "labels added": [["d_0000", "target", "ash"], ["d_0000", "target", "sky"]]},
    ),
    "a clip less": (
        both(remove("clips", clip_id="c_0000"), remove("relevance", clip_id="c_0000")),
        {"clips removed": [["c_0000"]],
         "labels removed": [["c_0000", "target", "sea"], ["c_0000", "target", "tank"]]},
    ),
    "another description": (
        set_in("clips", {"clip_id": "a_0001"}, description="Nothing happens."),
        {"clips changed": [["a_0001"]]},
    ),
    "no time any more": (
        set_in("clips", {"clip_id": "c_0000"}, end_s=None), {"clips changed": [["c_0000"]]},
    ),
    "another frame": (
        set_in("clips", {"clip_id": "a_0000"}, keyframes=replaced({"sha256": "1" * 64})),
        {"clips changed": [["a_0000"]]},
    ),
    "a frame under another name": (
        set_in("clips", {"clip_id": "a_0000"}, keyframes=replaced({"ref": "a/x"})),
        {"clips changed": [["a_0000"]]},
    ),
    "how a frame looks, which is no change of the clip": (
        set_in("clips", {"clip_id": "a_0000"}, keyframes=replaced({"phash": "f" * 16})), {},
    ),
    "another grade": (
        set_in("relevance", {"clip_id": "a_0000", "label": "rain"}, grade=1),
        {"labels regraded": [["a_0000", "source", "rain", 0, 1]]},
    ),
    "a grade that was hidden": (
        set_in("relevance", {"clip_id": "b_0000", "label": "mud"}, grade=0),
        {"labels whose grade is shown now": [["b_0000", "target", "mud", None, 0]]},
    ),
    "another split": (
        set_in("relevance", {"clip_id": "c_0000"}, split="target_dev"),
        {"labels moved to another split": [
            ["c_0000", "target", "sea", "target_test", "target_dev"],
            ["c_0000", "target", "tank", "target_test", "target_dev"],
        ]},
    ),
    "another split and another grade": (
        set_in("relevance", {"clip_id": "c_0000", "label": "sea"}, split="target_pairs",
               grade=None),
        {"labels whose grade is hidden now": [["c_0000", "target", "sea", 0, None]],
         "labels moved to another split": [
             ["c_0000", "target", "sea", "target_test", "target_pairs"]]},
    ),
    "another domain, which is another record": (
        set_in("relevance", {"clip_id": "a_0000", "label": "rain"}, domain="target",
               split="target_dev", position=0),
        {"labels added": [["a_0000", "target", "rain"]],
         "labels removed": [["a_0000", "source", "rain"]]},
    ),
    "a preference more": (
        add("pairs", pair("b_0000", "smoke", "mud", 40)),
        {"preferences added": [["b_0000", "smoke", "mud"]]},
    ),
    "a preference less": (
        remove("pairs", worse="smoke"), {"preferences removed": [["b_0000", "tank", "smoke"]]},
    ),
    "a preference turned round": (
        set_in("pairs", {"worse": "mud"}, better="mud", worse="tank"),
        {"preferences turned round": [["b_0000", "mud", "tank"]]},
    ),
    "a preference in another subset": (
        set_in("pairs", {"worse": "mud"}, percent=40),
        {"preferences moved to another subset": [["b_0000", "tank", "mud", 5, 40]]},
    ),
    "the same labels of another clip": (
        set_in("pairs", {"worse": "mud"}, clip_id="a_0001"),
        {"preferences added": [["a_0001", "tank", "mud"]],
         "preferences removed": [["b_0000", "tank", "mud"]]},
    ),
    "no preferences at all": (
        remove("pairs", clip_id="b_0000"),
        {"preferences removed": [["b_0000", "tank", "mud"], ["b_0000", "tank", "smoke"]]},
    ),
}  # fmt: skip


def backwards(changes):
    """What the changes are when they are undone."""
    swap = dict(zip((*ADDED, *REMOVED), (*REMOVED, *ADDED), strict=True))
    shown, hidden = "labels whose grade is shown now", "labels whose grade is hidden now"
    swap |= {shown: hidden, hidden: shown}
    found = {}
    for kind, rows in changes.items():
        if kind == "preferences turned round":
            rows = sorted([c, worse, better] for c, better, worse in rows)
        elif kind in ("labels regraded", "labels whose grade is shown now",
                      "labels whose grade is hidden now", "labels moved to another split",
                      "preferences moved to another subset"):  # fmt: skip
            rows = [[*row[:-2], row[-1], row[-2]] for row in rows]
        found[swap.get(kind, kind)] = rows
    return found


def two(root, change):
    """The release of `base` and the one after a change."""
    tables = base()
    old = write_release(root / "old", **tables)
    change(tables := copy.deepcopy(tables))
    return old, write_release(root / "new", **tables, version="1.1.0")


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_change_and_back(tmp_path, case):
    change, expected = CASES[case]
    old, new = two(tmp_path, change)
    nothing = {kind: [] for kind in KINDS}
    assert compare(old, new) == nothing | expected
    assert compare(new, old) == nothing | backwards(expected)
    said = [f"- {kind}: {len(rows)}" for kind, rows in expected.items()]
    lines = entry(old, new, compare(old, new)).splitlines()
    assert sorted(line for line in lines if line.startswith("-")) == sorted(
        said or ["- no row changed"]
    )


def swapped(tables):
    a, b = (r for r in tables["relevance"] if r["clip_id"] == "c_0000")
    a["position"], b["position"] = b["position"], a["position"]


OF_C = ["c_0000", "target"]
REST = {
    "position": (swapped, "labels"), "source": ("event", "labels"), "genres": (["War"], "labels"),
    "n_ratings": (9, "labels"), "spread": (2, "labels"), "method": ("mean", "labels"),
    "n": (7, "preferences"), "agreement": (0.75, "preferences"),
}  # fmt: skip


@pytest.mark.parametrize("column", REST)
def test_no_change_of_a_row_goes_unsaid(tmp_path, column):
    """A record whose labels change places even asks for a new major version."""
    value, kind = REST[column]
    labels = kind == "labels"
    change = value if callable(value) else set_in(
        *(("relevance", {"clip_id": "c_0000"}) if labels else ("pairs", {"worse": "mud"})),
        **{column: value},
    )  # fmt: skip
    old, new = two(tmp_path, change)
    keys = [[*OF_C, "sea"], [*OF_C, "tank"]] if labels else [["b_0000", "tank", "mud"]]
    expected = {f"{kind} changed otherwise": [[*key, column] for key in keys]}
    for one, other in ((old, new), (new, old)):
        changes = compare(one, other)
        assert {kind: rows for kind, rows in changes.items() if rows} == expected
        assert f"- {kind} changed otherwise: {len(keys)}\n" in entry(one, other, changes)


def test_everything_that_differs_in_a_row_is_named_once(tmp_path):
    """The grade by its values, the rest by name."""
    change = set_in("relevance", {"label": "sea"}, grade=2, spread=1, source="event")
    old, new = two(tmp_path, change)
    assert {kind: rows for kind, rows in compare(old, new).items() if rows} == {
        "labels regraded": [[*OF_C, "sea", 0, 2]],
        "labels changed otherwise": [[*OF_C, "sea", "source, spread"]],
    }


LABELS = st.dictionaries(
    st.tuples(st.sampled_from(["a_0000", "b_0000"]), st.sampled_from(["source", "target"]),
              st.sampled_from("xyz")),
    st.tuples(st.sampled_from(["source_train", "target_pairs", "target_test"]),
              st.sampled_from([None, 0, 2])),
    min_size=1,
)  # fmt: skip
PAIRS = st.dictionaries(
    st.tuples(st.sampled_from(["a_0000", "b_0000"]), st.sampled_from(["xy", "yx", "xz", "zx"])),
    st.sampled_from([5, 10, 40]),
)
TEXTS = st.dictionaries(
    st.sampled_from(["a_0000", "b_0000", "c_0000"]), st.sampled_from(["One.", "Two."]), min_size=1
)
CONTENT = st.tuples(TEXTS, LABELS, PAIRS)


def release_of(root, content):
    texts, labels, pairs = content
    clips = [clip(c, description=text) for c, text in texts.items()]
    relevance = []
    for n, ((clip_id, domain, label), (split, grade)) in enumerate(sorted(labels.items())):
        relevance += record(clip_id, split, {label: grade}, domain=domain, position=n)
    return write_release(
        root, clips, relevance, [pair(c, *labels, p) for (c, labels), p in pairs.items()]
    )


def one_way(content):
    """Without a pair both ways round, which no table of preferences has."""
    texts, labels, pairs = content
    return texts, labels, {
        k: v for k, v in pairs.items() if k[1] < k[1][::-1] or (k[0], k[1][::-1]) not in pairs
    }  # fmt: skip


@settings(max_examples=30)
@given(CONTENT.map(one_way), CONTENT.map(one_way))
def test_what_changed_makes_the_newer_of_the_older_and_back(one, other):
    with tempfile.TemporaryDirectory() as folder:
        old, new = release_of(Path(folder) / "1", one), release_of(Path(folder) / "2", other)
        assert not any(compare(old, old).values())
        changes = compare(old, new)
        assert compare(new, old) == backwards(changes)
    assert changes["clips added"] == [[c] for c in sorted(other[0]) if c not in one[0]]
    assert changes["clips changed"] == [
        [c] for c in sorted(other[0]) if c in one[0] and one[0][c] != other[0][c]
    ]
    labels = dict(one[1])
    for row in changes["labels removed"]:
        del labels[tuple(row)]
    for *key, was, now in (
        *changes["labels regraded"], *changes["labels whose grade is shown now"],
        *changes["labels whose grade is hidden now"],
    ):  # fmt: skip
        assert labels[tuple(key)][1] == was
        labels[tuple(key)] = (labels[tuple(key)][0], now)
    for *key, was, now in changes["labels moved to another split"]:
        assert labels[tuple(key)][0] == was
        labels[tuple(key)] = (now, labels[tuple(key)][1])
    for row in changes["labels added"]:
        assert tuple(row) not in labels
        labels[tuple(row)] = other[1][tuple(row)]
    assert labels == other[1]
    pairs = {(c, *two) for c, two in one[2]}
    pairs -= {tuple(row) for row in changes["preferences removed"]}
    for c, better, worse in changes["preferences turned round"]:
        pairs.remove((c, worse, better))
        pairs.add((c, better, worse))
    pairs |= {tuple(row) for row in changes["preferences added"]}
    assert pairs == {(c, *two) for c, two in other[2]}
    for kind, rows in changes.items():
        assert rows == sorted(rows, key=lambda row: row[:3]), kind


def test_a_pair_that_stands_both_ways_round_is_no_change_where_nothing_changed(tmp_path):
    tables = base()
    tables["pairs"].append(pair("b_0000", "mud", "tank", 5))
    release = write_release(tmp_path / "r", **tables)
    assert not any(compare(release, release).values())


def test_the_verb_prints_counts_and_writes_every_row(tmp_path, capsys):
    old, new = two(tmp_path, CASES["another split and another grade"][0])
    before = contents(tmp_path)
    out = tmp_path / "changes.json"
    assert main(["diff", str(old.root), str(new.root), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "1.0.0 -> 1.1.0" in shown
    counted = "- labels whose grade is hidden now: 1\n- labels moved to another split: 1\n"
    assert f"Since 1.0.0:\n\n{counted}" in shown
    assert "c_0000, target, sea, 0, hidden" in shown
    assert "removed" not in shown
    assert json.loads(out.read_bytes()) == compare(old, new)
    out.unlink()
    assert contents(tmp_path) == before  # looking changes nothing


def test_the_verb_says_that_nothing_changed(tmp_path, capsys):
    old, new = two(tmp_path, CASES["nothing"][0])
    assert main(["diff", str(old.root), str(new.root)]) == 0
    assert "- no row changed" in capsys.readouterr().out


@pytest.mark.parametrize("label", ["[red]", "[/red]", "[bold]dog[/]", "[link=x", "a" * 200])
def test_labels_are_printed_as_they_are(tmp_path, capsys, monkeypatch, label):
    monkeypatch.setenv("COLUMNS", "200")
    old, new = two(tmp_path, add("relevance", *record("c_0000", "target_test", {label: 1},
                                                      position=2)))  # fmt: skip
    assert main(["diff", str(old.root), str(new.root)]) == 0
    assert f"c_0000, target, {label}"[:80] in capsys.readouterr().out


def test_what_the_verb_refuses(tmp_path, capsys):
    old, new = two(tmp_path, CASES["nothing"][0])
    for folders in ((), (old.root,), (old.root, new.root, old.root)):
        assert "give two folders" in refused(capsys, *folders, verb="diff")
    assert "no release here" in refused(capsys, old.root, tmp_path, verb="diff")
    path = new.path("clips", "clips")
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert "damaged" in refused(capsys, old.root, new.root, verb="diff")


def test_a_changelog_grows_at_its_top_and_keeps_what_was_written(tmp_path):
    first = write_release(tmp_path / "1", **base(), version="1.0.0")
    tables = base()
    CASES["another grade"][0](tables)
    about = {"title": "Tiny", "name": "tiny", "date": "2026-02-03"}
    second = write_release(tmp_path / "2", **tables, version="1.1.0", about=about)
    log = changelog(first, second)
    assert log == (
        "# Changelog\n\n## 1.1.0 (2026-02-03)\n\nSince 1.0.0:\n\n- labels regraded: 1\n\n"
        "## 1.0.0\n\nNo changelog was kept.\n"
    )
    # Somebody adds a sentence of their own, and another heading.
    kept = log.replace("# Changelog", "# What changed", 1) + "\nIt was a good year: 1.0.0 – über.\n"
    (second.root / "CHANGELOG.md").write_text(kept, encoding="utf-8")
    assert "No changelog was kept." in changelog(second, first)  # the manifest does not name it
    told = {"sha256": hashlib.sha256(kept.encode()).hexdigest(), "bytes": len(kept.encode())}
    second.manifest["files"]["CHANGELOG.md"] = told
    CASES["a clip less"][0](tables)
    third = write_release(tmp_path / "3", **tables, version="2.0.0", protocol="paper")
    assert changelog(second, third) == (
        "# What changed\n\n## 2.0.0\n\nSince 1.1.0:\n\n- clips removed: 1\n- labels removed: 2\n"
        "- protocol: `paper`\n\n" + kept.split("\n\n", 1)[1]
    )
    (second.root / "CHANGELOG.md").write_text(kept + "Not what was released.\n")
    with pytest.raises(UserError, match=r"CHANGELOG\.md: is not what the manifest says"):
        changelog(second, third)


def test_many_rows_are_counted_with_commas(tmp_path):
    tables = base()
    tables["relevance"] += [
        row for n in range(1200)
        for row in record("c_0000", "target_test", {f"label {n}": 1}, position=n + 2)
    ]  # fmt: skip
    new = write_release(tmp_path / "new", **tables)
    old = write_release(tmp_path / "old", **base())
    assert "- labels added: 1,200\n" in entry(old, new, compare(old, new))
