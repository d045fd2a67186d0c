"""The JSON of a scoring: written, read, brought up to date, and refused."""

import copy
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.result import (
    SCHEMA_VERSION,
    About,
    Bootstrap,
    Comparison,
    Conventions,
    Estimate,
    GoldInfo,
    Group,
    Result,
    ResultError,
    RunResult,
    Training,
    estimates,
    from_json,
    number,
    read,
    to_json,
)  # fmt: skip

VERSION_1 = Path(__file__).parent / "results" / "version-1.json"


def generated():
    """A result made up here, with something in every field."""
    group = Group(2, 1, {"ndcg@1": Estimate(0.25, None, None)})
    run = RunResult(
        "mine", "beef" * 16, {"ndcg@1": Estimate(0.5, 0.25, 0.75), "mrr": Estimate(None)},
        {"ndcg@1": 0.125, "mrr": None}, 0.0625, 3, 4, {"Drama": group}, {"image": group},
        {"ndcg@1": (1.5, 0.5)},
        Training(
            "gsf", 3, "c0de", "f11e", {"epochs": "3"}, 8, 1234, 5.5, 0.5, "train gsf --seed 3",
            "2026-01-02", "a machine", "GSF",
        ),
    )  # fmt: skip
    return Result(
        Conventions("linear", "stable", "zero", 2, 3, "paper"),
        About("LRMovieNet", "1.0", "strict", "R1"),
        GoldInfo("records", "feed" * 16, "target_test", 5, 2, 9, 2, 1, ("tt1", "tt2"), (3, 1)),
        (1, 3),
        Bootstrap(1000, 7, 0.9),
        {"random": {"ndcg@1": 0.4, "mrr": None}},
        (run,),
        (Comparison("mine", "other", "ndcg@1", Estimate(0.1, -0.1, 0.2), 0.3, 0.6),),
    )


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
whole = st.integers(-(2**70), 2**70)
real = st.floats(-1e300, 1e300, exclude_min=True, exclude_max=True)
maybe = st.none() | real
counted = st.integers(0, 10**15)
timed = st.none() | st.floats(0, 1e15)


def by_name(values):
    return st.dictionaries(words, values, max_size=2)


def many(values):
    return st.lists(values, max_size=3).map(tuple)


estimate = st.builds(Estimate, maybe, maybe, maybe)
training = st.builds(
    Training,
    words,
    st.none() | counted,
    words,
    words,
    by_name(words),
    counted,
    st.none() | counted,
    timed,
    timed,
    words,
    words,
    words,
    st.none() | words,
)
groups = by_name(st.builds(Group, whole, whole, by_name(estimate)))
results = st.builds(
    Result,
    st.builds(Conventions, relevant_from=st.none() | whole, max_grade=whole),
    st.builds(About, *[st.none() | words] * 3),
    st.builds(
        GoldInfo, words, words, st.none() | words, whole, st.none() | whole, whole, whole, whole,
        many(words), many(whole),
    ),
    many(whole),
    st.none() | st.builds(Bootstrap, whole, whole, real),
    by_name(by_name(maybe)),
    many(
        st.builds(
            RunResult, words, words, by_name(estimate), by_name(maybe), real, whole, whole,
            groups, groups, by_name(many(real)), st.none() | training,
        )
    ),
    many(st.builds(Comparison, words, words, words, estimate, real, real)),
    schema_version=st.just(SCHEMA_VERSION),
    scorer_version=words,
)  # fmt: skip


@given(results)
def test_what_is_written_is_read(result):
    text = to_json(result)
    assert from_json(text) == result
    assert to_json(from_json(text)) == text
    assert json.loads(text)["gold"]["clips"] == result.gold.clips


def test_the_json_has_the_names_of_the_classes():
    content = json.loads(to_json(generated()))
    assert content["schema_version"] == 3
    assert content["conventions"]["relevant_from"] == 2
    assert content["runs"][0]["measures"]["ndcg@1"] == {"mean": 0.5, "low": 0.25, "high": 0.75}
    assert content["runs"][0]["by_film"] == {"ndcg@1": [1.5, 0.5]}
    assert content["runs"][0]["by_genre"]["Drama"]["measures"]["ndcg@1"]["low"] is None
    assert to_json(generated()).endswith("}\n")


def test_measure_tells_conventions_apart():
    result = generated()
    assert result.measure == "nDCG(gain=linear,ties=stable,empty=zero)@k"
    others = [
        replace(result, conventions=replace(result.conventions, **change)).measure
        for change in ({"gain": "exp"}, {"ties": "average"}, {"empty": "skip"})
    ]
    assert len({result.measure, *others}) == 4


def test_whole_numbers_are_read_as_floats_where_floats_belong():
    content = json.loads(to_json(generated()))
    content["runs"][0]["tied_pairs"] = 0
    tied = from_json(json.dumps(content)).runs[0].tied_pairs
    assert (tied, type(tied)) == (0.0, float)


def test_a_file_of_version_1_opens_with_its_numbers():
    result = read(VERSION_1)
    assert (result.schema_version, result.scorer_version) == (3, "1")
    assert result.conventions == Conventions("exp", "average", "skip", None, 2, None)
    assert result.about == About()
    assert (result.gold.clips, result.gold.labels, result.gold.films) == (3, 7, None)
    assert (result.gold.clips_without_relevant_label, result.gold.clips_skipped) == (1, 1)
    assert result.gold.sha256.startswith("e99c25c8")
    assert (result.k, result.bootstrap) == ((1, 3), None)
    (run,) = result.runs
    assert (run.name, run.tied_pairs) == ("mine", 0.4)
    assert run.measures == {"ndcg@1": Estimate(0.25), "ndcg@3": Estimate(0.737233340794071)}
    assert run.normalised["ndcg@3"] == -0.3072158600805038
    assert result.references["worst"] == {"ndcg@1": 0.0, "ndcg@3": 0.6089062125035888}
    assert from_json(to_json(result)) == result


def test_a_file_of_version_2_opens_as_it_was():
    """The one field that version 3 adds may be lacking, as in all files of version 2."""
    content = json.loads(to_json(generated()))
    for run in content["runs"]:
        del run["training"]
    old = from_json(json.dumps(content | {"schema_version": 2}))
    assert old == replace(generated(), runs=tuple(replace(run, training=None) for run in old.runs))
    assert old.schema_version == 3


def test_a_newer_version_is_refused():
    content = json.loads(to_json(generated())) | {"schema_version": 4, "news": {}}
    with pytest.raises(ResultError, match=r"newer scorer \(schema 4; this one reads up to 3\)"):
        from_json(json.dumps(content))


@pytest.mark.parametrize("version", [0, -1, True, None, "2", 2.0, [], 10**400])
def test_what_is_no_version_is_refused(version):
    content = json.loads(to_json(generated())) | {"schema_version": version}
    with pytest.raises(ResultError, match="schema"):
        from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"a"', "{}", "{", "[" * 100_000])
def test_what_is_no_result_is_refused(text):
    with pytest.raises(ResultError, match=r"JSON|schema_version"):
        from_json(text)


def places(value, path=()):
    """Every value in a JSON text, by the way to it."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def put(content, path, value):
    """A copy with another value in one place."""
    content = copy.deepcopy(content)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


def get(content, path):
    for key in path:
        content = content[key]
    return content


MAPPINGS = ("references", "measures", "normalised", "by_genre", "by_source", "by_film", "options")


def named(path):
    """A place as messages write it: fields with dots, keys and numbers in brackets."""
    text, keyed = "", 0
    for key in path:
        if keyed or isinstance(key, int):
            text += f"[{key!r}]"
            keyed -= bool(keyed)
        else:
            text += f".{key}" if text else key
            keyed = (key in MAPPINGS) + (key == "references")
    return text


CONTENT = json.loads(to_json(generated()))
PLACES = [path for path in places(CONTENT) if path and path != ("schema_version",)]


@pytest.mark.parametrize("path", PLACES, ids=named)
def test_a_wrong_value_is_named_with_its_place(path):
    old = get(CONTENT, path)
    # True is no number, and a number no text; neither is an object, a list or a choice.
    wrong = [True] + ([5] if isinstance(old, str | dict | list) else ["5"])
    if isinstance(old, float):
        wrong += [float("nan"), float("inf"), float("-inf"), 10**400]
    elif isinstance(old, int):
        wrong += [1.5]
    for value in wrong:
        with pytest.raises(ResultError) as caught:
            from_json(json.dumps(put(CONTENT, path, value)))
        assert str(caught.value).startswith(f"{named(path)} is ")


def test_the_places_tried_are_all_kinds():
    names = {named(path) for path in PLACES}
    assert {
        "conventions.gain", "about.regime", "gold.film_clips[1]", "k[0]", "bootstrap.confidence",
        "references['random']['ndcg@1']", "runs[0].measures['ndcg@1'].mean",
        "runs[0].by_genre['Drama'].measures['ndcg@1'].mean", "runs[0].by_film['ndcg@1'][1]",
        "comparisons[0].difference.high", "comparisons[0].p_holm",
    } <= names  # fmt: skip


OBJECTS = [()] + [p for p in PLACES if isinstance(get(CONTENT, p), dict) and p[-1] not in MAPPINGS]
FIELDS = [p for p in OBJECTS if p[-1:] not in [("random",)]]


@pytest.mark.parametrize("path", FIELDS, ids=named)
def test_a_missing_and_an_unknown_field_are_named(path):
    optional = {
        "compat", "dataset", "revision", "protocol", "regime", "film_ids", "film_clips", "low",
        "high", "by_genre", "by_source", "by_film", "comparisons", "scorer_version", "resampled",
        "training", "published",
    }  # fmt: skip
    prefix = f"{named(path)}." if path else ""
    for name in get(CONTENT, path):
        content = copy.deepcopy(CONTENT)
        del get(content, path)[name]
        if name in optional:
            from_json(json.dumps(content))
        elif name != "schema_version":
            with pytest.raises(ResultError) as caught:
                from_json(json.dumps(content))
            assert str(caught.value) == f"{prefix}{name} is missing"
    with pytest.raises(ResultError) as caught:
        from_json(json.dumps(put(CONTENT, (*path, "extra"), 1)))
    assert str(caught.value) == f"{prefix}'extra' is no field of a result"


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_are_finite(word):
    text = to_json(generated()).replace("0.0625", word)
    with pytest.raises(ResultError, match=r"runs\[0\].tied_pairs is "):
        from_json(text)


@pytest.mark.parametrize("name", ["seed", "trials", "parameters", "seconds", "seconds_before"])
def test_what_is_counted_or_timed_has_bounds(name):
    path = ("runs", 0, "training", name)
    for value in (0, 10**15):
        read_back = from_json(json.dumps(put(CONTENT, path, value)))
        assert getattr(read_back.runs[0].training, name) == value
    for value in (-1, 10**15 + 1, 10**40):
        with pytest.raises(ResultError, match=f"training.{name} is .*, expected 0 to 1e.15"):
            from_json(json.dumps(put(CONTENT, path, value)))
    run = generated().runs[0]
    wrong = replace(run, training=replace(run.training, **{name: -1}))
    with pytest.raises(ResultError, match=f"training.{name} is -1"):
        to_json(replace(generated(), runs=(wrong,)))


def test_half_a_character_is_no_text():
    text = to_json(generated())
    for old, where in (('"mine"', "runs.0..name is"), ('"Drama"', "a key of runs.0..by_genre")):
        with pytest.raises(ResultError, match=where):
            from_json(text.replace(old, '"\\ud800"', 1))


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ResultError) as caught:
        from_json(json.dumps(put(CONTENT, ("conventions", "gain"), "x" * 10_000)))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "change",
    [
        {"k": (1, 2.5)},
        {"k": (True,)},
        {"k": {1}},
        {"gold": replace(generated().gold, name=None)},
        {"gold": replace(generated().gold, name="\udcff.json")},
        {"conventions": replace(generated().conventions, gain="square")},
        {"references": {"random": {"mrr": float("nan")}}},
        {"references": {"random": {"mrr": 1j}}},
    ],
)
def test_what_is_not_of_its_type_is_not_written(change):
    with pytest.raises(ResultError):
        to_json(replace(generated(), **change))


def test_a_truncated_file_is_refused(tmp_path):
    whole = to_json(generated()).encode()
    path = tmp_path / "result.json"
    for length in range(0, len(whole) - 2, 7):  # the last line feed may be missing
        path.write_bytes(whole[:length])
        with pytest.raises(ResultError, match=str(path)):
            read(path)


@pytest.mark.parametrize("source", [to_json(generated()), VERSION_1.read_text()], ids=["2", "1"])
def test_mutated_files_are_results_or_refused(source):
    """Bytes changed anywhere, and values put in the place of others."""
    rng = random.Random(0)
    content = json.loads(source)
    ways = [path for path in places(content) if path]
    values = [None, True, 0, -1, 10**400, 1.5, "", "\ud800", [], {}, [[]], {"a": 1}, {"0": None}]
    for i in range(1500):
        if i % 2:
            data = bytearray(source.encode())
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.choice(b'"{}[],:0e-\\un\x00\xff')
            text = data.decode(errors="surrogateescape")
        else:
            value = rng.choice([*values, get(content, rng.choice(ways))])
            text = json.dumps(put(content, rng.choice(ways), value))
        try:
            result = from_json(text)
        except ResultError as error:
            assert str(error)
        else:
            assert from_json(to_json(result)) == result
            to_json(result).encode()


@pytest.mark.parametrize("depth", [100, 300, 900, 960, 990, 2000, 100_000])
def test_deep_nesting_is_refused(depth):
    text = json.dumps(put(CONTENT, ("k",), 0)).replace(
        '"k": 0', '"k": ' + "[" * depth + "]" * depth
    )
    with pytest.raises(ResultError):
        from_json(text)


def test_estimates_name_what_they_hold():
    nan = float("nan")
    assert estimates(["a", "b"], [0.5, nan], [0.25, nan], [0.75, nan]) == {
        "a": Estimate(0.5, 0.25, 0.75),
        "b": Estimate(None),
    }
    assert (number(nan), number(0.0)) == (None, 0.0)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        estimates(["a"], [0.5], [0.1, 0.2], [0.9])
