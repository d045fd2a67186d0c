"""The dataset card: a text of the publisher's, with everything that can be counted filled in.

A card is Markdown with YAML before it. What stands between ``<!-- data: NAME -->`` and
``<!-- end of data -->`` is written by this module from the release itself, and so is what the Hub
needs in the YAML (configs, dataset_info, size); the rest is the publisher's. Filling a card a
second time changes nothing, which is how `check` knows that a card says what the data say.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from lrmovienet.errors import UserError
from lrmovienet.release import blocks
from lrmovienet.release.dataset_info import configs, dataset_infos, size_category
from lrmovienet.release.layout import Release

TEMPLATE = Path(__file__).parents[2] / "DATASET_CARD.md"
_FRONT = re.compile(r"---\n(?P<yaml>.*?\n)?---\n", re.DOTALL)
_BLOCK = re.compile(
    r"^<!-- data: (?P<name>[\w ]+) -->\n(?:.*?\n)??<!-- end of data -->", re.DOTALL | re.MULTILINE
)
_MARK = re.compile(r"^<!-- data:", re.MULTILINE)


def read_template(path: Path | None) -> str:
    """The publisher's card, or the project's own. Raises UserError where it cannot be read."""
    chosen = path or TEMPLATE
    try:
        return chosen.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise UserError(
            f"{chosen}: no card that can be read ({error.strerror}). Give one with --card, such as "
            "the project's DATASET_CARD.md."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{chosen}: not a text in UTF-8.") from None


def fill(template: str, release: Release, leaks: dict[str, Any]) -> str:
    """A card with the release's numbers in it.

    Args:
        template: a card; what an earlier filling wrote into it is replaced.
        release: what to count.
        leaks: the content of its ``leaks.json``.

    Raises:
        UserError: the card's YAML is not readable, or a block is missing, unknown or there twice.
    """
    given, body = _parted(template)
    made = blocks.all_of(release, leaks)
    there = [match["name"] for match in _BLOCK.finditer(body)]
    if sorted(there) != sorted(made) or len(_MARK.findall(body)) != len(there):
        raise UserError(
            "the card must have each of these blocks once, each ended by <!-- end of data -->: "
            f"{', '.join(f'<!-- data: {name} -->' for name in made)}; it has {', '.join(there)}."
        )

    def filled(match: re.Match[str]) -> str:
        return f"<!-- data: {match['name']} -->\n{made[match['name']]}\n<!-- end of data -->"

    head = {**given, **_front(release)}
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{text}---\n{_BLOCK.sub(filled, body)}"


def licence_of(template: str) -> str | None:
    """The licence that a card's YAML names, if it does. Raises UserError as `fill` does."""
    given = _parted(template)[0].get("license")
    return given if isinstance(given, str) else None


def _parted(template: str) -> tuple[dict[str, Any], str]:
    """A card's YAML and what comes after it."""
    front = _FRONT.match(template)
    try:
        given = yaml.safe_load(front["yaml"] or "") if front else {}
    except yaml.YAMLError as error:
        raise UserError(f"the card's YAML is not readable: {error}") from None
    if given is not None and not isinstance(given, dict):
        raise UserError("the card's YAML must be a list of names and values.")
    return given or {}, template[front.end() :] if front else template


def _front(release: Release) -> dict[str, Any]:
    about = release.manifest["about"]
    return {
        "pretty_name": about["title"],
        "license": about["license"],
        "size_categories": [size_category(release)],
        "configs": configs(release),
        "dataset_info": dataset_infos(release),
    }
