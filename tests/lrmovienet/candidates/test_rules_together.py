"""What holds of all rules together: their order, and that nothing is lost or made up."""

import re
from collections import Counter

from finding import angles, clip, clips_of, entity, event, image, labels
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmovienet.candidates.forms import key
from lrmovienet.candidates.order import Candidate, Found, target_domain
from lrmovienet.candidates.rules import RULES, Rules, select


def test_the_rules_are_asked_in_their_order():
    """Each label would fall to its own rule and to every one after it."""
    found = {f"tt1_{i}": [image("42", 0, False)] for i in range(4)}
    everywhere = ["boss", "keanu reeves", "weak", "usual"]
    for clip_id in found:
        found[clip_id] += [image(x, 0.1, x == "usual") for x in everywhere]
    found["tt1_0"] += [event("kept", 0), event("alike", 1), event("last", 2)]
    rules = Rules(
        block=frozenset({"42", "boss"}), ceiling=0.5, ceiling_from=1, near=0.9, cap=1,
    )  # fmt: skip
    cast = {"tt1": [{"actor": x, "character": None} for x in ("42", "boss", "Keanu Reeves")]}
    vectors = angles(kept=0, alike=0, **dict.fromkeys(everywhere, 0))
    kept, dropped = select(found, clips_of(found), rules, cast=cast, vectors_of=vectors)
    assert labels(kept["tt1_0"]) == ["kept"]
    reasons = {label: why.partition(":")[0] for label, why in dropped["tt1_0"]}
    assert reasons == {
        "42": "no word", "boss": "blocked", "keanu reeves": "actor", "weak": "score",
        "usual": "common", "alike": "near", "last": "cap",
    }  # fmt: skip
    assert [*RULES] == ["form", *reasons.values()]


VOCABULARY = [
    "red car", "red cars", "red-car", "redcar", "the red car", "dog", "dogs", "Dog!", "man", "men",
    "scene", "scenes", "42", "the", "neo", "keanu reeves", "reeves", "sofa", "couch", "bus", "café",
    "cafe", "glass", "glasses", "driver’s seat", "driver's seats", "fight", "kiss", "tank",
]  # fmt: skip
NAMES = st.sampled_from(VOCABULARY)
FOUND = st.one_of(
    st.builds(event, NAMES, st.integers(0, 9)),
    st.builds(entity, NAMES, st.integers(0, 9)),
    st.builds(image, NAMES, st.sampled_from([None, 0.01, 0.3, 0.9]), st.booleans()),
)
OF_CLIP = st.tuples(
    st.lists(FOUND, unique_by=lambda f: (f.label, f.kind), max_size=14),
    st.lists(st.sampled_from(["drama", "war", "spy"]), unique=True, max_size=2),
    st.sampled_from(["A scene.", "Neo (Keanu Reeves) fights.", "Neo (Keanu Reeves) or Reeves."]),
)


@st.composite
def corpora(draw):
    drawn = draw(st.lists(OF_CLIP, min_size=1, max_size=6))
    clips = [clip(f"tt{i % 2}_{i}", genres, text) for i, (_, genres, text) in enumerate(drawn)]
    found = {c["clip_id"]: labels_of for c, (labels_of, *_) in zip(clips, drawn, strict=True)}
    rules = Rules(
        kinds=draw(st.permutations(["event", "entity", "image"])),
        block=draw(st.sampled_from([frozenset(), frozenset({"scene", "bus"})])),
        block_of_clip=draw(st.sampled_from([{}, {"tt0_0": frozenset({"dog"})}])),
        ceiling=draw(st.sampled_from([1.0, 0.5])), ceiling_from=draw(st.integers(0, 2)),
        near=draw(st.sampled_from([1.0, 0.9])), cap=draw(st.integers(1, 5)),
        by_domain=draw(st.booleans()), order=draw(st.sampled_from(["turns", "agreement", "kinds"])),
    )  # fmt: skip
    return found, clips, rules


NEO = {"tt1": [{"actor": "Keanu Reeves", "character": "Neo"}]}


def run(found, clips, rules):
    # tank is near to both, kiss to none
    vectors = angles(sofa=0, couch=10, tank=20, fight=21)
    return select(found, clips, rules, cast=NEO, vectors_of=vectors)


def goes_to(label, dropped):
    """Where a label of a clip ends by the reasons alone, and by which rule."""
    for _ in range(4):
        # A label may stand twice: "dogs" for its form, then as the written form of others.
        reasons = [why for name, why in dropped if name == label]
        form = next((why for why in reasons if why.startswith("form: ")), None)
        reason = form or next(iter(reasons), None)
        if reason is None:
            return label, None
        rule, _, detail = reason.partition(": ")
        if rule not in ("form", "near"):
            return label, rule
        label = re.match(r"(?:written as )?(['\"])(.*)\1", detail)[2]
    raise AssertionError((label, dropped))


def solid(label):
    return key(label).replace(" ", "")


@settings(max_examples=80, deadline=None)
@given(corpora())
def test_every_label_comes_out_and_nothing_else(corpus):
    found, clips, rules = corpus
    kept, dropped = run(found, clips, rules)
    assert set(kept) == set(dropped) == {c["clip_id"] for c in clips}
    uncut = {c: [*own, *(Candidate(x) for x, why in dropped[c] if why.startswith("cap: "))]
             for c, own in kept.items()}  # fmt: skip
    target = target_domain(clips, uncut, None) if rules.by_domain else set()
    for clip_id, own in found.items():
        out = set(labels(kept[clip_id])) | {label for label, _ in dropped[clip_id]}
        assert {one.label for one in own} <= out
        assert {solid(label) for label in out} == {solid(one.label) for one in own}
        assert len({solid(label) for label in labels(kept[clip_id])}) == len(kept[clip_id])
        for reason in (why for _, why in dropped[clip_id]):
            rule, _, detail = reason.partition(": ")
            assert rule in RULES
            assert detail
        for domain in (True, False):
            there = [x for x in labels(uncut[clip_id]) if (x in target) == domain]
            left = [x for x in labels(kept[clip_id]) if (x in target) == domain]
            assert len(left) == min(len(there), rules.cap)


@settings(max_examples=80, deadline=None)
@given(corpora())
def test_no_source_is_lost(corpus):
    """Every row that was found is a source of the candidate that the reasons lead to."""
    found, clips, rules = corpus
    kept, dropped = run(found, clips, rules)
    for clip_id, own in found.items():
        expected, gone = {}, 0
        for one in own:
            label, rule = goes_to(one.label, dropped[clip_id])
            if rule is None:
                expected.setdefault(label, Counter())[one] += 1
            else:
                gone += 1
        assert {c.label: Counter(c.sources) for c in kept[clip_id]} == expected
        assert sum(len(c.sources) for c in kept[clip_id]) + gone == len(own)


def plain(result):
    """Candidates in their order, and as sets what has none."""
    kept, dropped = result
    return (
        {c: [(x.label, Counter(x.sources)) for x in own] for c, own in kept.items()},
        {c: sorted(own) for c, own in dropped.items()},
    )


@settings(max_examples=60, deadline=None)
@given(corpora(), st.randoms(use_true_random=False))
def test_the_order_of_clips_and_rows_means_nothing(corpus, random):
    found, clips, rules = corpus
    clip_ids = random.sample(sorted(found), len(found))
    shuffled = {c: random.sample(found[c], len(found[c])) for c in clip_ids}
    other = random.sample(clips, len(clips))
    before = {c: list(own) for c, own in found.items()}
    assert plain(run(shuffled, other, rules)) == plain(run(found, clips, rules))
    assert found == before
    # A clip that clips does not have is not there.
    more = {**found, "tt9_9": [Found("dog", "event", "llm", 0)]}
    assert plain(run(more, clips, rules)) == plain(run(found, clips, rules))
