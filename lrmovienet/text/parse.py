"""A language model's answer -> labels. Every answer gives labels or reasons; none raises.

Models number their labels, or set bullets, or write commas or JSON; they chat before the list and
run on after it; they repeat themselves, echo the prompt's examples and invent. What is taken out
here is given back with its reason.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from eval.labels import normal_form

MAX_ANSWER = 20_000
"""Characters of an answer that are looked at."""
MAX_WORDS = 2
"""The paper asks for "less than three words each"."""
MAX_CHARACTERS = 60
MAX_ITEM = 2000
"""Characters of an item that are looked at: some marks take the square of that."""

TOO_LONG = "three words or more"
TOO_MANY_CHARACTERS = f"more than {MAX_CHARACTERS} characters"
NO_LETTERS = "no letters"
STOP_WORDS_ONLY = "stop words only"
REPEATED = "repeats an earlier label of the answer"
NO_EVIDENCE = "not in the description"
CUT_OFF = "cut off at the end of the answer"

_STOP_WORDS = """
a about after again all also an and another any are as at be been before being both but by can
could did do does each else etc every few for from had has have he her here hers him his how i if
in into is it its just me more most my no none nor not of off on one only or other our out over
own same she should so some such than that the their them then there these they this those through
to too under up us very was we were what when where which while who whom whose why will with would
yes you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_MARK = r"(?:\(?\d{1,3}\s*[.):\]]+|[-*•–—‣·]+(?=\s))"
_ITEM = re.compile(rf"^\s*{_MARK}\s*(.*)$")
_INLINE_NUMBER = re.compile(r"(?:^|(?<=[\s,;]))\(?\d{1,3}[.)](?=\s|[^\W\d])")
_BARE_MARK = re.compile(r"\n\s*(?:\(?\d{1,3}\s*[.):\]]*|[-*•])\s*$")
"""An answer that was cut before its last item began: the one before is whole."""
_HEADER = re.compile(
    r"^\s*(?:here (?:are|is)\b[^:]{0,80}|(?:the )?(?:\w+ )?"
    r"(?:events?|entit(?:y|ies)|labels?|tags?|answers?|responses?|actions?))\s*:",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True)
class Label:
    """One item of an answer: the label, its place from 0, and why it is not kept, if it is not."""

    text: str
    rank: int
    reason: str | None = None


def parse(answer: str, complete: bool = True) -> list[Label]:
    """All items of an answer in normal form, those that are no labels with a reason.

    Args:
        answer: what the model wrote.
        complete: whether it came to its end; else the last item is taken to be cut off, unless the
            next one's number stands behind it.
    """
    answer, whole = answer[:MAX_ANSWER], complete and len(answer) <= MAX_ANSWER
    texts = [text for item in _items(answer) for text in _apart(clean(item)) if text]
    labels = [Label(text, rank, _fault(text)) for rank, text in enumerate(texts)]
    if labels and not whole and not _BARE_MARK.search(answer):
        labels[-1] = Label(labels[-1].text, labels[-1].rank, CUT_OFF)
    return labels


def screen(labels: Iterable[Label], description: str | None) -> list[Label]:
    """Give a reason to labels that repeat an earlier one or, with a description, invent.

    "looking at" repeats "looking": stop words make no difference.
    Every word of a label must occur in the description, but for endings ("fights", "fighting") and
    stop words. None as description accepts any word.
    """
    present = None if description is None else {stem(word) for word in words(description)}
    seen: set[tuple[str, ...]] = set()
    result = []
    for label in labels:
        reason = label.reason
        content = tuple(word for word in label.text.split() if word not in STOP_WORDS)
        if reason is None and content in seen:
            reason = REPEATED
        if reason is None and present is not None:
            needed = [w for w in words(label.text) if w not in STOP_WORDS]
            if not all(stem(word) in present for word in needed):
                reason = NO_EVIDENCE
        seen.add(content)
        result.append(Label(label.text, label.rank, reason))
    return result


def clean(item: str) -> str:
    """An item without quotes, marks, brackets, explanation and leading article, in normal form."""
    item = "".join(c if c.isprintable() else " " for c in item)
    if len(item) > MAX_ITEM:
        item = item[:MAX_ITEM].rpartition(" ")[0] or item[:MAX_ITEM]
    # A list that begins anew behind the prompt's "1."; but "7:30 train" is a label.
    item = re.sub(r"^(?:\s*\(?\d{1,3}[.)]\s+)+", "", item)
    item = re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", item).replace("_", " ")
    item = re.split(r"\s[-–—]+\s|:\s|:$", item.replace("*", "").strip(), maxsplit=1)[0]
    item = normal_form(item)
    for _ in range(2):  # quotes may stand inside or outside the article
        item = re.sub(r"^\W+|\W+$", "", item)
        item = re.sub(r"^(?:an?|the)\s+(?=\S)", "", item)
    return normal_form(item)


def words(text: str) -> list[str]:
    """The words of a text in normal form; those joined by a hyphen also one by one."""
    found = _WORD.findall(normal_form(text).replace("’", "'"))
    return [part for word in found for part in dict.fromkeys([word, *word.split("-")])]


def stem(word: str) -> str:
    """A word without its ending, so that "fighting", "fights" and "fight" are the same.

    The rule is coarse on purpose: it decides whether a word was read in the description, where a
    wrong match costs little and a missed one a label.
    """
    word = word.removesuffix("'s").removesuffix("'")
    for ending in ("ions", "ion", "ments", "ment", "ings", "ing", "ied", "ies", "ers", "er", "ed",
                   "es", "ly", "s"):  # fmt: skip
        rest = word.removesuffix(ending)
        shortest = 2 if ending in ("ied", "ies") else 3
        if rest != word and len(rest) >= shortest and not (ending == "s" and rest.endswith("s")):
            word = rest + ("y" if ending in ("ied", "ies") else "")
            break
    word = re.sub(r"([^\W\daeiou])\1$", r"\1", word)  # running, run; kissing, kiss
    return word.rstrip("e") or word


def _fault(text: str) -> str | None:
    if not any(c.isalpha() for c in text):
        return NO_LETTERS
    if len(text.split()) > MAX_WORDS:
        return TOO_LONG
    if len(text) > MAX_CHARACTERS:
        return TOO_MANY_CHARACTERS
    if all(word in STOP_WORDS for word in words(text)):
        return STOP_WORDS_ONLY
    return None


def _apart(text: str) -> list[str]:
    """An item as one label, or as several where it joins them: ``neo and morpheus``."""
    return [clean(t) for t in text.split(" and ")] if _fault(text) == TOO_LONG else [text]


def _items(answer: str) -> Iterator[str]:
    """The pieces of an answer that could be labels, in its order."""
    answer = re.sub(r"```\w*", "\n", answer)
    from_json = _json_strings(answer)
    if from_json is not None:
        yield from from_json
        return
    lines = [piece for line in answer.splitlines() for piece in _numbered(line)]
    listed = any(_ITEM.match(line) for line in lines)
    for line in lines:
        match = _ITEM.match(line)
        if match:
            yield from re.split(r"[,;|]|\s/\s", match[1])
        elif listed:
            yield line.removesuffix(":")  # talk around the list: one piece, mostly too long
        else:
            yield from re.split(r"[,;|]|\s/\s", _HEADER.sub("", line))


def _numbered(line: str) -> list[str]:
    """A line, or its parts where it holds a whole list: ``1. fight 2. dojo``."""
    starts = [match.start() for match in _INLINE_NUMBER.finditer(line)]
    if len(starts) < 2:
        return [line]
    return [line[a:b].rstrip(" ,;") for a, b in zip([0, *starts], [*starts, None], strict=True)]


def _json_strings(answer: str) -> list[str] | None:
    """The labels of the first JSON list or object in an answer, or None where there is none."""
    decoder = json.JSONDecoder()
    for match in list(re.finditer(r"[\[{]", answer))[:20]:
        try:
            value, _ = decoder.raw_decode(answer, match.start())
        except (ValueError, RecursionError):
            continue
        strings = list(_strings(value))
        if strings:
            return strings
    return None


def _strings(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth > 4:
        return
    elif isinstance(value, list):
        for element in value:
            yield from _strings(element, depth + 1)
    elif isinstance(value, dict):
        named = next((value[k] for k in ("label", "tag", "name") if k in value), None)
        for element in value.values() if named is None else [named]:
            yield from _strings(element, depth + 1)
