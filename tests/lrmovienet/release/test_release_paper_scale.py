"""The generated corpus at the paper's scale, as a release: the counts of the paper's Table C.1a."""

import hashlib

import pytest
from making import build, verb

from annotation.preferences import preferences
from annotation.relevance import relevance
from lrmovienet.release.check import check
from lrmovienet.runner.local import run_once
from lrmovienet.stats.measure import measure
from lrmovienet.synthetic.plan import plan
from lrmovienet.synthetic.world import scenes
from lrmovienet.workspace import Workspace

# Paper, Table C.1a: clips in all videos of each genre.
TABLE_C1A = {
    "Drama": 1765, "Action": 1224, "Thriller": 1154, "Sci-Fi": 869, "Crime": 829,
    "Adventure": 814, "Comedy": 562, "Mystery": 525, "Fantasy": 520, "Romance": 427,
    "Biography": 232, "War": 171, "Horror": 147, "Family": 140, "History": 132, "Music": 82,
    "Western": 66, "Sport": 51, "Musical": 21,
}  # fmt: skip


def clips(seed: int) -> dict[str, list]:
    """The corpus' clips with their real ids, genres and descriptions, and frames nobody drew."""
    rows = []
    for film in plan("paper", seed):
        for scene in scenes(film, seed):
            ref = f"{film.movie_id}/shot_0000_img_0.jpg"
            rows.append({
                "clip_id": scene.clip_id, "movie_id": film.movie_id, "title": None,
                "genres": list(film.genres), "description": scene.description, "shot": [0, 1],
                "frame": [0, 9], "start_s": None, "end_s": None,
                "keyframes": [{
                    "ref": ref, "sha256": hashlib.sha256(scene.clip_id.encode()).hexdigest()
                }],
            })  # fmt: skip
    return {name: [row[name] for row in rows] for name in rows[0]}


def put(workspace: Workspace, table: str, columns, *made_from: str) -> None:
    inputs = {name: workspace.require(name).digest for name in made_from}
    run_once(workspace, table, lambda: columns, version="1", inputs=inputs, config={})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_release_of_the_papers_size_has_the_papers_counts(tmp_path):
    root = tmp_path / "w"
    verb("synth", root, "--size", "paper", "--frames", "false")
    workspace = Workspace(root)
    put(workspace, "clips", clips(seed=0))
    # As `aggregate`, without the strengths of labels, which no release needs.
    said = workspace.read("ratings").to_pylist()
    put(workspace, "relevance", relevance(said, 1, "median"), "ratings")
    put(workspace, "preferences", preferences(workspace.read("pair_ratings").to_pylist()),
        "pair_ratings")  # fmt: skip
    verb("split", root, "--protocol", "paper", "--dev_share", "0", "--equal_grades", "keep")
    release = build(root, tmp_path / "out")
    counted = measure(release)
    assert {genre: of["clips"] for genre, of in counted["genres"].items()} == TABLE_C1A
    assert [*counted["genres"]] == [*TABLE_C1A]  # the commonest first, as in the paper
    assert counted["totals"]["clips"] == 3206
    assert counted["totals"]["films"] == 219
    assert counted["without_genre"] == 0
    # Paper, §5.1: 2,551 clips train the first stage; 2,206 and 1,000 are target clips.
    splits = counted["splits"]
    assert {name: of["clips"] for name, of in splits.items()} == {
        "source_train": 2551, "target_pairs": 2206, "target_test": 1000
    }  # fmt: skip
    assert sum(counted["splits"][name]["records"] for name in splits) == 2551 + 3206
    assert max(of["labels_a_record"]["most"] for of in splits.values()) <= 20
    # The card has the same numbers, and the release is right.
    card = (release.root / "README.md").read_text(encoding="utf-8")
    for genre, n in TABLE_C1A.items():
        assert f"| {genre} | " in card
        assert f" | {n:,} | " in card.split(f"| {genre} | ")[1].split("\n")[0]
    assert check(release) == []
