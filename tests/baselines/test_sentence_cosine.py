"""The cosine of label and description embedded apart, by the packaged encoder."""

import json
import shutil

import numpy as np
import pytest

from baselines.data import Record
from baselines.sentence_cosine import SentenceCosineRanker
from lrmovienet.cli import main
from lrmovienet.encoders import packaged_text_model
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

LABELS = ("a dog barks", "dog", "hound", "spreadsheet")


def record(labels=LABELS, description="A dog barks"):
    sources = ("image",) * len(labels)
    return Record("tt1_0000", "target", tuple(labels), sources, (), description)


def test_it_is_the_cosine_of_means_over_tokens():
    import torch
    from transformers import BertModel, BertTokenizerFast

    folder = packaged_text_model()
    tokenizer, model = BertTokenizerFast.from_pretrained(folder), BertModel.from_pretrained(folder)
    model.eval()

    def vector(text):
        with torch.no_grad():
            return model(**tokenizer(text, return_tensors="pt"))[0][0].double().numpy().mean(0)

    about = vector("A dog barks")
    expected = [
        own @ about / np.linalg.norm(own) / np.linalg.norm(about) for own in map(vector, LABELS)
    ]
    found = SentenceCosineRanker().score(record())
    assert found.dtype == np.float64
    assert found == pytest.approx(expected, abs=1e-5)
    assert found[0] == pytest.approx(1, abs=1e-5)
    assert found.argsort()[::-1].tolist() == [0, 1, 2, 3]


def test_a_label_has_not_seen_the_others():
    alone = SentenceCosineRanker().score(record(["dog"]))
    assert alone == pytest.approx(SentenceCosineRanker().score(record())[1:2], abs=1e-6)


def test_the_encoder_it_was_made_with_is_asked_for(filled, tmp_path, capsys):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "w"))
    model = shutil.copytree(packaged_text_model(), tmp_path / "model")
    train = ["train", "sentence-cosine", "--workspace", str(workspace.root)]
    predict = ["predict", "--ranker", "sentence-cosine", "--workspace", str(workspace.root)]
    assert main([*train, "--text_model", str(model)]) == 0 and main(predict) == 0
    capsys.readouterr()
    assert main([*train, "--text_model", str(model)]) == 0
    assert "up to date" in capsys.readouterr().out
    options = json.loads((model / "config.json").read_bytes())
    (model / "config.json").write_text(json.dumps(options | {"layer_norm_eps": 0.5}))
    assert main(predict) == 2
    assert f"{model}: not the text encoder" in capsys.readouterr().err
    shutil.rmtree(model)
    model.mkdir()
    assert main(predict) == 2 and "no model here" in capsys.readouterr().err
    assert main([*train, "--text_model", str(model)]) == 2
    assert main(train) == 0 and main(predict) == 0


def test_a_damaged_ranker_is_named(tmp_path):
    SentenceCosineRanker().save(tmp_path / "saved")
    SentenceCosineRanker.load(tmp_path / "saved")
    path = tmp_path / "saved" / "sentence_cosine.json"
    for content in ("[", "[]", "{}", '{"folder": 3, "encoder": {}}'):
        path.write_text(content)
        with pytest.raises(UserError, match="train again"):
            SentenceCosineRanker.load(tmp_path / "saved")
