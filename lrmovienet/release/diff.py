"""`lrmovienet diff`: what changed between two releases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.messages import printable
from lrmovienet.errors import UserError
from lrmovienet.files import json_bytes, sha256_file, write_if_changed
from lrmovienet.release.layout import CHANGELOG, CONFIGS, Release

GRADE_TOO = ("n_ratings", "spread", "method")
Key = tuple[str, ...]


@dataclass(frozen=True)
class DiffConfig:
    """Options of `lrmovienet diff`."""

    releases: list[Path] = field(default_factory=list)
    """The older and the newer release's folder."""
    out: Path | None = None
    """A JSON file for everything that changed, row by row."""


def run(config: DiffConfig) -> None:
    """Print what changed, and an entry for a changelog.

    Raises:
        UserError: not two releases were given, or one is damaged.
    """
    if len(config.releases) != 2:
        raise UserError("give two folders: lrmovienet diff OLDER NEWER.")
    old, new = (Release.open(path, "labels") for path in config.releases)
    console = Console(emoji=False)
    changes = compare(old, new)
    title = Text(printable(f"{old.version} -> {new.version}"))
    shown = Table(title=title, title_justify="left")
    for heading in ("what", "rows", "such as"):
        shown.add_column(heading, justify="right" if heading == "rows" else "left")
    for what, rows in changes.items():
        if rows:
            shown.add_row(what, f"{len(rows):,}", Text(printable(_said(rows[0]))))
    if shown.row_count:
        console.print(shown)
    console.print(entry(old, new, changes), markup=False, highlight=False, soft_wrap=True)
    if config.out is not None:
        write_if_changed(config.out, json_bytes(changes))
        console.print(str(config.out), markup=False, soft_wrap=True)


def compare(old: Release, new: Release) -> dict[str, list[list[Any]]]:
    """What is in one release and not, or otherwise, in the other.

    Returns:
        Kind of change -> its rows, each in the order of the key: ids of clips; clip, domain, label;
        clip, better, worse. For changed ones the value before and after, or the names of what else
        differs.

    Raises:
        UserError: a file of a release is missing or damaged.
    """
    before, after = _clips(old), _clips(new)
    labels_before, labels_after = _labels(old), _labels(new)
    pairs_before, pairs_after = _pairs(old), _pairs(new)
    regraded = _otherwise(labels_before, labels_after, "grade")
    new_pairs = [key for key in pairs_after if key not in pairs_before]
    old_pairs = [key for key in pairs_before if key not in pairs_after]
    turned = {(c, a, b) for c, a, b in new_pairs} & {(c, b, a) for c, a, b in old_pairs}
    back = {(c, b, a) for c, a, b in turned}
    return {
        "clips added": _only(after, before),
        "clips removed": _only(before, after),
        "clips changed": [[*c] for c in after if c in before and after[c] != before[c]],
        "labels added": _only(labels_after, labels_before),
        "labels removed": _only(labels_before, labels_after),
        "labels regraded": [row for row in regraded if None not in row[-2:]],
        "labels whose grade is shown now": [row for row in regraded if row[-2] is None],
        "labels whose grade is hidden now": [row for row in regraded if row[-1] is None],
        "labels moved to another split": _otherwise(labels_before, labels_after, "split"),
        "labels changed otherwise": _in_the_rest(labels_before, labels_after, ("grade", "split")),
        "preferences added": [[*key] for key in new_pairs if key not in turned],
        "preferences removed": [[*key] for key in old_pairs if key not in back],
        "preferences turned round": [[*key] for key in sorted(turned)],
        "preferences moved to another subset": _otherwise(pairs_before, pairs_after, "percent"),
        "preferences changed otherwise": _in_the_rest(pairs_before, pairs_after, ("percent",)),
        **_judgements(old, new, "ratings"),
        **_judgements(old, new, "pair_ratings"),
    }


def entry(old: Release, new: Release, changes: Mapping[str, list[list[Any]]]) -> str:
    """A changelog's entry, in Markdown."""
    date = new.manifest.get("about", {}).get("date")
    lines = [f"## {new.version}" + (f" ({date})" if date else ""), "", f"Since {old.version}:", ""]
    counted = [f"- {what}: {len(rows):,}" for what, rows in changes.items() if rows]
    if old.manifest.get("protocol") != new.manifest.get("protocol"):
        counted.append(f"- protocol: `{new.manifest.get('protocol')}`")
    return "\n".join([*lines, *(counted or ["- no row changed"])]) + "\n"


def changelog(old: Release, new: Release) -> str:
    """The older release's changelog with the newer one's entry before it."""
    path, told = old.root / CHANGELOG, old.manifest["files"].get(CHANGELOG)
    before = "# Changelog\n"
    if told is not None:
        if path.is_symlink() or not path.is_file() or sha256_file(path) != told["sha256"]:
            raise UserError(f"{path}: is not what the manifest says. Get the release again.")
        before = path.read_text(encoding="utf-8")
    heading, _, rest = before.partition("\n")
    below = rest.strip() or f"## {old.version}\n\nNo changelog was kept."
    return f"{heading}\n\n{entry(old, new, compare(old, new))}\n{below.rstrip()}\n"


def _clips(release: Release) -> dict[Key, dict[str, Any]]:
    """Clips; how their frames look is no change of the clip."""
    rows = release.read("clips").to_pylist()
    for row in rows:
        row["keyframes"] = [(frame["ref"], frame["sha256"]) for frame in row["keyframes"]]
    return {(row["clip_id"],): row for row in rows}


def _labels(release: Release) -> dict[Key, dict[str, Any]]:
    return _rows(release, "relevance", ("clip_id", "domain", "label"))


def _pairs(release: Release) -> dict[Key, dict[str, Any]]:
    if not release.has("preferences"):
        return {}
    return _rows(release, "preferences", ("clip_id", "better", "worse"))


def _judgements(old: Release, new: Release, config: str) -> dict[str, list[list[Any]]]:
    """What single people said, in one release and not, or otherwise, in the other."""
    key = CONFIGS[config].key
    before, after = (_rows(r, config, key) if r.has(config) else {} for r in (old, new))
    return {
        f"{config} added": _only(after, before),
        f"{config} removed": _only(before, after),
        f"{config} changed": _in_the_rest(before, after, ()),
    }


def _rows(release: Release, config: str, key: Key) -> dict[Key, dict[str, Any]]:
    rows = release.read(config).to_pylist()
    return dict(sorted((tuple(row[name] for name in key), row) for row in rows))


def _otherwise(before: Mapping[Key, Any], after: Mapping[Key, Any], name: str) -> list[list[Any]]:
    """Rows in both of which this is not the same: the key, and the value before and after."""
    return [
        [*key, before[key][name], row[name]]
        for key, row in after.items()
        if key in before and before[key][name] != row[name]
    ]


def _in_the_rest(
    before: Mapping[Key, Any], after: Mapping[Key, Any], told: Sequence[str]
) -> list[list[Any]]:
    """Rows in both that differ in something else: the key, and the names of what differs."""
    found = []
    for key, row in after.items():
        old = before.get(key, row)
        # How a grade came about is shown and hidden with it.
        with_grade = GRADE_TOO if None in (old.get("grade", 0), row.get("grade", 0)) else ()
        names = [n for n in row if n not in (*told, *with_grade) and old[n] != row[n]]
        if names:
            found.append([*key, ", ".join(names)])
    return found


def _only(these: Mapping[Key, Any], not_those: Mapping[Key, Any]) -> list[list[Any]]:
    return [[*key] for key in these if key not in not_those]


def _said(row: list[Any]) -> str:
    return ", ".join("hidden" if value is None else str(value) for value in row)[:80]
