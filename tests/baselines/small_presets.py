"""LR²PPO with networks and stages so small that all three are trained in a second or two."""

from dataclasses import replace

import pytest

from baselines.lr2ppo.presets import LEAN, PRESETS, RECOMMENDED, Preset

NETWORK = replace(
    LEAN, width=16, text_hidden=32, frame_hidden=16, head_hidden=16, pair_hidden=16, heads=2
)
SMALL = Preset(
    base=replace(RECOMMENDED.base, network=NETWORK, epochs=2),
    reward=replace(RECOMMENDED.reward, network=NETWORK, epochs=2, start="base"),
    ppo=replace(RECOMMENDED.ppo, iterations=2, clips_an_iteration=2, pairs_a_clip=0, rewards=1),
)


@pytest.fixture
def small_presets(monkeypatch):
    """Every preset is small; `paper` starts stage 2 from random weights, as it does."""
    monkeypatch.setitem(PRESETS, "recommended", SMALL)
    scratch = replace(SMALL, reward=replace(SMALL.reward, start="scratch"))
    monkeypatch.setitem(PRESETS, "paper", scratch)
