"""Scenes, labels, true grades and simulated annotators of the generated corpus."""

import math
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from eval.labels import normal_form
from lrmovienet.synthetic.annotators import choose, compare, rate
from lrmovienet.synthetic.calibration import CALIBRATION, RoleWeights
from lrmovienet.synthetic.plan import plan
from lrmovienet.synthetic.vocabulary import WORLDS, vocabulary
from lrmovienet.synthetic.world import Scene, scenes, true_grades


@pytest.fixture(scope="module")
def small() -> list[Scene]:
    return [scene for film in plan("small", 0) for scene in scenes(film, 0)]


def grades_of_records(found: list[Scene], world: str) -> list[list[int]]:
    records = [[x.grade for x in scene.labels if x.world == world] for scene in found]
    return [grades for grades in records if grades]


def test_the_worlds_share_no_label_and_labels_are_in_normal_form() -> None:
    texts = {w: {x.text for found in vocabulary().labels[w] for x in found} for w in WORLDS}
    assert not texts["head"] & texts["tail"]
    for text in texts["head"] | texts["tail"]:
        assert text == normal_form(text)
        assert 1 <= len(text.split()) <= 4


def test_a_label_names_one_concept_unless_it_names_a_group() -> None:
    owners = defaultdict(set)
    for world in WORLDS:
        for index, labels in enumerate(vocabulary().labels[world]):
            for label in labels:
                if not label.generic:
                    owners[label.text].add(index)
    assert max(map(len, owners.values())) == 1


def test_tail_films_have_target_labels_only_and_head_films_both(small: list[Scene]) -> None:
    for scene in small:
        worlds = {label.world for label in scene.labels}
        assert worlds == ({"tail"} if scene.film.is_tail else {"head", "tail"})


def test_records_hold_about_17_65_labels_and_at_most_20(small: list[Scene]) -> None:
    sizes = [len(r) for world in WORLDS for r in grades_of_records(small, world)]
    assert max(sizes) <= 20
    # 575 records with a spread of 1.44: three standard errors are 0.18.
    assert np.mean(sizes) == pytest.approx(17.65, abs=0.18)
    assert all(len({x.text for x in s.labels}) == len(s.labels) for s in small)


def test_grades_are_the_thresholds_of_the_utilities(small: list[Scene]) -> None:
    for scene in small[:40]:
        for label in scene.labels:
            expected = 0
            if label.utility >= CALIBRATION.medium_from:
                expected = 1
            if label.utility >= CALIBRATION.high_from:
                expected = 2
            assert label.grade == expected


def test_shares_of_the_grades_and_ndcg_of_a_random_order(small: list[Scene]) -> None:
    for world in WORLDS:
        records = grades_of_records(small, world)
        counts = Counter(g for r in records for g in r)
        shares = [counts[g] / sum(counts.values()) for g in (0, 1, 2)]
        assert 0.42 < shares[0] < 0.58
        assert 0.25 < shares[1] < 0.38
        assert 0.13 < shares[2] < 0.25
        assert 0.62 < np.mean([random_ndcg(r) for r in records if any(r)]) < 0.70


def random_ndcg(grades: list[int]) -> float:
    """Expected NDCG@20 of a random order: every position gets the mean gain."""
    gains = sorted((2**g - 1 for g in grades), reverse=True)
    discounts = [1 / math.log2(i + 2) for i in range(len(gains))]
    ideal = sum(g * d for g, d in zip(gains, discounts, strict=True))
    return sum(gains) / len(gains) * sum(discounts) / ideal


def test_the_worlds_weigh_roles_differently(small: list[Scene]) -> None:
    means: dict[tuple[str, str], list[int]] = defaultdict(list)
    for scene in small:
        for label in scene.labels:
            means[label.world, label.role].append(label.grade)

    def mean(world: str, role: str) -> float:
        return float(np.mean(means[world, role]))

    assert mean("head", "theme") > mean("head", "setting") + 0.3
    assert mean("head", "protagonist") > mean("head", "mood") + 0.3
    assert mean("tail", "setting") > mean("tail", "theme") + 0.1
    assert mean("tail", "mood") > mean("tail", "protagonist") + 0.2
    for role in ("setting", "prop", "mood"):
        assert mean("tail", role) > mean("head", role) + 0.3
    for role in ("theme", "protagonist"):
        assert mean("tail", role) < mean("head", role) - 0.1
    for world in WORLDS:
        for role in RoleWeights.__dataclass_fields__:
            assert role == "absent" or mean(world, "absent") < mean(world, role)


def test_without_noise_a_label_is_worth_its_roles_weight() -> None:
    quiet = replace(
        CALIBRATION, label_sd=0, element_sd=0, clip_sd=0, prominence=0, emphasis=0, generic=0
    )
    for scene in scenes(plan("tiny", 0)[0], 0, quiet):
        for label in scene.labels:
            weights = quiet.head if label.world == "head" else quiet.tail
            assert label.utility == getattr(weights, label.role)


def test_descriptions_have_20_to_45_words_and_open_with_what_is_told(small: list[Scene]) -> None:
    for scene in small:
        assert 20 <= len(scene.description.split()) <= 45, scene.description
        assert "  " not in scene.description
        assert scene.description.endswith(".")
        theme, person = (e for e in scene.elements if e.role in ("theme", "protagonist"))
        assert person.word.lower() in scene.description.lower()
        told = [theme.word, theme.concept.finite, theme.concept.gerund]
        assert any(words.lower() in scene.description.lower() for words in told)
    assert len({scene.description for scene in small}) == len(small)


def test_words_alone_do_not_find_every_present_label(small: list[Scene]) -> None:
    """Synonyms and things only seen keep lexical match from being enough, but it is worth much."""
    found: dict[bool, list[bool]] = {True: [], False: []}
    for scene in small:
        words = set(scene.description.lower().replace(".", "").replace(",", "").split())
        for label in scene.labels:
            found[label.role != "absent"].append(bool(words & set(label.text.split())))
    assert 0.3 < np.mean(found[True]) < 0.8
    assert np.mean(found[False]) < 0.15


def test_scenes_depend_on_seed_and_film_alone() -> None:
    film = plan("small", 0)[7]
    first = scenes(film, 0)
    scenes.cache_clear()
    assert scenes(film, 0) == first
    assert scenes(film, 0) is not first
    assert scenes(film, 0)[0].description != scenes(film, 1)[0].description
    other = plan("small", 0)[8]
    assert scenes(film, 0)[0].description != scenes(other, 0)[0].description


def test_true_grades_cover_every_candidate(small: list[Scene]) -> None:
    grades = true_grades("small", 0)
    assert len(grades) == sum(len(scene.labels) for scene in small)
    assert all(grades[s.clip_id, x.text] == x.grade for s in small for x in s.labels)


def test_annotators_err_as_specified(small: list[Scene]) -> None:
    """The strict one grades lower than the lenient one; the median of three beats each of them."""
    truth = true_grades("small", 0)
    grades: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for film in plan("small", 0):
        rows = rate(scenes(film, 0), 0, CALIBRATION)
        for clip, label, who, grade in zip(
            rows["clip_id"], rows["label"], rows["annotator"], rows["grade"], strict=True
        ):
            grades[who][clip, label] = grade
    assert [len(g) for g in grades.values()] == [len(truth)] * 3
    keys = list(truth)
    true = np.array([truth[k] for k in keys])
    given = np.array([[grades[who][k] for k in keys] for who in sorted(grades)])
    assert given[0].mean() < true.mean() < given[2].mean()
    wrong = (given != true).mean(axis=1)
    assert (wrong > 0.05).all()
    assert (wrong < 0.35).all()
    assert (np.median(given, axis=0) != true).mean() < wrong.min()


def test_an_annotator_without_bias_noise_or_slips_gives_the_true_grades() -> None:
    perfect = replace(CALIBRATION, annotator_bias=(0.0,), annotator_sd=(0.0,), slip=0)
    for film in plan("tiny", 0):
        found = scenes(film, 0)
        rows = rate(found, 0, perfect)
        assert rows["grade"] == [x.grade for scene in found for x in scene.labels]


def test_slips_are_as_frequent_as_specified() -> None:
    careless = replace(CALIBRATION, annotator_bias=(0.0,), annotator_sd=(0.0,), slip=0.3)
    wrong: list[bool] = []
    for film in plan("small", 0)[:24]:
        found = scenes(film, 0)
        true = [x.grade for scene in found for x in scene.labels]
        wrong += [a != b for a, b in zip(rate(found, 0, careless)["grade"], true, strict=True)]
    # A slip gives one of three grades, so two in three are wrong: 0.2; n is about 5000.
    assert np.mean(wrong) == pytest.approx(0.2, abs=0.02)


def test_pairs_are_target_pairs_a_seeded_40_percent_of_all() -> None:
    for film in plan("tiny", 0):
        found = scenes(film, 0)
        rows = compare(found, 0, CALIBRATION)
        for scene in found:
            target = {x.text for x in scene.labels if x.world == "tail"}
            judged = [
                frozenset(pair)
                for clip, *pair in zip(
                    rows["clip_id"], rows["label_a"], rows["label_b"], strict=True
                )
                if clip == scene.clip_id
            ]
            assert all(len(pair) == 2 and pair <= target for pair in judged)
            every = len(target) * (len(target) - 1) // 2
            assert len(set(judged)) == round(0.4 * every)
    keys = list(
        zip(rows["clip_id"], rows["label_a"], rows["label_b"], rows["annotator"], strict=True)
    )
    assert len(set(keys)) == len(keys)


def test_choices_follow_the_difference_of_the_utilities() -> None:
    rng = np.random.default_rng(0)
    certain = replace(CALIBRATION, pair_sd=0, skip=0)
    difference = np.array([0.13, -0.13, 0.11, -0.11, 0.0])
    assert choose(difference, certain, rng) == ["a", "b", "tie", "tie", "tie"]
    many = Counter(choose(np.full(40_000, 0.25), CALIBRATION, rng))
    # One noise spread above zero: P(a) = Φ((0.25 - 0.12) / 0.25) = Φ(0.52) = 0.698, of the 99 %
    # that are not skipped; P(b) = Φ(-(0.25 + 0.12) / 0.25) = Φ(-1.48) = 0.069.
    assert many["a"] / 40_000 == pytest.approx(0.99 * 0.698, abs=0.01)
    assert many["b"] / 40_000 == pytest.approx(0.99 * 0.069, abs=0.005)
    assert many["skip"] / 40_000 == pytest.approx(0.01, abs=0.002)


@pytest.mark.slow
def test_paper_has_the_papers_numbers_of_labels() -> None:
    distinct: dict[str, set[str]] = {"head": set(), "tail": set()}
    total = 0
    for film in plan("paper", 0):
        for scene in scenes(film, 0):
            total += len(scene.labels)
            for label in scene.labels:
                distinct[label.world].add(label.text)
    assert total == pytest.approx(101_627, rel=0.01)
    assert len(distinct["tail"]) == pytest.approx(4841, rel=0.05)
    assert len(distinct["head"]) + len(distinct["tail"]) == pytest.approx(15_234, rel=0.05)
