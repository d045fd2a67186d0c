"""Training curves as figures: what is drawn where, in which words, and the files of the verb."""

import json
from dataclasses import replace

from curve_rankers import groups_of, log_tables, ppo, put
from matplotlib.colors import to_hex
from PIL import Image
from tiny_stages import data_of, fit, stage

from baselines.lr2ppo.curves import CurvesConfig, make, numbers, run
from baselines.lr2ppo.curves_figure import C4, FIGURE_3, RELEASED_NAME, draw
from baselines.lr2ppo.curves_legend import COLOURS, MOST_GROUPS, labels
from baselines.lr2ppo.curves_released import Released, read_released
from lrmovienet.stats.figures import SOFT, saved

TITLES = [panel.title for panel in C4]


def panels_of(figure):
    """Title -> axes, block by block."""
    return [
        {axes.get_title(loc="left"): axes for axes in part.axes if axes.axison}
        for part in figure.subfigs
    ]


def drawn(workspace, panels=C4, released=None, smooth=1):
    groups = groups_of(workspace)
    return draw(panels, "title", groups, labels(groups), released or {}, smooth)


def xy(line):
    return list(line.get_xdata()), list(line.get_ydata())


def test_a_panel_draws_mean_and_band_and_is_thin_where_seeds_are_missing(tmp_path):
    put(tmp_path, "a0", ppo({1: 1.0, 2: 2.0, 3: 3.0, 4: 5.0}, old_value=0.5, value=1.5), seed=0)
    put(tmp_path, "a1", ppo({1: 3.0, 2: 4.0}, old_value=1.5, value=3.5), seed=1)
    (panels,) = panels_of(drawn(tmp_path))
    assert list(panels) == TITLES
    axes = panels["(a) reward"]
    full, thin = axes.lines
    assert (xy(full), xy(thin)) == (([1, 2, 3], [2.0, 3.0, 3.0]), ([3, 4], [3.0, 5.0]))
    assert full.get_linewidth() > 2 * thin.get_linewidth()
    assert {to_hex(line.get_color()) for line in axes.lines} == {COLOURS[0]}
    (band,) = axes.collections
    corners = {(float(x), float(y)) for x, y in band.get_paths()[0].vertices}
    assert corners == {(1, 1), (1, 3), (2, 2), (2, 4), (3, 3), (4, 5)}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "mean reward")
    *_, dashed = panels["(b) value; dashed: before the update"].lines
    assert dashed.is_dashed() and xy(dashed) == ([1, 2, 3, 4], [1.0, 1.0, 0.5, 0.5])
    assert panels["(m) NDCG@20"].get_ylabel() == "dev NDCG@20"


def test_what_is_not_there_is_said_in_words(tmp_path):
    """All of them lack a critic, one of them lacks entropy, and stage 2 was not trained."""
    put(tmp_path, "flip", ppo({1: 1.0, 2: 1.0}, entropy=0.6), advantage="flip")
    put(tmp_path, "none", ppo({1: 1.0, 2: 1.0}), advantage="none")
    put(tmp_path, "base", [{"stage": 1, "step": 8, "loss": 1.0}], "lr2ppo-base")
    (panels,) = panels_of(drawn(tmp_path))
    said = {title: [text.get_text() for text in axes.texts] for title, axes in panels.items()}
    assert said["(d) value loss"] == ["not recorded (no critic)"]
    assert said["(e) KL"] == ["not recorded"]
    assert said["(n) stage 2: accuracy; dashed: training"] == ["no ranker of stage 2"]
    assert said["(o) stage 1: NDCG@20; dashed: @1"] == ["not recorded"]
    assert said["(a) reward"] == said["(f) entropy"] == []
    assert panels["(f) entropy"].get_xlabel() == "iteration\nnot recorded: none"


def test_released_logs_have_panels_of_their_own_and_a_warning(tmp_path):
    put(tmp_path, "a", ppo({1: 1.0, 30: 2.0}, rank_loss=0.1))
    put(tmp_path, "r", [{"stage": 2, "step": 9, "dev_accuracy": 0.7}], "lr2ppo-reward")
    logs = read_released(log_tables(tmp_path / "logs", rows=4))
    figure = drawn(tmp_path, released=logs, smooth=2)
    own, released = panels_of(figure)
    assert list(own) == list(released) == TITLES
    (line,) = released["(a) reward"].lines
    assert xy(line) == ([1, 2, 3, 4], [1.25, 1.75, 2.75, 3.75])
    for axes in released.values():
        assert {to_hex(line.get_color()) for line in axes.lines} <= {SOFT}
        assert all(line.get_linewidth() < 1 for line in axes.lines)
    assert released["(m) NDCG@20"].get_ylabel() == "validation NDCG@20"
    assert released["(a) reward"].get_xlim()[1] < 5 < 29 < own["(a) reward"].get_xlim()[1]
    assert [text.get_text() for text in released["(p) spread of scores"].texts] == [
        "not in the released log"
    ]
    below = figure.subfigs[1].get_supxlabel()
    assert figure.subfigs[1].get_suptitle() == RELEASED_NAME
    for words in ("Another data set and another protocol", "not levels", "Apache-2.0", "over 2"):
        assert words in below


def test_without_rankers_the_released_logs_alone_are_drawn(tmp_path):
    config = CurvesConfig(workspace=tmp_path, released=log_tables(tmp_path / "logs"))
    logs = read_released(config.released)
    assert [list(part) for part in panels_of(drawn(tmp_path, released=logs))] == [TITLES]


def test_every_group_has_a_colour_of_its_own_and_those_too_many_are_counted(tmp_path):
    for i in range(MOST_GROUPS + 2):
        put(tmp_path, f"g{i}", ppo({1: 1.0, 2: float(i)}), delta=i)
    put(tmp_path, "base", [{"stage": 1, "step": 1, "dev_ndcg@20": 0.5}], "lr2ppo-base")
    figure = drawn(tmp_path, FIGURE_3)
    (panels,) = panels_of(figure)
    lines = panels["NDCG@20"].lines
    assert [to_hex(line.get_color()) for line in lines] == list(COLOURS)
    assert [line.get_ydata()[1] for line in lines] == [i / 100 for i in range(MOST_GROUPS)]
    assert len(set(COLOURS)) == MOST_GROUPS
    assert "2 groups more are in curves.json" in figure.subfigs[0].get_supxlabel()


def test_a_strange_name_is_shown_as_it_is_and_equal_input_is_equal_bytes(tmp_path):
    """No formula, no line break, and not hidden as matplotlib hides what begins with _."""
    names = ["_hidden", "$\\frac{1$", "a$x^2$_b"]
    for i, name in enumerate(names):
        put(tmp_path, name, ppo({1: 1.0, 2: 2.0}), delta=i, sigma="$_{" if i else "\n")
    figure = drawn(tmp_path, FIGURE_3[:1])
    texts = [text.get_text() for text in figure.subfigs[0].legends[0].get_texts()]
    assert sorted(text.splitlines()[0].split(" (")[0] for text in texts) == sorted(names)
    assert all(not text.get_parse_math() for text in figure.subfigs[0].legends[0].get_texts())
    again = drawn(tmp_path, FIGURE_3[:1])
    assert saved(figure) == saved(again)


def test_the_verb_writes_figures_and_their_numbers(tmp_path, capsys):
    put(tmp_path, "a-seed0", ppo({0: None, 1: 1.0, 2: 2.0}), seed=0, delta=-0.1)
    put(tmp_path, "a-seed1", ppo({0: None, 1: 3.0}), seed=1, delta=-0.1)
    put(tmp_path, "0r", [{"stage": 2, "step": 9, "dev_accuracy": 0.7}], "lr2ppo-reward")
    put(tmp_path, "prior", "", "prior")
    config = CurvesConfig(workspace=tmp_path, released=log_tables(tmp_path / "logs"))
    run(replace(config, smooth=2, released=None))
    out = tmp_path / "curves"
    assert sorted(path.name for path in out.iterdir()) == [
        "curves.json", "figure-3.png", "figure-3.svg", "figure-c4.png", "figure-c4.svg",
    ]  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        "without a curve: prior (no evaluation yet)",
        "stage 3, a: 2 seeds, 1 after iteration 1", "stage 2, 0r: seed 0", str(out),
    ]  # fmt: skip
    svg = (out / "figure-c4.svg").read_text()
    assert [svg.count(f"<!-- {title} -->") for title in TITLES] == [1] * 16
    assert "<dc:date>" not in svg and "Running mean over 2 evaluations" in svg
    with Image.open(out / "figure-c4.png") as picture:
        assert picture.size[0] == 12 * 180 and picture.size[1] > 8 * 180
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50
    found = json.loads((out / "curves.json").read_bytes())
    assert found["smooth"] == 2 and "released" not in found
    first, second = found["groups"]
    assert first["quantities"]["reward"] == {
        "x": [1, 2], "mean": [2.0, 1.5], "low": [1.0, 1.5], "high": [3.0, 1.5], "n": [2, 1],
    }  # fmt: skip
    assert (first["name"], first["x"], first["stage"], first["seeds"]) == (
        "a",
        "iteration",
        3,
        [0, 1],
    )
    assert (
        first["rankers"] == ["a-seed0", "a-seed1"]
        and first["made_from"]["options"]["delta"] == -0.1
    )
    assert (second["name"], second["x"]) == ("0r", "step")


def test_released_logs_are_in_the_numbers_as_they_are(tmp_path):
    logs = read_released(log_tables(tmp_path / "logs", rows=2))
    found = numbers([], [], logs, smooth=9)["released"]
    assert "ChazzyGordon/LR2PPO" in found["source"] and "Apache-2.0" in found["source"]
    assert found["stages"]["3"]["quantities"]["value_loss"] == (1.25, 2.25)
    assert [found["stages"][stage]["x"] for stage in "123"] == [(1, 2)] * 3
    assert isinstance(logs[1], Released) and len(found["stages"]["1"]["sha256"]) == 64


def test_what_the_stages_write_is_what_the_panels_read(tmp_path, filled):
    """Each quantity of a panel is in the metrics of its stage, under that name."""
    data = data_of(filled)
    for number, kind in ((1, "base"), (2, "reward"), (3, "ppo")):
        files = fit(stage(kind), data, tmp_path / kind)
        put(tmp_path, kind, files["metrics.jsonl"].decode(), f"lr2ppo-{kind}")
        (group,) = groups_of(tmp_path, [kind])
        wanted = {q for p in C4 if p.stage == number for q in (p.solid, p.dashed) if q}
        assert group.stage == number and wanted <= set(group.curves)


def test_notes_of_make_name_the_groups_that_are_not_drawn(tmp_path, monkeypatch):
    for figure in ("C4", "FIGURE_3"):  # whole ones take long
        monkeypatch.setattr(f"baselines.lr2ppo.curves_figure.{figure}", FIGURE_3[:1])
    for i in range(MOST_GROUPS + 1):
        put(tmp_path, f"g{i}", ppo({1: 1.0}), delta=i)
    put(tmp_path, "copy", ppo({1: 1.0}), delta=0)
    files, notes = make(CurvesConfig(workspace=tmp_path))
    assert notes[0].startswith("g0: left out, for it has the seed and the options of copy")
    assert notes[1].startswith(
        f"stage 3: the first {MOST_GROUPS} of {MOST_GROUPS + 1} groups are drawn"
    )
    assert len(json.loads(files["curves.json"])["groups"]) == MOST_GROUPS + 1
