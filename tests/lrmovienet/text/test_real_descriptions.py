"""All descriptions of Condensed Movies that are in MovieNet, with a model that quotes them."""

import csv
import json
import os
from pathlib import Path

import pytest
from scripted import Scripted, dropped, extract, kept, kind_of, make_clips, sentence_of

from eval.labels import normal_form
from lrmovienet.text.answers import Completion
from lrmovienet.text.prompts import KINDS, PROMPTS, one_line
from lrmovienet.workspace import Workspace


@pytest.fixture(scope="module")
def descriptions():
    folder = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if not folder:
        pytest.skip("LRMOVIENET_EXTRA_DATA is not set: the descriptions are not in the repository")
    path = Path(folder) / "movienet_cmd" / "movienet_cmd_clips.csv"
    assert path.read_bytes().count(b"\r\n") == 4175
    with path.open(encoding="utf-8", newline="") as file:
        found = [row["description"] for row in csv.DictReader(file)]
    assert len(found) == 4174
    return found


def quote(request):
    """Every second word of the description, as a list in one of five shapes; some say nothing."""
    prompt = request.prompt
    words = sentence_of(prompt).split()[kind_of(prompt) == "entity" :: 2][:8]
    shape = len(prompt) % 7
    if shape == 0:
        return "\n".join(f"{i}. {word}" for i, word in enumerate(words, 1))
    if shape == 1:
        return Completion("".join(f"\n- {word}" for word in words), "length")
    if shape == 2:
        return ", ".join(words)
    if shape == 3:
        return "Here are the labels: " + "; ".join(words)
    if shape == 4:
        return json.dumps(words)
    return "I am only a language model." if shape == 5 else ""


ALL = pytest.param(1, marks=pytest.mark.slow)


@pytest.mark.parametrize("every", [ALL, 10])
@pytest.mark.parametrize("version", PROMPTS)
def test_every_description_gives_labels_or_a_reason(tmp_path, use, descriptions, version, every):
    descriptions = descriptions[::every]
    make_clips(tmp_path, descriptions)
    generator = use(Scripted(quote, batch=500))
    assert extract(tmp_path, "--prompt", version, "--shard_size", "1000") == 0
    prompt = PROMPTS[version]
    # Two descriptions repeat, and the same again where the first answer held no label.
    different = {prompt.text(kind, one_line(d)) for kind in KINDS for d in descriptions}
    assert len(different) == 2 * len(set(map(one_line, descriptions)))
    assert len(different) == (2 * 4172 if every == 1 else 2 * len(descriptions))
    asked = [request.prompt for request in generator.asked]
    assert len(set(asked)) == len(asked)
    assert different <= set(asked)
    extra = set(asked) - different
    assert all(p.removesuffix(prompt.again) in different for p in extra)
    assert bool(extra) == bool(prompt.again)

    workspace = Workspace(tmp_path)
    rows, left_out = kept(tmp_path), dropped(tmp_path)
    assert workspace.require("text_labels").rows == len(rows)
    clips = {f"tt{i}_0000": description for i, description in enumerate(descriptions)}
    with_labels = {(clip, kind) for clip, kind, _, _ in rows}
    said = {(clip, reason.split()[1]) for clip, _, reason in left_out if reason.startswith("no ")}
    assert with_labels | said == {(clip, kind) for clip in clips for kind in KINDS}
    assert not with_labels & said
    assert len(with_labels) > len(descriptions)
    # Every word was taken from the description: each label is found in it as it stands there.
    for clip, _, label, _ in rows:
        assert len(label.split()) < 3
        assert label in normal_form(clips[clip]), (label, clips[clip])
    assert not [reason for _, _, reason in left_out if "not shown" in reason]


def test_a_second_run_over_all_of_them_asks_nothing(tmp_path, use, descriptions):
    some = descriptions[:200]
    make_clips(tmp_path, some)
    generator = use(Scripted(quote, batch=500))
    assert extract(tmp_path, "--shard_size", "50") == 0
    n, manifest = len(generator.asked), (tmp_path / "text_labels" / "manifest.json").read_bytes()
    assert extract(tmp_path, "--shard_size", "50") == 0
    assert len(generator.asked) == n
    assert (tmp_path / "text_labels" / "manifest.json").read_bytes() == manifest
