"""Where a release's rows came from: stages, models, prompts, and how far people agree."""

import json
from collections.abc import Mapping
from typing import Any

from lrmovienet.errors import UserError
from lrmovienet.pseudonyms import is_generated
from lrmovienet.workspace import MADE_BY, Manifest, Workspace

CHOICES = (
    "protocol", "no_genre", "equal_grades", "target_genres", "method", "order", "size", "source",
    "split", "detector", "missing",
)  # fmt: skip
"""Options of stages whose words are the program's own (or genres, which the release has anyway)."""
_BY_PEOPLE = ("grading", "pairs", "screening")


def provenance(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Of each table that the release rests on: what made it, from what, how many rows.

    Options that name places on the builder's machine stay out; they say nothing to others.
    """
    found = {}
    for table in MADE_BY:
        made = workspace.manifest(table) if table != "predictions" else None
        if made is not None:
            found[table] = {
                "digest": made.digest,
                "stage_version": made.stage_version,
                "code_version": made.code_version,
                "config": {k: v for k, v in made.config.items() if _is_plain(k, v)},
                "models": _models(made.models),
                "prompts": made.prompts,
                "rows": made.rows,
                "dropped": made.rows_dropped,
            }
    return found


def generated(workspace: Workspace) -> bool:
    """Whether what is judged, or the judgements, come from `lrmovienet synth`."""
    names = ("candidates", "ratings", "pair_ratings")
    made: list[Manifest | None] = [workspace.manifest(name) for name in names]
    return any(manifest is not None and is_generated(manifest) for manifest in made)


def agreement(workspace: Workspace) -> dict[str, Any]:
    """The alphas that `annotate agreement` measured on the present judgements, by name.

    Empty where it was not run, or judgements have changed since.
    """
    path = workspace.root / "annotation" / "agreement.json"
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_bytes())
        alphas = _alphas(report)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not a readable report ({error}). Make it again: lrmovienet annotate "
            f"agreement --workspace {workspace.root}"
        ) from None
    present = {name: workspace.manifest(name) for name in ("ratings", "pair_ratings", "screenings")}
    if report.get("made_from") != {n: made.digest for n, made in present.items() if made}:
        return {}
    return alphas


def _alphas(report: Any) -> dict[str, dict[str, Any]]:
    """Name -> value, interval and units, of all that is graded and by source."""
    alphas = {name: report[name]["alpha"] for name in _BY_PEOPLE if name in report}
    for source, alpha in report.get("grading", {}).get("by_source", {}).items():
        alphas[f"grading, labels from {source}"] = alpha
    names = ("value", "low", "high", "units")
    return {name: {key: alpha[key] for key in names} for name, alpha in alphas.items()}


def _is_plain(name: str, value: Any) -> bool:
    """Numbers, yes or no, and the choices among words of our own; no text that a person typed."""
    if isinstance(value, list | tuple):
        return all(_is_plain(name, item) for item in value)
    if isinstance(value, str):
        return name in CHOICES and len(value) <= 100
    return value is None or isinstance(value, bool | int | float)


def _models(models: Mapping[str, str]) -> dict[str, str]:
    """Names of models, without the folders they lie in, and their sha256."""
    found: dict[str, str] = {}
    for name, sha256 in models.items():
        short = _short(name)
        found[f"{short} ({sha256[:8]})" if short in found else short] = sha256
    return found


def _short(model: str) -> str:
    """A model's name, without the folder it lies in."""
    return model.replace("\\", "/").rstrip("/").rpartition("/")[2] or "model"
