"""Versions: what may follow what, by a table and by building one release after the other."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import build, contents, copied, rows_of, verb
from small_releases import refused

from lrmovienet.cli import main
from lrmovienet.release.check import check
from lrmovienet.release.layout import Release
from lrmovienet.release.versions import number, refusal


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.0.0", (0, 0, 0)), ("1.2.3", (1, 2, 3)), ("10.20.30", (10, 20, 30)),
        ("999999999.0.1", (999999999, 0, 1)), ("1234567890.0.0", None), ("1.2", None),
        ("1.2.3.4", None), ("v1.2.3", None), ("01.2.3", None), ("1.02.3", None), ("1.2.-3", None),
        ("1.2.3\n", None), (" 1.2.3", None), ("1.2.3-rc1", None), ("1.2.٣", None), ("", None),
        ("1..3", None), ("1,2,3", None), ("1.2.3+x", None),
    ],
)  # fmt: skip
def test_versions_are_three_numbers(version, expected):
    assert number(version) == expected


@given(st.tuples(*[st.integers(0, 10**9 - 1)] * 3), st.tuples(*[st.integers(0, 30)] * 3))
def test_numbers_are_read_as_they_are_written(one, other):
    assert number(".".join(map(str, one))) == one
    assert number(".".join(map(str, other))) == other


def manifest(version, digest="a", **splits):
    return {
        "version": version, "digest": digest,
        "splits": {split: {"membership": of} for split, of in splits.items()},
    }  # fmt: skip


OLD = {"target_pairs": "p", "target_test": "t"}
MAY, HIGHER, CONTENT, MAJOR = None, "is higher than", "another content", "major version: 2.0.0"


@pytest.mark.parametrize(
    ("version", "digest", "splits", "expected"),
    [
        ("1.9.0", "a", OLD, MAY),  # the very same
        ("1.9.0", "b", OLD, CONTENT),
        ("1.9.0", "b", {**OLD, "target_test": "u"}, CONTENT),
        ("1.9.1", "b", OLD, MAY),
        ("1.10.0", "b", OLD, MAY),  # ten is more than nine
        ("1.10.0", "a", OLD, MAY),
        ("2.0.0", "b", OLD, MAY),
        ("1.8.9", "b", OLD, HIGHER),
        ("1.8.10", "a", OLD, HIGHER),
        ("0.99.99", "b", OLD, HIGHER),
        ("1.9.1", "b", {**OLD, "target_test": "u"}, MAJOR),
        ("1.10.0", "b", {"target_test": "t"}, MAJOR),  # a split is gone
        ("1.10.0", "b", {}, MAJOR),
        ("1.10.0", "b", {"target_pairs": "t", "target_test": "p"}, MAJOR),
        ("2.0.0", "b", {**OLD, "target_test": "u"}, MAY),
        ("2.0.1", "b", {}, MAY),
        ("10.0.0", "b", {**OLD, "target_test": "u"}, MAY),
        ("1.9", "b", OLD, "cannot be compared"),
        ("1.9.0-rc1", "a", OLD, "cannot be compared"),
    ],
)
def test_what_may_follow_1_9_0(version, digest, splits, expected):
    found = refusal(manifest(version, digest, **splits), manifest("1.9.0", "a", **OLD))
    assert found is None if expected is None else expected in found


def test_the_splits_that_moved_are_named():
    new = manifest("1.9.1", "b", **{**OLD, "target_test": "u"})
    found = refusal(new, manifest("1.9.0", "a", **OLD))
    assert "`target_test`" in found
    assert "`target_pairs`" not in found


def test_an_older_version_that_is_none_is_not_followed():
    assert "cannot be compared" in refusal(manifest("1.0.0"), manifest("latest"))


@pytest.fixture(scope="module")
def paper(tiny, tmp_path_factory):
    """The tiny corpus split as in the paper. Read only."""
    root = copied(tiny, tmp_path_factory.mktemp("paper") / "w")
    verb("split", root, "--equal_grades", "drop", "--protocol", "paper")
    return root


def argv(workspace, out, version, previous, *options):
    return ["build", "--workspace", workspace, "--out", out, "--version", version,
            "--previous", previous, *options]  # fmt: skip


def built_as(*given):
    assert main(["release", *map(str, argv(*given))]) == 0
    return Release.open(given[1])


def test_releases_one_after_the_other_in_one_folder(tiny, paper, tmp_path):
    """Each takes the place of the one before, whose changelog it goes on with."""
    out = tmp_path / "r"
    first = build(tiny, out)
    assert first.manifest["previous"] is None
    assert not (out / "CHANGELOG.md").exists()
    second = built_as(tiny, out, "1.0.1", out, "--ratings", "false", "--date", "2026-05-06")
    assert second.manifest["previous"] == {"version": "1.0.0", "digest": first.digest}
    text = (out / "CHANGELOG.md").read_text()
    assert "## 1.0.1 (2026-05-06)\n\nSince 1.0.0:" in text
    assert text.endswith("## 1.0.0\n\nNo changelog was kept.\n")
    third = built_as(paper, out, "2.0.0", out)
    log = (out / "CHANGELOG.md").read_text()
    assert log.endswith(text.partition("\n\n")[2])
    headings = [line for line in log.splitlines() if line.startswith("#")]
    assert headings == ["# Changelog", "## 2.0.0", "## 1.0.1 (2026-05-06)", "## 1.0.0"]
    assert "- protocol: `paper`" in log.split("## 1.0.1")[0]
    assert "CHANGELOG.md" in third.manifest["files"]
    assert check(third) == []


def test_the_counts_of_a_changelog_are_those_of_the_rows(tiny, paper, tmp_path):
    old = build(tiny, tmp_path / "1")
    built_as(paper, tmp_path / "2", "2.0.0", tmp_path / "1")
    log = (tmp_path / "2" / "CHANGELOG.md").read_text()

    def labels(root):
        return {
            (row["clip_id"], row["domain"], row["label"])
            for path in sorted((root / "relevance").iterdir())
            for row in rows_of(root, f"relevance/{path.name}")
        }

    before, after = labels(old.root), labels(tmp_path / "2")
    assert after - before
    assert f"- labels added: {len(after - before):,}\n" in log
    assert (f"- labels removed: {len(before - after):,}\n" in log) == bool(before - after)


@pytest.mark.parametrize(
    ("version", "which", "said"),
    [
        ("0.9.9", "tiny", "version 1.0.0 is higher than 0.9.9"),
        ("1.0.0", "paper", "is that of --previous"),
        ("1.0.1", "paper", "takes a new major version: 2.0.0"),
        ("1.1.0", "paper", "`target_test`"),
    ],
)
def test_what_may_not_follow_leaves_the_older_release(
    tiny, paper, tmp_path, capsys, version, which, said
):
    out = tmp_path / "r"
    build(tiny, out)
    before = contents(out)
    workspace = {"tiny": tiny, "paper": paper}[which]
    assert said in refused(capsys, *argv(workspace, out, version, out), verb="release")
    assert contents(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_a_previous_release_that_is_none(tiny, tmp_path, capsys):
    said = refused(capsys, *argv(tiny, tmp_path / "r", "1.0.0", tmp_path), verb="release")
    assert "no release here" in said
    assert not (tmp_path / "r").exists()


def test_splits_of_the_paper_s_protocol_share_what_they_share(paper, tmp_path, capsys):
    """Films and clips that stand on both sides are counted as such, on the card, too."""
    release = build(paper, tmp_path / "r")
    capsys.readouterr()
    out = tmp_path / "leaks.json"
    assert main(["leaks", str(release.root), "--out", str(out)]) == 0
    report = json.loads(out.read_bytes())
    assert report == json.loads((release.root / "leaks.json").read_bytes())
    of = {}
    for path in sorted((release.root / "relevance").iterdir()):
        of[path.stem] = rows_of(release.root, f"relevance/{path.name}")
    for entry in report["shared"]:
        a, b = (of[split] for split in entry["splits"])
        for kind, column in (("films", "movie_id"), ("clips", "clip_id"), ("classes", "label")):
            both = {row[column] for row in a} & {row[column] for row in b}
            assert entry[kind]["shared"] == len(both)
            assert entry[kind]["examples"] == sorted(both)[:10]
    counted = {tuple(e["splits"]): e["clips"]["shared"] for e in report["shared"]}
    some = counted["source_train", "target_test"]
    assert some > 0
    assert (
        f"{some} of {report['splits']['target_test']['clips']}"
        in (release.root / "README.md").read_text()
    )
    # Target splits are drawn clip by clip: no clip is in two of them.
    targets = ("target_pairs", "target_dev", "target_test")
    assert [counted[pair] for pair in itertools.combinations(targets, 2)] == [0, 0, 0]
