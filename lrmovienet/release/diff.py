"""`lrmovienet diff`: what changed between two releases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from eval.messages import printable
from lrmovienet.errors import UserError
from lrmovienet.files import json_bytes, write_if_changed
from lrmovienet.release.layout import Release

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
    old, new = (Release.open(path) for path in config.releases)
    console = Console(emoji=False)
    changes = compare(old, new)
    shown = Table(title=f"{old.version} -> {new.version}", title_justify="left")
    for heading in ("what", "rows", "such as"):
        shown.add_column(heading, justify="right" if heading == "rows" else "left")
    for what, rows in changes.items():
        if rows:
            shown.add_row(what, f"{len(rows):,}", printable(_said(rows[0])))
    if shown.row_count:
        console.print(shown)
    console.print(entry(old, new, changes), markup=False, highlight=False, soft_wrap=True)
    if config.out is not None:
        write_if_changed(config.out, json_bytes(changes))
        console.print(str(config.out), markup=False, soft_wrap=True)


def compare(old: Release, new: Release) -> dict[str, list[list[Any]]]:
    """What is in one release and not, or otherwise, in the other.

    Returns:
        Kind of change -> its rows, each in the order of the key: ids of clips; clip, domain, label
        and for changed ones the value before and after; clip, better, worse.

    Raises:
        UserError: a file of a release is missing or damaged.
    """
    before, after = _clips(old), _clips(new)
    labels_before, labels_after = _labels(old), _labels(new)
    pairs_before, pairs_after = _pairs(old), _pairs(new)
    turned = [k for k in pairs_after if (k[0], k[2], k[1]) in pairs_before]
    same_way = {*pairs_before} | {*turned}
    gone = {(k[0], k[2], k[1]) for k in turned} | {*pairs_after}
    both = [key for key in labels_after if key in labels_before]
    return {
        "clips added": _only(after, before),
        "clips removed": _only(before, after),
        "clips changed": [[*c] for c in after if c in before and after[c] != before[c]],
        "labels added": _only(labels_after, labels_before),
        "labels removed": _only(labels_before, labels_after),
        "labels regraded": [
            [*key, labels_before[key][1], labels_after[key][1]]
            for key in both
            if labels_before[key][1] != labels_after[key][1]
        ],
        "labels moved to another split": [
            [*key, labels_before[key][0], labels_after[key][0]]
            for key in both
            if labels_before[key][0] != labels_after[key][0]
        ],
        "preferences added": [[*k] for k in pairs_after if k not in same_way],
        "preferences removed": [[*k] for k in pairs_before if k not in gone],
        "preferences turned round": [[*k] for k in turned],
        "preferences moved to another subset": [
            [*k, pairs_before[k], pairs_after[k]]
            for k in pairs_after
            if k in pairs_before and pairs_before[k] != pairs_after[k]
        ],
    }


def entry(old: Release, new: Release, changes: Mapping[str, list[list[Any]]]) -> str:
    """A changelog's entry, in Markdown."""
    date = new.manifest["about"]["date"]
    lines = [f"## {new.version}" + (f" ({date})" if date else ""), "", f"Since {old.version}:", ""]
    counted = [f"- {what}: {len(rows):,}" for what, rows in changes.items() if rows]
    if old.manifest["protocol"] != new.manifest["protocol"]:
        counted.append(f"- protocol: `{new.manifest['protocol']}`")
    return "\n".join([*lines, *(counted or ["- no row changed"])]) + "\n"


def changelog(old: Release, new: Release) -> str:
    """The older release's changelog with the newer one's entry before it."""
    path = old.root / "CHANGELOG.md"
    before = path.read_text(encoding="utf-8") if path.is_file() else "# Changelog\n"
    heading, _, rest = before.partition("\n")
    below = rest.strip() or f"## {old.version}\n\nThe first release with a changelog."
    return f"{heading}\n\n{entry(old, new, compare(old, new))}\n{below.rstrip()}\n"


def _clips(release: Release) -> dict[Key, dict[str, Any]]:
    """Clips; how their frames look is no change of the clip."""
    rows = release.read("clips").to_pylist()
    for row in rows:
        row["keyframes"] = [(frame["ref"], frame["sha256"]) for frame in row["keyframes"]]
    return {(row["clip_id"],): row for row in rows}


def _labels(release: Release) -> dict[Key, tuple[str, int | None]]:
    columns = ["clip_id", "domain", "label", "split", "grade"]
    rows = release.read("relevance", columns=columns).to_pylist()
    found = {(r["clip_id"], r["domain"], r["label"]): (r["split"], r["grade"]) for r in rows}
    return dict(sorted(found.items()))


def _pairs(release: Release) -> dict[Key, int]:
    if not release.has("preferences"):
        return {}
    rows = release.read("preferences", columns=["clip_id", "better", "worse", "percent"])
    found = {(r["clip_id"], r["better"], r["worse"]): r["percent"] for r in rows.to_pylist()}
    return dict(sorted(found.items()))


def _only(these: Mapping[Key, Any], not_those: Mapping[Key, Any]) -> list[list[Any]]:
    return [[*key] for key in these if key not in not_those]


def _said(row: list[Any]) -> str:
    return ", ".join("hidden" if value is None else str(value) for value in row)[:80]
