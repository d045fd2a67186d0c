"""Label Studio's results <-> answers.

Results are found by `from_name` alone: the page and the API fill `to_name` differently, and order
means nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.forms import UNUSED, Form
from lrmovienet.errors import UserError, shorten


class Unreadable(UserError):
    """An annotation does not answer its page as the form asks."""


def results(
    answers: Mapping[int, str], texts: Mapping[int, str] | None = None
) -> list[dict[str, Any]]:
    """Answers by slot -> results, as the API takes them."""
    made = [
        _result(f"answer_{slot:02d}", "choices", {"choices": [value]})
        for slot, value in answers.items()
    ]
    made += [
        _result(f"text_{slot:02d}", "textarea", {"text": [text]})
        for slot, text in (texts or {}).items()
    ]
    return made


def _result(name: str, type: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "description", "type": type, "value": value}


def answers(
    form: Form, result: Sequence[Mapping[str, Any]] | None, asked: int
) -> tuple[dict[int, str], dict[int, str]]:
    """Results -> answers by slot, and texts by slot.

    Args:
        form: the form that was answered.
        result: the annotation's results, made in the browser or by the API.
        asked: how many of the form's slots the page used.

    Raises:
        Unreadable: a question has no answer, or two, or one that the form does not have.
    """
    given: dict[str, list[str]] = {}
    for item in result or ():  # an empty annotation has none
        name, value = item.get("from_name"), item.get("value")
        if not isinstance(name, str) or not isinstance(value, Mapping):
            continue  # a relation, or a region of another tag: no answer to a question
        chosen = value.get("choices", value.get("text"))
        chosen = [chosen] if isinstance(chosen, str) else chosen
        if isinstance(chosen, list):
            given.setdefault(name, []).extend(str(text) for text in chosen)
    found, texts = {}, {}
    allowed = {answer.value for answer in form.answers}
    for slot in range(asked):
        chosen = [text for text in given.get(f"answer_{slot:02d}", []) if text != UNUSED]
        if len(chosen) != 1 or chosen[0] not in allowed:
            raise Unreadable(
                f"number {slot + 1} has {'no answer' if not chosen else f'{shorten(chosen)}'}"
            )
        found[slot] = chosen[0]
        if form.corrects and chosen[0] == form.answers[-1].value:
            written = [text.strip() for text in given.get(f"text_{slot:02d}", []) if text.strip()]
            if len(written) != 1:
                raise Unreadable(f"number {slot + 1} is to be corrected, and does not say to what")
            texts[slot] = written[0]
    return found, texts
