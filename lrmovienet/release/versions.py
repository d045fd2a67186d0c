"""What a version's number promises: same number, same content; same major number, same splits."""

import re
from collections.abc import Mapping
from typing import Any

_NUMBER = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)


def number(version: str) -> tuple[int, int, int] | None:
    """``1.2.3`` as three numbers; None where it is no such version."""
    match = _NUMBER.fullmatch(version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def refusal(new: Mapping[str, Any], old: Mapping[str, Any]) -> str | None:
    """Why a release may not follow another; None where it may.

    Args:
        new: its manifest.
        old: the other's manifest.
    """
    mine, known = number(new["version"]), number(old["version"])
    if mine is None or known is None:
        return f"versions {new['version']!r} and {old['version']!r} cannot be compared."
    if mine < known:
        return f"version {old['version']} is higher than {new['version']}. Build with a higher one."
    if mine == known:
        if new["digest"] == old["digest"]:
            return None
        return (
            f"version {old['version']} is there with another content. What has a version stays as "
            "it is: build with a higher version."
        )
    moved = [
        f"`{split}`"
        for split, of in old["splits"].items()
        if of["membership"] != new["splits"].get(split, {}).get("membership")
    ]
    if moved and mine[0] == known[0]:
        return (
            f"what belongs to {', '.join(moved)} is not what it was in version {old['version']}, "
            "so that published numbers could not be compared with new ones. That takes a new "
            f"major version: {known[0] + 1}.0.0."
        )
    return None
