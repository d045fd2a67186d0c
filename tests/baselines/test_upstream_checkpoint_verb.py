"""`lrmovienet upstream checkpoint`: the official file in, a folder for `from_pretrained` out."""

from dataclasses import replace

import torch

from baselines.lr2ppo.model import RELEASED_NETWORK, Actor, PairModel
from baselines.lr2ppo.upstream import save_official
from lrmovienet.cli import main

SMALL = replace(
    RELEASED_NETWORK, text_dim=6, frame_dim=5, width=16, text_hidden=12, frame_hidden=10,
    fusion_hidden=14, head_hidden=9, pair_hidden=14, text_tokens=4, frames=3,
)  # fmt: skip
SIZES = ["--text_tokens", "4", "--frames", "3"]


def test_the_actor_of_a_checkpoint_comes_out_and_the_sizes_are_said(tmp_path, capsys):
    torch.manual_seed(0)
    actor = Actor(SMALL).eval()
    path, out = tmp_path / "base_model.bin", tmp_path / "actor"
    save_official(actor, path, any_dimension=True)
    words = ["upstream", "checkpoint", str(path), "--out", str(out), *SIZES]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{out}: an actor of 6 and 5 to a number a label\n"
    found = Actor.from_pretrained(out)
    for name, tensor in actor.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(words) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_what_cannot_be_is_one_message(tmp_path, capsys):
    path, out = tmp_path / "reward.bin", tmp_path / "actor"
    save_official(PairModel(SMALL), path, any_dimension=True)
    for words, message in (
        (["nowhere.bin"], "nowhere.bin: no such file"),
        ([str(path), *SIZES], "this is a reward model"),
    ):
        assert main(["upstream", "checkpoint", *words, "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("lrmovienet upstream checkpoint: error: ") and message in said
        assert not out.exists()
