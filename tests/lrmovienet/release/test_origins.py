"""Where a release's rows came from, without the places of the machine they were made on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import copied, people, put, verb

from lrmovienet.release.origins import agreement, generated, provenance
from lrmovienet.workspace import MADE_BY, Workspace


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    return people(tmp_path_factory.mktemp("origins") / "w")


def test_each_table_is_there_with_what_its_manifest_says(tiny):
    workspace = Workspace(tiny)
    found = provenance(workspace)
    there = [name for name in MADE_BY if name != "predictions" and (tiny / name).is_dir()]
    assert [*found] == there
    for name in there:
        manifest = workspace.require(name)
        assert found[name]["digest"] == manifest.digest
        assert found[name]["stage_version"] == manifest.stage_version
        assert found[name]["code_version"] == manifest.code_version
        assert (found[name]["rows"], found[name]["dropped"]) == (
            manifest.rows, manifest.rows_dropped,
        )  # fmt: skip
    assert found["records"]["config"]["protocol"] == "strict"
    assert found["candidates"]["config"] == {"seed": 0, "size": "tiny"}


def test_predictions_are_no_part_of_a_release(said):
    row = {"clip_id": "tt0000_0000", "label": "tank", "score": 0.5}
    put(said, "predictions/mine", [row])
    assert "predictions" not in provenance(said)


PLACES = (
    "/home/jane/films", "C:\\films", "films/a.csv", "http://127.0.0.1:8080", "~/x", "../x",
    "\\\\server\\share", "x" * 101, ["fine", "/not/fine"], [["/deep"]], {"path": "/a"}, {},
)  # fmt: skip
PLAIN = ("strict", 0.5, 3, True, None, [], ["Drama", "War"], [1, 2.5, None], "", "x" * 100, "gpt-x")


def test_options_that_name_places_stay_out(said, tmp_path):
    config = {f"place{i}": value for i, value in enumerate(PLACES)}
    config |= {f"plain{i}": value for i, value in enumerate(PLAIN)}
    choices = {"protocol": "strict", "target_genres": ["Drama", "War"]}
    put(said, "text_labels", [TEXT], config=config | choices)
    kept = provenance(said)["text_labels"]["config"]
    # A word is kept where the option takes words of the program's own; numbers always.
    numbers = {f"plain{i}": v for i, v in enumerate(PLAIN) if not _has_text(v)}
    assert kept == numbers | choices


def _has_text(value) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and any(map(_has_text, value)))


TEXT = {
    "clip_id": "tt0000_0000", "label": "tank", "kind": "event", "generator": "g",
    "prompt_version": "1", "rank": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("/home/jane/models/llama.gguf", "llama.gguf"), ("C:\\Models\\llama.gguf", "llama.gguf"),
        ("folder/", "folder"), ("/a/b/c/", "c"), ("meta/llama-2", "llama-2"), ("plain", "plain"),
        ("", "model"), ("/", "model"), ("mixed/and\\back", "back"),
    ],
)  # fmt: skip
def test_a_model_is_named_without_the_folder_it_lies_in(said, name, short):
    prompts = {"mine/event": "Say {sentence}"}
    put(said, "text_labels", [TEXT], models={name: "ab" * 32}, prompts=prompts)
    found = provenance(said)["text_labels"]
    assert found["models"] == {short: "ab" * 32}
    assert found["prompts"] == prompts


def test_two_models_of_one_name_in_two_folders_are_both_told(said):
    models = {"/a/model.pth": "ab" * 32, "/b/model.pth": "cd" * 32}
    put(said, "text_labels", [TEXT], models=models)
    found = provenance(said)["text_labels"]["models"]
    assert sorted(found.values()) == ["ab" * 32, "cd" * 32]
    assert not any("/" in name for name in found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=120),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=6,
    )
)
def test_no_option_that_is_kept_has_a_slash_in_it(value):
    from lrmovienet.release.origins import _is_plain

    if _is_plain("videos", value):
        assert not isinstance(value, str)
        text = json.dumps(value, ensure_ascii=False)
        assert "/" not in text
        assert "\\\\" not in text


def test_what_was_generated_is_told(tiny, said):
    assert generated(Workspace(tiny))
    assert not generated(said)


def test_generated_clips_that_people_graded_are_generated_and_so_are_generated_grades(tmp_path):
    for table in ("candidates", "ratings"):
        workspace = people(tmp_path / table)
        rows = workspace.read(table).to_pylist()
        put(workspace, table, rows, version=f"synthetic-{table}:0")
        assert generated(workspace)


def test_no_agreement_where_none_was_measured(said):
    assert agreement(said) == {}


@pytest.fixture(scope="module")
def measured(tiny, tmp_path_factory):
    root = copied(tiny, tmp_path_factory.mktemp("agreement") / "w")
    verb("annotate agreement", root, "--resamples", "100")
    return root


def test_agreement_is_the_alphas_alone(measured):
    """Neither who differs from whom nor anybody's bias."""
    report = json.loads((measured / "annotation" / "agreement.json").read_bytes())
    found = agreement(Workspace(measured))
    sources = report["grading"]["by_source"]
    assert {*found} == {"grading", "pairs", *(f"grading, labels from {name}" for name in sources)}
    for name, alpha in found.items():
        source = name.removeprefix("grading, labels from ")
        whole = report[name]["alpha"] if source == name else sources[source]
        assert alpha == {key: whole[key] for key in ("value", "low", "high", "units")}


@pytest.mark.parametrize("table", ["ratings", "pair_ratings"])
def test_agreement_of_other_judgements_than_the_present_is_none(measured, tmp_path, table):
    root = copied(measured, tmp_path / "w")
    assert agreement(Workspace(root)) != {}
    rows = Workspace(root).read(table).to_pylist()
    put(Workspace(root), table, rows[:-1])
    assert agreement(Workspace(root)) == {}
