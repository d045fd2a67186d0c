"""`check` finds whatever is changed in a release, also where the manifest was made to agree."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from making import contents, rows_of, sealed

from lrmovienet.errors import UserError
from lrmovienet.release.check import check
from lrmovienet.release.layout import CARD, CROISSANT, EVALUATION, LEAKS, MANIFEST, Release
from lrmovienet.release.write import write_config

FILES = [
    "README.md", "croissant.json", "eval.yaml", "leaks.json", "clips/clips.parquet",
    "ratings/ratings.parquet", "relevance/target_pairs.parquet", "preferences/pct5.parquet",
]  # fmt: skip


def replaced(path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def problems(root) -> list[str]:
    """What opening and checking a folder says. Only a `UserError` may come of either."""
    try:
        return check(Release.open(root))
    except UserError as error:
        return [str(error)]


def test_a_release_as_it_was_built_has_no_problem(built):
    assert check(Release.open(built)) == []


def test_checking_changes_nothing(release):
    before = contents(release.root)
    check(release)
    assert contents(release.root) == before


def test_what_tools_leave_in_a_folder_is_no_problem(release):
    (release.root / ".gitattributes").write_text("*.parquet filter=lfs\n")
    (release.root / ".cache" / "huggingface").mkdir(parents=True)
    (release.root / ".cache" / "huggingface" / "lock").touch()
    (release.root / ".git").mkdir()
    (release.root / ".git" / "HEAD").touch()
    assert check(release) == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_one_bit_of_any_file_is_found(release, name, where):
    path = release.root / name
    data = bytearray(path.read_bytes())
    data[int(where * len(data)) if where >= 0 else -1] ^= 1
    path.write_bytes(data)
    (found,) = check(release)
    assert name in found
    assert "sha256" in found


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_or_cut_or_a_link_is_found(release, name, tmp_path):
    path = release.root / name
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert [name in problem for problem in check(release)] == [True]
    path.unlink()
    assert [name in problem for problem in check(release)] == [True]
    (tmp_path / "elsewhere").write_bytes(data)
    path.symlink_to(tmp_path / "elsewhere")
    assert [name in problem for problem in check(release)] == [True]
    path.unlink()
    path.mkdir()
    assert name in check(release)[0]


@pytest.mark.parametrize(
    "name", ["loader.py", "relevance/more.parquet", ".hidden", "clips/.DS_Store", "a/b/c.txt"]
)
def test_a_file_too_many_is_found(release, name):
    path = release.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    (found,) = check(release)
    assert name in found
    assert "does not belong" in found


def test_a_link_too_many_is_found(release, tmp_path):
    (release.root / "more").symlink_to(tmp_path)
    assert ["more" in problem for problem in check(release)] == [True]


@pytest.mark.parametrize("name", ["loader.py", "relevance/more.parquet", "notes.txt"])
def test_a_file_too_many_is_found_though_the_manifest_names_it(release, name):
    """A script beside the tables is enough for `datasets` to refuse the whole."""
    (release.root / name).write_bytes(b"x")
    manifest = json.loads((release.root / MANIFEST).read_bytes())
    manifest["files"][name] = {}
    sealed(release.root, files=manifest["files"])
    found = problems(release.root)
    assert found
    assert any(name in problem for problem in found)


def test_another_digest_in_the_manifest_is_found(release):
    replaced(release.root / MANIFEST, f'"digest": "{release.digest}"', f'"digest": "{"0" * 64}"')
    assert ["digest" in problem for problem in check(Release.open(release.root))] == [True]


# From here on the attacker also puts the hashes in the manifest right.


def test_a_number_edited_on_the_card_is_found(release):
    (line,) = re.findall(r"\| `target_test` \| .*", (release.root / CARD).read_text())
    replaced(release.root / CARD, line, line.replace("| 120 |", "| 121 |"))
    found = check(sealed(release.root))
    assert [CARD in problem and "numbers" in problem for problem in found] == [True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_examples: 120", "num_examples: 119"), ("num_bytes: ", "num_bytes: 1"),
        ("dtype: int8", "dtype: int16"), ("license: other", "license: mit"),
        ("- relevance/target_test.parquet", "- relevance/target_dev.parquet"),
        ("default: true", "default: false"), ("n<1K", "1K<n<10K"),
        ("dataset_info:", "dataset_infos:"),
    ],
)  # fmt: skip
def test_yaml_that_was_edited_is_found(release, old, new):
    replaced(release.root / CARD, old, new)
    assert [CARD in problem for problem in check(sealed(release.root))] == [True]


def test_words_outside_the_blocks_are_the_publishers(release):
    replaced(release.root / CARD, "## Motivation", "## Why")
    replaced(release.root / CARD, "- film\n", "- film\n- cinema\n")
    assert check(sealed(release.root)) == []


@pytest.mark.parametrize("old", ["<!-- data: leaks -->", "<!-- end of data -->"])
def test_a_block_that_was_taken_out_is_found(release, old):
    replaced(release.root / CARD, old, "")
    assert "each of these blocks once" in check(sealed(release.root))[0]


def test_croissant_and_eval_that_were_edited_are_found(release):
    replaced(release.root / CROISSANT, '"license": "other"', '"license": "mit"')
    replaced(release.root / EVALUATION, "target_test", "target_dev")
    found = check(sealed(release.root))
    assert [problem.split(":")[0] for problem in found] == [CROISSANT, EVALUATION]


def test_leaks_that_were_edited_are_found_though_the_card_agrees(release):
    """The attacker hides shared films in leaks.json and on the card: the data win."""
    from lrmovienet.release import card

    path = release.root / LEAKS
    leaks = json.loads(path.read_bytes())
    (shared,) = [of for of in leaks["shared"] if of["films"]["shared"]]
    shared["films"] = {"shared": 0, "examples": []}
    path.write_text(json.dumps(leaks))
    text = (release.root / CARD).read_text()
    (release.root / CARD).write_text(card.fill(text, release, leaks))
    assert "3 of 3" in text
    assert "3 of 3" not in (release.root / CARD).read_text()
    assert [LEAKS in problem for problem in check(sealed(release.root))] == [True]


@pytest.mark.parametrize(
    "change",
    [{"near": "x"}, {"near": 0}, {"bits": None}, {"shared": {}}, {"splits": []}, {"near": []}],
)
def test_a_report_of_leaks_that_makes_no_sense_is_a_problem_and_no_crash(release, change):
    path = release.root / LEAKS
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    sealed(release.root)
    assert problems(release.root)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"null"])
@pytest.mark.parametrize("name", [LEAKS, CROISSANT, EVALUATION, CARD])
def test_a_file_of_nonsense_is_a_problem_and_no_crash(release, name, content):
    (release.root / name).write_bytes(content)
    sealed(release.root)
    assert any(name in problem or "card" in problem for problem in problems(release.root))


@pytest.mark.parametrize("name", [CARD, LEAKS, CROISSANT, EVALUATION])
def test_a_file_every_release_has_is_missed_though_the_manifest_does_not_name_it(release, name):
    (release.root / name).unlink()
    manifest = json.loads((release.root / MANIFEST).read_bytes())
    del manifest["files"][name]
    sealed(release.root, files=manifest["files"])
    found = problems(release.root)
    assert found
    assert any(name in problem for problem in found)


def rewritten(release, name: str, change) -> Release:
    """Change the rows of a file, and all hashes and numbers of rows in the manifest."""
    path = release.root / name
    schema = pq.read_schema(path)
    rows = change(rows_of(release.root, name))
    write_config(path, pa.Table.from_pylist(rows, schema=schema))
    manifest = json.loads((release.root / MANIFEST).read_bytes())
    manifest["files"][name]["rows"] = len(rows)
    return sealed(release.root, files=manifest["files"])


def test_a_row_less_is_found(release):
    """The card, the splits in the manifest, the leaks: each says something else."""
    found = check(rewritten(release, "relevance/target_test.parquet", lambda rows: rows[:-1]))
    assert {problem.split(":")[0] for problem in found} == {MANIFEST, CARD, LEAKS, CROISSANT} or (
        any(MANIFEST in problem and "target_test" in problem for problem in found)
        and any(CARD in problem for problem in found)
    )


def test_a_grade_that_was_changed_is_found_by_the_cards_numbers(release):
    def better(rows):
        next(row for row in rows if row["grade"] == 0)["grade"] = 2
        return rows

    found = check(rewritten(release, "relevance/target_dev.parquet", better))
    assert any(CARD in problem for problem in found)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("grade", 3, "expected 0, 1 or 2"), ("label", "Upper Case", "expected a label"),
        ("position", -1, "from 0"),
        ("clip_id", "has a space", "without spaces"), ("split", "train", "source_train"),
    ],
)  # fmt: skip
def test_rows_that_break_the_contract_are_found(release, column, value, said):
    def broken(rows):
        rows[0][column] = value
        return rows

    found = check(rewritten(release, "relevance/target_dev.parquet", broken))
    assert any(said in problem for problem in found)


def test_a_file_of_other_types_than_its_neighbours_is_a_problem_and_no_crash(release):
    """As another tool would write it: columns that may be empty, numbers of 64 bits."""
    name = "relevance/target_dev.parquet"
    pq.write_table(pa.Table.from_pylist(rows_of(release.root, name)), release.root / name)
    sealed(release.root)
    assert any("relevance" in problem for problem in problems(release.root))


def test_rows_of_another_split_in_a_file_are_found(release):
    """Rows of the test in the file of the development split, with their own split's name."""
    name = "relevance/target_dev.parquet"
    more = rows_of(release.root, "relevance/target_test.parquet")
    found = check(rewritten(release, name, lambda rows: [*rows, *more]))
    assert any("target_dev" in problem or "relevance" in problem for problem in found)


def test_a_clip_that_is_not_there_is_found(release):
    found = check(rewritten(release, "clips/clips.parquet", lambda rows: rows[1:]))
    assert found


@pytest.mark.parametrize("content", [b"", b"PAR1 nothing of the kind PAR1", b"PAR1"])
def test_a_file_that_is_no_parquet_is_a_problem_and_no_crash(release, content):
    name = "ratings/ratings.parquet"
    (release.root / name).write_bytes(content)
    sealed(release.root)
    found = problems(release.root)
    assert found
    assert any("ratings" in problem for problem in found)


def test_a_column_too_few_is_found(release):
    name = "preferences/pct5.parquet"
    table = pq.read_table(release.root / name)
    write_config(release.root / name, table.drop_columns(["percent"]))
    assert any("preferences" in problem for problem in problems(sealed(release.root).root))


def test_a_column_too_many_is_found(release):
    """Such as grades, under another name, of labels whose grades are hidden."""
    name = "relevance/target_pairs.parquet"
    table = pq.read_table(release.root / name)
    write_config(release.root / name, table.append_column("more", table["position"]))
    sealed(release.root)
    found = [p for p in problems(release.root) if "README" not in p and "croissant" not in p]
    assert any("relevance" in problem for problem in found)


@pytest.mark.parametrize("value", ["gone", None, [1], "text"])
def test_a_manifest_without_sense_is_a_problem_and_no_crash(release, value):
    whole = json.loads((release.root / MANIFEST).read_bytes())
    wrong = {}
    for name in ("about", "digest", "files", "genres", "provenance", "protocol", "splits",
                 "version", "format", "agreement", "withheld"):  # fmt: skip
        manifest = {k: v for k, v in whole.items() if k != name}
        if value != "gone":
            manifest[name] = value
        (release.root / MANIFEST).write_text(json.dumps(manifest))
        try:
            if not problems(release.root) and (name, value) != ("agreement", None):
                wrong[name] = "nothing found"
        except Exception as error:  # listed, so that one run shows them all
            wrong[name] = repr(error)
    assert wrong == {}


def test_what_the_manifest_tells_is_on_the_card(release):
    """Numbers that only the manifest holds cannot be turned without the card."""
    manifest = json.loads((release.root / MANIFEST).read_bytes())
    for name, value in (
        ("genres", {"head": ["Romance"], "tail": ["Drama"]}), ("protocol", "paper"),
        ("generated", False), ("withheld", {}),
        ("agreement", {"grading": {"value": 1.0, "low": 1.0, "high": 1.0, "units": 9}}),
    ):  # fmt: skip
        (release.root / MANIFEST).write_text(json.dumps(manifest | {name: value}))
        assert [CARD in problem for problem in check(Release.open(release.root))] == [True], name
