"""What is kept out of a release: hidden grades, people's names, places, pictures."""

import json

import pyarrow.parquet as pq
import pytest
from making import ANN, BOB, build, contents, keys, people, rows_of

from lrmovienet.workspace import Workspace


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A workspace of people with names, and its release."""
    folder = tmp_path_factory.mktemp("said")
    models = {"/opt/hidden place/weights/tagger.pth": "ab" * 32, "D:\\Geheim\\b.gguf": "cd" * 32}
    workspace = people(folder / "distinctive-Workspace.Path", models=models)
    (folder / "elsewhere").mkdir()
    return workspace, build(workspace.root, folder / "elsewhere" / "out").root


def test_what_people_said_is_there_where_grades_or_pairs_are_shown(tiny, built):
    workspace = Workspace(tiny)
    records = workspace.read("records").to_pylist()
    graded = {*keys([r for r in records if r["grade"] is not None], "clip_id", "label")}
    paired = {*keys([r for r in records if r["split"] == "target_pairs"], "clip_id", "label")}
    assert graded
    assert paired
    assert not graded & paired
    said = workspace.read("ratings").to_pylist()
    kept = rows_of(built, "ratings/ratings.parquet")
    key = ("clip_id", "label", "annotator")
    assert keys(kept, *key) == sorted(k for k in keys(said, *key) if (k[0], k[1]) in graded)
    chosen = workspace.read("pair_ratings").to_pylist()
    kept_pairs = rows_of(built, "pair_ratings/pair_ratings.parquet")
    key = ("clip_id", "label_a", "label_b", "annotator")
    assert keys(kept_pairs, *key) == sorted(
        k for k in keys(chosen, *key) if {(k[0], k[1]), (k[0], k[2])} <= paired
    )
    withheld = json.loads((built / "manifest.json").read_bytes())["withheld"]
    assert withheld == {
        "ratings": len(said) - len(kept), "pair_ratings": len(chosen) - len(kept_pairs)
    }  # fmt: skip
    # The card says so, in words.
    card = (built / "README.md").read_text()
    for name, n in withheld.items():
        assert f"{n:,} rows of `{name}` are kept back" in card


def test_no_file_has_a_grade_of_a_label_of_target_pairs(built):
    hidden = {*keys(rows_of(built, "relevance/target_pairs.parquet"), "clip_id", "label")}
    assert len(hidden) > 100
    for path in built.rglob("*.parquet"):
        for row in pq.read_table(path, partitioning=None).to_pylist():
            if (row["clip_id"], row.get("label")) in hidden:
                told = {n: v for n, v in row.items() if n in ("grade", "spread", "n_ratings")}
                assert {*told.values()} == {None}, path


def test_grades_of_target_pairs_do_not_change_a_byte(said, tmp_path):
    """Two workspaces that differ in these grades alone: nobody can tell their releases apart."""
    # Films are drawn by their ids, so that these are the labels in every workspace of `people`.
    hidden = {
        (r["clip_id"], r["label"])
        for r in said[0].read("records").to_pylist()
        if r["split"] == "target_pairs"
    }
    releases, told = [], []
    for name, turned in (("a", False), ("b", True)):

        def grade(clip, label, who, turned=turned):
            given = len(label) % 3
            return 2 - given if turned and (clip, label) in hidden else given

        workspace = people(tmp_path / name, grade=grade)
        (workspace.root / "annotation").mkdir(exist_ok=True)
        (workspace.root / "annotation" / "pseudonyms.key").write_bytes(b"k" * 32)
        rows = workspace.read("relevance").to_pylist()
        told.append({(r["clip_id"], r["label"]): r["grade"] for r in rows})
        releases.append(contents(build(workspace.root, tmp_path / f"{name}-out").root))
    other = {key for key in told[0] if told[0][key] != told[1][key]}
    assert other == {key for key in hidden if told[0][key] != 1} != set()
    manifests = [json.loads(files.pop("manifest.json")) for files in releases]
    assert releases[0] == releases[1]
    for manifest in manifests:  # their tables have other hashes, and nothing else
        for of in manifest["provenance"].values():
            del of["digest"]
    assert manifests[0] == manifests[1]


def all_text(root):
    """Every byte of a release, and every value and all metadata of its Parquet files."""
    for name, data in contents(root).items():
        yield name, name.encode() + data
        if name.endswith(".parquet"):
            table, meta = (
                pq.read_table(root / name, partitioning=None),
                pq.read_metadata(root / name),
            )
            yield name, repr(table.to_pylist()).encode()
            yield name, repr([meta.metadata, meta.created_by, table.schema.metadata]).encode()


def test_no_place_of_the_machine_is_in_any_file(said, tmp_path):
    workspace, root = said
    forbidden = [
        "distinctive-Workspace", str(workspace.root.parent), "elsewhere", "hidden place", "/opt",
        "Geheim", "D:", "t.csv", str(tmp_path.parents[1]), ".building",
    ]  # fmt: skip
    for name, text in all_text(root):
        for word in forbidden:
            assert word.encode() not in text, (name, word)
    models = json.loads((root / "manifest.json").read_bytes())["provenance"]["image_labels"]
    assert models["models"] == {"tagger.pth": "ab" * 32, "b.gguf": "cd" * 32}


def test_no_name_and_no_time_of_day_of_an_annotator_is_in_any_file(said):
    workspace, root = said
    assert ANN in workspace.read("ratings")["annotator"].to_pylist()
    words = [ANN, BOB, *ANN.replace("@", ".").split("."), *BOB.split()]
    for name, text in all_text(root):
        for word in words:
            assert word.lower().encode() not in text.lower() or word in ("org", "example"), name
        for word in ("23:59", "01:02:03"):
            assert word.encode() not in text
    names = {row["annotator"] for row in rows_of(root, "ratings/ratings.parquet")}
    assert len(names) == 2
    assert all(name.startswith("annotator-") for name in names)
    days = {row["created_at"] for row in rows_of(root, "ratings/ratings.parquet")}
    assert days == {f"2026-03-0{day}" for day in range(1, 7)}
    # The key that would undo this stays at home.
    key = (workspace.root / "annotation" / "pseudonyms.key").read_bytes()
    for name, text in all_text(root):
        assert key not in text
        assert key.hex().encode() not in text, name


def test_people_are_left_out_when_asked(said, tmp_path):
    workspace, _ = said
    release = build(workspace.root, tmp_path / "out", ratings=False)
    assert release.configs == ["clips", "relevance", "preferences"]
    assert release.manifest["withheld"] == {}
    assert b"annotator" not in b"".join(contents(release.root / "relevance").values())


def test_no_pixel_is_in_a_release(built, tiny):
    """No value of a file is a picture, and no file is as large as one."""
    for path in built.rglob("*"):
        if path.suffix == ".parquet":
            schema = pq.read_schema(path)
            assert not any("binary" in str(field.type) for field in schema), path
    assert b"JFIF" not in b"".join(contents(built).values())
