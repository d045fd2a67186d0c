"""`lrmovienet synth` as a user meets it: files, tables, determinism, resume, errors."""

import io
import itertools
import json
import tarfile
from pathlib import Path

import pytest

from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file
from lrmovienet.schema import TABLES
from lrmovienet.synthetic import SynthConfig, run
from lrmovienet.synthetic.plan import plan
from lrmovienet.synthetic.world import scenes
from lrmovienet.validation import validate
from lrmovienet.workspace import Workspace


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    run(SynthConfig(workspace=root, size="tiny", seed=0))
    return root


def tree_hashes(root: Path) -> dict[str, str]:
    found = sorted(p for p in (root / "movienet").glob("**/*") if p.is_file())
    return {str(p.relative_to(root)): sha256_file(p) for p in found}


def table_digests(root: Path) -> dict[str, str]:
    names = ("candidates", "ratings", "pair_ratings")
    return {name: Workspace(root).require(name).digest for name in names}


def tables(root: Path) -> list[list[dict[str, object]]]:
    """All rows: parts differ where shards do."""
    names = ("candidates", "ratings", "pair_ratings")
    return [Workspace(root).read(name).to_pylist() for name in names]


def annotations(root: Path) -> dict[str, dict]:
    paths = sorted((root / "movienet" / "annotation").glob("*.json"))
    return {p.stem: json.loads(p.read_bytes()) for p in paths}


def shots_of(root: Path, movie_id: str) -> list[list[int]]:
    text = (root / "movienet" / "shot_detection" / f"{movie_id}.txt").read_text()
    return [[int(number) for number in line.split()] for line in text.splitlines()]


def test_every_film_has_its_files_and_clips_is_left_to_ingest(tiny: Path) -> None:
    ids = [film.movie_id for film in plan("tiny", 0)]
    for folder, ending in (
        ("annotation", "json"), ("meta", "json"), ("240P", "tar"), ("shot_detection", "txt"),
    ):  # fmt: skip
        assert sorted(p.name for p in (tiny / "movienet" / folder).iterdir()) == [
            f"{movie_id}.{ending}" for movie_id in ids
        ]
    assert Workspace(tiny).manifest("clips") is None


def test_annotations_have_the_keys_of_the_movienet_wiki(tiny: Path) -> None:
    for movie_id, annotation in annotations(tiny).items():
        assert list(annotation) == ["imdb_id", "cast", "scene", "story", "cinematic_style"]
        assert annotation["imdb_id"] == movie_id
        assert annotation["cast"] is None
        for scene in annotation["scene"]:
            assert list(scene) == ["id", "shot", "frame", "place_tag", "action_tag"]
        for story in annotation["story"]:
            assert list(story) == [
                "id", "shot", "frame", "duration", "consistency", "description", "subtitle",
            ]  # fmt: skip
            assert 0 <= story["consistency"] <= 1
            for line in story["subtitle"]:
                assert list(line) == ["shot", "duration", "sentences"]
                assert story["shot"][0] <= line["shot"] <= story["shot"][1]
                assert (
                    story["duration"][0] <= line["duration"][0] <= line["duration"][1]
                    <= story["duration"][1]
                )  # fmt: skip
        assert list(annotation["cinematic_style"]) == ["movie", "trailer"]
        for style in annotation["cinematic_style"]["movie"]:
            assert list(style) == ["shot", "scale", "movement"]


def test_meta_has_the_keys_of_the_movienet_wiki_and_says_that_it_is_generated(tiny: Path) -> None:
    for film in plan("tiny", 0):
        meta = json.loads((tiny / "movienet" / "meta" / f"{film.movie_id}.json").read_bytes())
        assert list(meta) == [
            "imdb_id", "tmdb_id", "douban_id", "title", "genres", "country", "version",
            "imdb_rating", "director", "writer", "cast", "overview",
        ]  # fmt: skip
        assert meta["imdb_id"] == film.movie_id
        assert film.movie_id.startswith("tt99")
        assert len(film.movie_id) == 10
        assert meta["title"].endswith("(generated)")
        assert tuple(meta["genres"]) == film.genres
        assert meta["version"][0]["runtime"].endswith(" min")


def test_stories_frames_and_shot_files_tell_the_same(tiny: Path) -> None:
    for film in plan("tiny", 0):
        shots = shots_of(tiny, film.movie_id)
        assert shots[0][0] == 0
        for (_, end, *_), (start, *_) in itertools.pairwise(shots):
            assert start == end + 1  # both ends included
        for start, end, *keyframes in shots:
            assert len(keyframes) == 3
            assert start < keyframes[0] < keyframes[1] < keyframes[2] < end
        annotation = annotations(tiny)[film.movie_id]
        assert [s["id"] for s in annotation["story"]] == [
            f"{film.movie_id}_{i:04d}" for i in range(film.clips)
        ]
        for story in annotation["story"]:
            first, last = story["shot"]
            assert 2 <= last - first + 1 <= 3
            assert story["frame"] == [shots[first][0], shots[last][1]]
            fps = (story["frame"][1] - story["frame"][0]) / (
                story["duration"][1] - story["duration"][0]
            )
            assert fps == pytest.approx(24000 / 1001)
        covered = [n for s in annotation["scene"] for n in range(s["shot"][0], s["shot"][1] + 1)]
        assert covered == list(range(len(shots)))


def test_tars_hold_three_images_a_shot_and_nothing_of_this_machine(tiny: Path) -> None:
    import cv2
    import numpy as np

    for film in plan("tiny", 0):
        shots = shots_of(tiny, film.movie_id)
        content = (tiny / "movienet" / "240P" / f"{film.movie_id}.tar").read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            members = tar.getmembers()
            assert [m.name for m in members] == [
                f"{film.movie_id}/shot_{n:04d}_img_{i}.jpg"
                for n in range(len(shots))
                for i in range(3)
            ]
            assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {
                (0, 0, 0, "", "")
            }
            for member in members[:6]:
                file = tar.extractfile(member)
                assert file is not None
                picture = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
                assert picture.shape == (240, 432, 3)


def test_tables_keep_their_contracts_and_agree_with_the_stories(tiny: Path) -> None:
    workspace = Workspace(tiny)
    for name in ("candidates", "ratings", "pair_ratings"):
        validate(workspace.read(name), TABLES[name], name)
    candidates = workspace.read("candidates").to_pandas()
    stories = {s["id"] for a in annotations(tiny).values() for s in a["story"]}
    assert set(candidates["clip_id"]) == stories
    for _, rows in candidates.groupby("clip_id"):
        assert rows["position"].tolist() == list(range(len(rows)))
    ratings = workspace.read("ratings").to_pandas()
    per_label = ratings.groupby(["clip_id", "label"]).size()
    assert (per_label == 3).all()
    assert len(per_label) == len(candidates)


@pytest.mark.slow
def test_the_result_does_not_depend_on_processes_shards_or_time(tiny: Path, tmp_path: Path) -> None:
    scenes.cache_clear()
    run(SynthConfig(workspace=tmp_path, size="tiny", seed=0, processes=2, shard_size=4))
    scenes.cache_clear()
    assert tables(tmp_path) == tables(tiny)
    assert tree_hashes(tmp_path) == tree_hashes(tiny)


@pytest.mark.slow
def test_equal_options_give_equal_parts(tiny: Path, tmp_path: Path) -> None:
    scenes.cache_clear()
    run(SynthConfig(workspace=tmp_path, size="tiny", seed=0, processes=2, frames=False))
    assert table_digests(tmp_path) == table_digests(tiny)


def test_another_seed_is_another_corpus(tiny: Path, tmp_path: Path) -> None:
    run(SynthConfig(workspace=tmp_path, size="tiny", seed=1))
    ours, theirs = tree_hashes(tmp_path), tree_hashes(tiny)
    assert all(ours[name] != theirs[name] for name in ours if not name.endswith("synthetic.json"))
    assert table_digests(tmp_path)["ratings"] != table_digests(tiny)["ratings"]


def test_a_deleted_and_a_damaged_tar_are_made_again_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SynthConfig(workspace=tmp_path, size="tiny", seed=0)
    run(config)
    before = tree_hashes(tmp_path)
    tars = sorted((tmp_path / "movienet" / "240P").glob("*.tar"))
    tars[0].unlink()
    tars[1].write_bytes(tars[1].read_bytes()[:-1] + b"x")
    untouched = {p: p.stat().st_mtime_ns for p in tars[2:]}
    capsys.readouterr()
    run(config)
    assert "movienet: 6 films; 4 were there" in capsys.readouterr().out
    assert tree_hashes(tmp_path) == before
    assert {p: p.stat().st_mtime_ns for p in tars[2:]} == untouched
    run(config)
    assert "movienet: up to date" in capsys.readouterr().out


def test_a_killed_first_run_goes_on(tiny: Path, tmp_path: Path) -> None:
    """Killed before the index knew of a film: its files lie there, half of them."""
    for name in list(tree_hashes(tiny))[:4]:
        if not name.endswith("synthetic.json"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((tiny / name).read_bytes())
    (tmp_path / "movienet" / "240P" / ".tt99000005.tar.123.tmp").write_bytes(b"half a tar")
    run(SynthConfig(workspace=tmp_path, size="tiny", seed=0))
    assert tree_hashes(tmp_path) == tree_hashes(tiny)


def test_an_index_cannot_have_other_files_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    index = {"films": {"tt99000099": {"key": "", "files": {"../precious.txt": ""}}}}
    (tmp_path / "movienet").mkdir()
    (tmp_path / "movienet" / "synthetic.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="not a readable index"):
        run(SynthConfig(workspace=tmp_path, size="tiny", frames=False))
    assert precious.read_text() == "mine"


@pytest.mark.slow
def test_films_of_an_earlier_size_go(tiny: Path, tmp_path: Path) -> None:
    run(SynthConfig(workspace=tmp_path, size="small", seed=0, frames=False))
    run(SynthConfig(workspace=tmp_path, size="tiny", seed=0))
    assert tree_hashes(tmp_path) == tree_hashes(tiny)
    assert table_digests(tmp_path) == table_digests(tiny)


def test_without_frames_texts_and_tables_are_the_same(tiny: Path, tmp_path: Path) -> None:
    run(SynthConfig(workspace=tmp_path, size="tiny", seed=0, frames=False))
    assert table_digests(tmp_path) == table_digests(tiny)
    with_frames = tree_hashes(tiny)
    without = tree_hashes(tmp_path)
    assert not [name for name in without if name.endswith(".tar")]
    texts = [name for name in without if not name.endswith("synthetic.json")]
    assert len(texts) == 18
    assert all(without[name] == with_frames[name] for name in texts)


def test_somebody_elses_movienet_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "movienet" / "annotation" / "tt0120338.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("{}")
    with pytest.raises(UserError, match=r"tt0120338\.json, which `synth` did not write"):
        run(SynthConfig(workspace=tmp_path, size="tiny"))
    assert [p for p in tmp_path.glob("movienet/**/*") if p.is_file()] == [foreign]


@pytest.mark.parametrize("option", [{"seed": -1}, {"shard_size": 0}, {"processes": 0}])
def test_impossible_options_are_refused(tmp_path: Path, option: dict[str, int]) -> None:
    with pytest.raises(UserError, match=f"--{next(iter(option))} is"):
        run(SynthConfig(workspace=tmp_path, size="tiny", **option))  # type: ignore[arg-type]
