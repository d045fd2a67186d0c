"""The parts of a card that are written from the release itself, as Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from eval.messages import printable
from lrmovienet import leaks as leaks_verb
from lrmovienet.release.layout import Release
from lrmovienet.stats.measure import measure
from lrmovienet.workspace import MADE_BY

GENERATED = (
    "> **This is a generated corpus.** Its films, labels and judgements were made by a program "
    "(`lrmovienet synth`). It is for trying tools out, and says nothing about real films or people."
)


def all_of(release: Release, leaks: dict[str, Any]) -> dict[str, str]:
    """Name of each block -> its text."""
    counted = measure(release)
    return {
        "what it is": _what(release, counted),
        "splits": _splits(release, counted),
        "genres": _genres(release, counted),
        "pairs": _pairs(counted),
        "how labels were made": _made(release, counted),
        "agreement": _agreement(release),
        "leaks": _leaks(leaks),
        "files": _files(release),
    }


def _what(release: Release, counted: dict[str, Any]) -> str:
    about, totals = release.manifest["about"], counted["totals"]
    text = (
        f"**{_md(about['title'])}**, version {release.version}: {totals['clips']:,} clips of "
        f"{totals['films']:,} films, {totals['labels']:,} labels of clips, "
        f"{totals['classes']:,} different ones. Protocol `{release.manifest['protocol']}`."
    )
    return f"{GENERATED}\n\n{text}" if release.manifest["generated"] else text


def _splits(release: Release, counted: dict[str, Any]) -> str:
    rows = []
    for split, of in counted["splits"].items():
        grades = of["grades"]
        shown = " / ".join(f"{n:,}" for n in grades.values()) if any(grades.values()) else "hidden"
        rows.append(
            [
                f"`{split}`", of["records"], of["films"], of["labels"], of["classes"],
                f"{of['labels_a_record']['mean']:.1f}", shown,
            ]
        )  # fmt: skip
    heading = [
        "split",
        "records",
        "films",
        "labels",
        "different",
        "a record",
        "low / medium / high",
    ]
    return _table(heading, rows)


def _genres(release: Release, counted: dict[str, Any]) -> str:
    sides = release.manifest["genres"]
    side = dict.fromkeys(sides["head"], "source") | dict.fromkeys(sides["tail"], "target")
    rows = [
        [_md(genre), side.get(genre, ""), of["clips"], of["classes"]]
        for genre, of in counted["genres"].items()
    ]
    text = _table(["genre", "side", "clips", "different labels"], rows)
    shares = counted["classes_by_domain"]
    text += (
        f"\n\nOf {shares['all']:,} different labels {shares['target']:,} are the target's "
        f"({shares['target'] / max(shares['all'], 1):.1%}; the paper has 4,841 of 15,234, 31.8%)."
    )
    if counted["without_genre"]:
        text += f"\n\n{counted['without_genre']:,} clips have no genre."
    return text


def _pairs(counted: dict[str, Any]) -> str:
    pairs = counted["pairs"]
    rows = [
        [f"`{name}`", n, f"{pairs['share'][name]:.1%}" if pairs["share"][name] is not None else "–"]
        for name, n in pairs["pairs"].items()
    ]
    text = _table(["subset", "pairs", "of all pairs of the records"], rows)
    return f"{text}\n\nThe records of `target_pairs` have {pairs['possible']:,} pairs of labels."


def _made(release: Release, counted: dict[str, Any]) -> str:
    rows = []
    for table in MADE_BY:
        of = release.manifest["provenance"].get(table)
        if of is None:
            continue
        models = [f"{_md(name)} `{of['models'][name][:12]}`" for name in sorted(of["models"])]
        prompts = [f"prompt {_md(name)}" for name in sorted(of["prompts"])]
        made = f"`{_code(of['stage_version'])}`"
        rows.append([f"`{table}`", made, ", ".join(models + prompts), of["rows"], of["dropped"]])
    text = _table(["table", "made by", "models and prompts", "rows", "dropped"], rows)
    grades = [
        [_md(source), *of.values()] for source, of in counted["grades_by_source"].items()
    ]  # fmt: skip
    text += "\n\n" + _table(["label from", "low", "medium", "high"], grades)
    for config, n in sorted(release.manifest["withheld"].items()):
        if n:
            text += (
                f"\n\n{n:,} rows of `{config}` are kept back: they are about labels whose grades "
                "(or pairs) this release does not show."
            )
    return text


def _agreement(release: Release) -> str:
    measured = release.manifest["agreement"]
    if not measured:
        return "Agreement was not measured, or not on these ratings."
    rows = []
    for name, alpha in sorted(measured.items()):
        value = "undefined" if alpha["value"] is None else f"{alpha['value']:.3f}"
        between = (
            "–" if alpha["low"] is None else f"[{alpha['low']:.3f}, {alpha['high']:.3f}]"
        )  # fmt: skip
        rows.append([_md(name), value, between, alpha["units"]])
    heading = ["Krippendorff's alpha", "value", "95 % interval", "labels judged twice"]
    return (
        f"{_table(heading, rows)}\n\nMeasured on everything that people said, also on what this "
        "release keeps back."
    )


def _leaks(leaks: dict[str, Any]) -> str:
    kinds = leaks_verb.KINDS
    rows = [
        [
            f"`{entry['splits'][0]}`, `{entry['splits'][1]}`",
            *(leaks_verb.of(leaks, entry, kind) for kind in kinds),
        ]
        for entry in leaks["shared"]
    ]
    heading = ["first, second", *kinds.values()]
    return (
        f"Of the second split, what the first has, too:\n\n{_table(heading, rows)}\n\n"
        f"{leaks_verb.notes(leaks)} Examples are in `leaks.json`."
    )


def _files(release: Release) -> str:
    lines = []
    for config in release.configs:
        splits = ", ".join(f"`{split}`" for split in release.splits(config))
        lines.append(f"- `{config}`: {splits}")
    return "\n".join(lines)


def _table(heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    shown = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    lines = [heading, ["---"] * len(heading), *shown]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """Text of others between backticks."""
    return " ".join(printable(text).split()).replace("`", "'").replace("|", "/")


def _md(text: str) -> str:
    """Text of others, so that it is only text in Markdown and in HTML."""
    plain = " ".join(printable(text).split())
    for character in "\\`*_|[]<>#@$~&:":
        plain = plain.replace(character, f"\\{character}")
    return plain
