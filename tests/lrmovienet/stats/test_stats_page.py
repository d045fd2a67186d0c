"""The page: one file, nothing from elsewhere, and texts of others as text."""

import base64
import re
from html.parser import HTMLParser

import pytest
from stats_releases import GENRES, SETS, clip, label_rows, small_release

from lrmovienet.stats import NO_FRAMES, PAGE, StatsConfig, genre_sets, identity, make
from lrmovienet.stats.figures import Plate
from lrmovienet.stats.measure import measure
from lrmovienet.stats.page import page
from lrmovienet.stats.samples import sampled

pytestmark = pytest.mark.slow

EVIL = "<script>alert('&')</script>\"><img src=http://x.test/a.png onerror=1>{{ 7 * 7 }}"
VOID = {"meta", "img", "br", "link"}


class Seen(HTMLParser):
    """Tags, attributes, the words, and the rows of each table; open tags must be closed."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.words, self.tables, self.sources = [], [], [], [], []
        self.alts, self.attributes = [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        values = dict(attrs)
        if tag == "img":
            self.sources.append(values["src"])
            self.alts.append(values["alt"])
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style = data
            return
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def seen(release, wanted=0, notes=()):
    """The page of a release, whose pictures are three letters each."""
    plates_ = [(Plate(f"p{i}", f"Caption {i}.", None), f"<{i}>".encode()) for i in range(2)]
    samples = [(sample, f"png{i}".encode()) for i, sample in enumerate(sampled(release, wanted, 0))]
    report = {**identity(release), **measure(release)}
    return Seen(page(report, genre_sets(release), plates_, samples, notes).decode())


def test_the_page_of_the_command_holds_every_figure_and_card(release):
    _, files, notes = make(release, StatsConfig(release.root, samples=2))
    shown = Seen(files[PAGE].decode())
    svgs = [data for name, data in files.items() if name.endswith(".svg")]
    cards = [data for name, data in files.items() if name.startswith("cards/")]
    assert (len(svgs), len(cards)) == (6, 2)
    embedded = [base64.b64decode(source.split(",")[1]) for source in shown.sources]
    assert embedded == svgs + cards
    assert all(alt.strip() for alt in shown.alts)
    assert len(set(shown.alts)) == len(shown.alts)
    assert "4 of 4 frames are not shown" in shown.text
    assert notes == ["4 of 4 frames are not shown" + NO_FRAMES]


def test_the_tables_hold_the_numbers(release):
    shown = seen(release)
    splits, pairs, genres = shown.tables
    assert splits[1] == ["source_train", "2", "2", "1", "5", "4", "2.5 (2–3)", "1", "1", "3"]
    assert splits[2] == ["target_pairs", "2", "2", "2", "5", "3", "2.5 (2–3)",
                         "not shown: only pairs"]  # fmt: skip
    assert pairs[1:] == [["pct5", "1", "25.0 %"], ["pct10", "2", "50.0 %"],
                         ["pct20", "2", "50.0 %"], ["pct40", "3", "75.0 %"]]  # fmt: skip
    assert genres[1:] == [["Drama", "head", "3", "8", "2", "2", "3"],
                          ["War", "tail", "3", "6", "1", "1", "2"]]  # fmt: skip
    assert "Tiny 1.2.0" in shown.text
    assert release.digest in shown.text
    assert "1 clips have no genre" in shown.text


def test_the_labels_stand_there_as_text(release):
    shown = seen(release, 4, ["3 of 8 frames are not shown"])
    for text in (
        "tank > helmet",
        "mud > tank",
        "What happens in f1_0000.",
        "the first fits better",
    ):
        assert text in shown.text
    assert re.search(r"high rain medium car low dog", shown.text)
    assert "3 of 8 frames are not shown" in shown.text


def test_nothing_comes_from_elsewhere_and_nothing_runs(release):
    shown = seen(release, 4)
    assert not {"script", "iframe", "link", "object", "embed", "form", "base"} & set(shown.tags)
    assert all(source.startswith("data:image/") for source in shown.sources)
    for tag, name, value in shown.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("href", "srcset", "action", "style"), (tag, name)
        assert "//" not in (value or "") or name == "src"
    style = shown.style
    assert "url(" not in style
    assert "@import" not in style
    policy = [v for _, name, v in shown.attributes if name == "content" and "default-src" in v]
    assert policy[0].startswith("default-src 'none'")


def test_hostile_texts_stay_texts(tmp_path):
    # Every text of others at once: genre, title, clip, description, labels, name, version.
    genres = {clip_id: [EVIL] for clip_id in GENRES}
    rows = label_rows(genres=genres)
    for row in rows:
        row["label"] = f"{EVIL} {row['label']}"
    pairs = [("f1_0001", f"{EVIL} tank", f"{EVIL} mud", 5)]
    clips = [clip(c, g, title=EVIL, description=EVIL) for c, g in genres.items()]
    release = small_release(tmp_path, rows, clips, pairs, genres={"head": [EVIL], "tail": []},
                            about={"title": EVIL})  # fmt: skip
    shown = seen(release, 4)
    harmless = seen(small_release(tmp_path / "plain"), 4)
    assert set(shown.tags) == set(harmless.tags)
    assert "script" not in shown.tags
    assert shown.text.count("{{ 7 * 7 }}") >= 6
    assert "49" not in shown.text.replace(release.digest, "")
    assert shown.text.count("<script>alert('&')</script>") >= 6
    assert all(source.startswith("data:image/") for source in shown.sources)


@pytest.mark.parametrize("generated_", [True, False])
def test_a_generated_corpus_is_called_so(tmp_path, generated_):
    shown = seen(small_release(tmp_path, generated=generated_))
    assert ("not about real films" in shown.text) == generated_


def test_a_release_that_says_nothing_of_sets_or_names(tmp_path):
    shown = seen(small_release(tmp_path / "my-rel"))
    assert "my-rel 1.2.0" in shown.text
    assert shown.tables[2][1] == ["Drama", "3", "8", "2", "2", "3"]


def test_a_release_of_ungraded_records_only(tmp_path):
    rows = [row for row in label_rows() if row["split"] == "target_pairs"]
    for row in rows:
        row["genres"] = []
    clips = [clip(clip_id, []) for clip_id in GENRES]
    shown = seen(small_release(tmp_path, rows, clips, [], genres=SETS), 6)
    assert "The release has none." in shown.text
    assert "No clip has a genre." in shown.text
    assert shown.text.endswith("Samples None.")
