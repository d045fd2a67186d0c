import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmovienet.candidates import BLOCKED, VARIANT, Found, merge, singular
from lrmovienet.cli import main
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace


def event(label, rank):
    return Found(label, "event", "llm", rank)


def entity(label, rank):
    return Found(label, "entity", "llm", rank)


def image(label, score):
    return Found(label, "image", "tagger", 0, score)


def labels(kept):
    return [candidate.label for candidate in kept]


def test_the_kinds_take_turns_in_their_own_order():
    found = [
        image("dog", 0.3), image("cat", 0.9), entity("neo", 1), entity("dojo", 0),
        event("fight", 0), event("fall", 2), event("run", 1), event("jump", 3),
    ]  # fmt: skip
    kept, dropped = merge(found)
    assert labels(kept) == ["fight", "dojo", "cat", "run", "neo", "dog", "fall", "jump"]
    assert dropped == []
    kept, _ = merge(found, kinds=["image", "event", "entity"])
    assert labels(kept)[:4] == ["cat", "fight", "dojo", "dog"]


def test_equal_scores_go_by_name():
    assert labels(merge([image("b", 0.5), image("a", 0.5), image("c", 0.6)])[0]) == ["c", "a", "b"]


def test_equal_labels_keep_all_their_sources():
    kept, dropped = merge([image("dojo", 0.4), entity("dojo", 0), event("dojo", 2)])
    assert labels(kept) == ["dojo"]
    assert [(s.kind, s.model, s.score) for s in kept[0].sources] == [
        ("event", "llm", None), ("entity", "llm", None), ("image", "tagger", 0.4),
    ]  # fmt: skip
    assert dropped == []


def test_a_label_that_was_already_placed_costs_its_kind_no_turn():
    found = [event("dojo", 0), entity("dojo", 0), entity("neo", 1), image("cat", 0.5)]
    assert labels(merge(found)[0]) == ["dojo", "neo", "cat"]


def test_singular_and_plural_are_one_label_under_the_first_name():
    found = [event("red cars", 0), entity("red car", 0), image("red car", 0.5), entity("bus", 1)]
    kept, dropped = merge(found)
    assert labels(kept) == ["red cars", "bus"]
    assert [s.label for s in kept[0].sources] == ["red cars", "red car", "red car"]
    assert dropped == [("red car", VARIANT)]


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("cars", "car"), ("red cars", "red car"), ("cities", "city"), ("boxes", "box"),
        ("churches", "church"), ("dishes", "dish"), ("glasses of", "glasses of"),
        ("dresses", "dress"), ("men", "man"), ("old wolves", "old wolf"), ("horses", "horse"),
        ("houses", "house"), ("children", "child"), ("police dogs", "police dog"),
        # no plurals
        ("bus", "bus"), ("dress", "dress"), ("tennis", "tennis"), ("gas", "gas"), ("ties", "tie"),
        ("glasses", "glasses"), ("news", "news"), ("s", "s"), ("", ""),
    ],
)  # fmt: skip
def test_singular(plural, one):
    assert singular(plural) == one
    assert singular(one) == one


def test_the_first_word_may_differ_in_number():
    assert singular("cars chase") == "cars chase"


def test_blocked_labels_go_in_any_form():
    kept, dropped = merge([event("scenes", 0), event("fight scene", 1)], block=["Scene"])
    assert labels(kept) == ["fight scene"]
    assert dropped == [("scenes", BLOCKED)]


def test_weak_image_labels_go_unless_the_text_has_them():
    found = [image("dog", 0.049), image("cat", 0.05), image("neo", 0.01), entity("neo", 0)]
    kept, dropped = merge(found, min_image_score=0.05)
    assert labels(kept) == ["neo", "cat"]
    assert [s.score for s in kept[0].sources] == [None, 0.01]
    assert dropped == [("dog", "image score below 0.05")]


def test_the_best_of_two_variants_counts():
    kept, _ = merge([image("dog", 0.04), image("dogs", 0.2)], min_image_score=0.1)
    assert labels(kept) == ["dogs"]


def test_no_more_than_most():
    found = [event(f"e{i}", i) for i in range(4)] + [entity(f"n{i}", i) for i in range(2)]
    kept, dropped = merge(found, most=3)
    assert labels(kept) == ["e0", "n0", "e1"]
    assert dropped == [(x, "beyond the first 3") for x in ("n1", "e2", "e3")]


def test_what_is_dropped_takes_no_place():
    found = [event("scene", 0), event("fight", 1), image("dog", 0.01), image("cat", 0.2)]
    kept, _ = merge(found, most=2, block=["scene"], min_image_score=0.1)
    assert labels(kept) == ["fight", "cat"]


NAMES = st.sampled_from(
    ["car", "cars", "scene", "scenes", "dog", "dogs", "man", "men", "red car", "red cars", "bus"]
)
FOUND = st.lists(
    st.one_of(
        st.builds(event, NAMES, st.integers(0, 9)),
        st.builds(entity, NAMES, st.integers(0, 9)),
        st.builds(image, NAMES, st.sampled_from([0.01, 0.05, 0.3, 0.9])),
    ),
    unique_by=lambda found: (found.label, found.kind),
    max_size=20,
)


@given(FOUND, st.randoms(use_true_random=False), st.integers(1, 6))
def test_every_label_comes_out_once(found, random, most):
    """Labels in = labels kept + labels dropped, and the order of the input means nothing."""
    kept, dropped = merge(found, min_image_score=0.05, most=most, block=["scene"])
    out = [*labels(kept), *(label for label, _ in dropped)]
    assert sorted(out) == sorted({one.label for one in found})
    assert len(kept) <= most
    assert len({singular(label) for label in labels(kept)}) == len(kept)
    for candidate in kept:
        same = [one for one in found if singular(one.label) == singular(candidate.label)]
        assert sorted(same, key=repr) == sorted(candidate.sources, key=repr)
    shuffled = list(found)
    random.shuffle(shuffled)
    assert merge(shuffled, min_image_score=0.05, most=most, block=["scene"]) == (kept, dropped)


# --- the verb ---


def put(root, table, columns, inputs):
    return run_once(
        Workspace(root), table, lambda: columns, version="1", inputs=inputs, config={}
    ).manifest


@pytest.fixture
def workspace(tmp_path):
    n = 3
    columns = {
        "clip_id": ["tt1_0000", "tt2_0000", "tt3_0000"], "movie_id": ["tt1", "tt2", "tt3"],
        "title": [None] * n, "genres": [[]] * n, "description": ["A scene."] * n,
        "shot": [[0, 1]] * n, "frame": [[0, 9]] * n, "start_s": [None] * n, "end_s": [None] * n,
        "keyframes": [[{"ref": "tt1/shot_0000_img_0.jpg", "sha256": ""}]] * n,
    }  # fmt: skip
    clips = put(tmp_path, "clips", columns, {})
    inputs = {"clips": clips.digest}
    image_labels = {
        "clip_id": ["tt1_0000", "tt1_0000", "tt2_0000"], "label": ["dojo", "cat", "dog"],
        "score": [0.4321, 0.05, 0.0499], "frames_hit": [1, 1, 1], "tagger": ["tagger"] * 3,
    }  # fmt: skip
    put(tmp_path, "image_labels", image_labels, inputs)
    text_labels = {
        "clip_id": ["tt1_0000"] * 3, "label": ["fight", "dojo", "scene"],
        "kind": ["event", "entity", "entity"], "generator": ["llm"] * 3,
        "prompt_version": ["p"] * 3, "rank": [0, 0, 1],
    }  # fmt: skip
    put(tmp_path, "text_labels", text_labels, inputs)
    return Workspace(tmp_path)


def test_merge_by_hand(workspace, capsys):
    assert main(["merge", "--workspace", str(workspace.root)]) == 0
    assert capsys.readouterr().out.startswith("candidates: 3 rows, 4 dropped")
    rows = workspace.read("candidates").to_pylist()
    assert [(r["clip_id"], r["label"], r["position"]) for r in rows] == [
        ("tt1_0000", "fight", 0), ("tt1_0000", "dojo", 1), ("tt1_0000", "cat", 2),
    ]  # fmt: skip
    assert [(s["kind"], s["model"]) for s in rows[1]["sources"]] == [
        ("entity", "llm"), ("image", "tagger"),
    ]  # fmt: skip
    assert rows[1]["sources"][0]["score"] is None
    assert rows[1]["sources"][1]["score"] == pytest.approx(0.4321)
    dropped = workspace.read_dropped("candidates").to_pylist()
    assert [(r["clip_id"], r["label"], r["reason"]) for r in dropped] == [
        ("tt1_0000", "scene", BLOCKED),
        ("tt2_0000", "dog", "image score below 0.05"),
        ("tt2_0000", None, "no candidate label is left"),
        ("tt3_0000", None, "no candidate label was found"),
    ]
    assert set(workspace.require("candidates").inputs) == {"clips", "image_labels", "text_labels"}


def test_a_score_at_the_threshold_stays(workspace):
    """0.05 is stored in 32 bits, a little above; 0.4321 a little below."""
    assert main(["merge", "--workspace", str(workspace.root), "--min_image_score", "0.4321"]) == 0
    kinds = {
        r["label"]: {s["kind"] for s in r["sources"]}
        for r in workspace.read("candidates").to_pylist()
    }
    assert kinds == {"fight": {"event"}, "dojo": {"entity", "image"}}
    arguments = ["--kinds", "[image]", "--min_image_score", "0.4321"]
    assert main(["merge", "--workspace", str(workspace.root), *arguments]) == 0
    assert workspace.read("candidates")["label"].to_pylist() == ["dojo"]


def test_merge_again_does_nothing_and_a_new_option_does(workspace, capsys):
    arguments = ["merge", "--workspace", str(workspace.root)]
    assert main(arguments) == 0
    before = workspace.require("candidates").digest
    capsys.readouterr()
    assert main(arguments) == 0
    assert "up to date" in capsys.readouterr().out
    assert main([*arguments, "--most", "1"]) == 0
    assert workspace.require("candidates").digest != before
    assert workspace.read("candidates")["label"].to_pylist() == ["fight"]


def test_without_one_kind_its_table_is_not_needed(workspace):
    import shutil

    shutil.rmtree(workspace.root / "text_labels")
    arguments = ["merge", "--workspace", str(workspace.root)]
    assert main(arguments) == 2
    assert main([*arguments, "--kinds", "[image]"]) == 0
    assert workspace.read("candidates")["label"].to_pylist() == ["dojo", "cat"]


def test_labels_of_other_clips_are_refused(workspace, capsys):
    columns = workspace.read("image_labels").to_pydict()
    put(workspace.root, "image_labels", columns, {"clips": "another digest"})
    assert main(["merge", "--workspace", str(workspace.root)]) == 2
    assert "image_labels was made from other clips" in capsys.readouterr().err
    assert workspace.manifest("candidates") is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kinds", "[sound]"], ["--kinds", "[]"], ["--kinds", "[image,image]"],
        ["--most", "0"], ["--min_image_score", "2"],
    ],
)  # fmt: skip
def test_options_out_of_range(workspace, capsys, arguments):
    assert main(["merge", "--workspace", str(workspace.root), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
