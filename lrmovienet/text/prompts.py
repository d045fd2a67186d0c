"""The prompts that turn a scene description into event and entity labels, by version.

A prompt's text goes into the manifest of the table made with it. A change of wording is a new
version, never a new text under an old name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrmovienet.errors import UserError, shorten
from lrmovienet.movienet.annotation import clean

KINDS = ("event", "entity")
"""The two kinds of text label (paper, supplement C.1)."""

PAPER_EVENTS = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request. ### Instruction: Use descriptive language tags consisting of less than three "
    "words each to capture events without entities in the following sentence: {sentence} Please "
    "separate the labels by numbers and DO NOT return sentence. ### Response:"
)
PAPER_ENTITIES = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request. ### Instruction: Use descriptive language tags consisting of less than three "
    "words each to capture entities in the following sentence: {sentence} Please separate the "
    "labels by numbers and DO NOT return sentence. ### Response:"
)

FEWSHOT_EVENTS = """\
Name the actions in each sentence. One or two words each, taken from the sentence, no names.

Sentence: Two brothers race their old bikes down the hill and crash into a fruit stall. The \
market traders shout at them.
Actions:
1. racing
2. crashing
3. shouting

Sentence: Alone in the kitchen, Marta reads the letter from the bank. She burns it over the sink \
and starts to cry.
Actions:
1. reading
2. burning
3. crying

Sentence: The guards open the gate, search the truck and arrest the driver.
Actions:
1. opening
2. searching
3. arresting

Sentence: {sentence}
Actions:
1."""
FEWSHOT_ENTITIES = """\
Name the people, places and things in each sentence. One or two words each, taken from the sentence.

Sentence: Two brothers race their old bikes down the hill and crash into a fruit stall. The \
market traders shout at them.
People, places and things:
1. brothers
2. old bikes
3. hill
4. fruit stall
5. market traders

Sentence: Alone in the kitchen, Marta reads the letter from the bank. She burns it over the sink \
and starts to cry.
People, places and things:
1. Marta
2. kitchen
3. letter
4. bank
5. sink

Sentence: The guards open the gate, search the truck and arrest the driver.
People, places and things:
1. guards
2. gate
3. truck
4. driver

Sentence: {sentence}
People, places and things:
1."""


@dataclass(frozen=True)
class Prompt:
    """One version: a text for each kind, with ``{sentence}`` where the description goes."""

    version: str
    event: str
    entity: str
    cue: str = ""
    """What the prompt ends with that belongs to the answer."""
    stop: tuple[str, ...] = ()
    """Strings at which an answer ends."""
    again: str = ""
    """What is put behind the prompt when the answer held no label; it belongs to the answer too.
    Nothing: the model is asked again only where a grammar can force a list."""

    def shared(self, kind: str) -> int:
        """How many characters all prompts of a kind begin with."""
        return {"event": self.event, "entity": self.entity}[kind].index("{sentence}")

    def text(self, kind: str, sentence: str) -> str:
        """The prompt for one description. `kind` is one of `KINDS`."""
        template = {"event": self.event, "entity": self.entity}[kind]
        return template.replace("{sentence}", sentence)

    def finish(self, continuation: str, ended: bool, again: bool = False) -> tuple[str, bool]:
        """What a model wrote after the prompt -> the answer, and whether it came to its end.

        Args:
            continuation: the text behind the prompt.
            ended: whether the model itself ended it, rather than the limit on its length.
            again: whether it was asked for the second time, with `again` behind the prompt.
        """
        answer = self.cue + (self.again if again else "") + continuation
        ends = [at for at in (answer.find(stop) for stop in self.stop) if at >= 0]
        return (answer[: min(ends)], True) if ends else (answer, ended)


PROMPTS = {
    prompt.version: prompt
    for prompt in (
        # The paper's prompts, word for word, for models that follow instructions (its is LLaMa2).
        Prompt("paper-1", PAPER_EVENTS, PAPER_ENTITIES, again="\n1."),
        # Examples to continue, for models too small to follow an instruction.
        Prompt("fewshot-1", FEWSHOT_EVENTS, FEWSHOT_ENTITIES, cue="1.", stop=("\n\n", "Sentence:")),
    )
}


MAX_FILE = 100_000
_FIELDS = ("version", "event", "entity", "cue", "stop", "again")


def load_prompt(given: str) -> Prompt:
    """A version that is built in, or one of your own from a YAML file.

    The file has ``version``, ``event`` and ``entity`` (texts with ``{sentence}`` in them) and, if
    wanted, ``cue`` (the end of both texts that belongs to the answer), ``stop`` (a list of
    strings) and ``again`` (see `Prompt`).

    Raises:
        UserError: there is no such version or file, or the file does not hold a prompt.
    """
    if given in PROMPTS:
        return PROMPTS[given]
    path = Path(given)
    if not path.is_file():
        raise UserError(
            f"--prompt {given}: no such version or file. Give {', '.join(PROMPTS)}, or a YAML file "
            "of your own."
        )
    import yaml

    if path.stat().st_size > MAX_FILE:
        raise UserError(f"{path}: larger than {MAX_FILE} bytes; that is no prompt.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a readable YAML file: {error}") from None
    return _checked(content, path)


def _checked(content: Any, path: Path) -> Prompt:
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected version, event and entity, each with its text.")
    unknown = [str(name) for name in content if name not in _FIELDS]
    if unknown:
        raise UserError(f"{path}: unknown {', '.join(unknown)}; known are {', '.join(_FIELDS)}.")
    for name in ("version", "event", "entity"):
        if name not in content:
            raise UserError(f"{path}: {name!r} is missing.")
    for name, value in content.items():
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and clean(text) != text for text in texts):
            raise UserError(f"{path}: {name!r} holds half a character (\\ud800 to \\udfff).")
        if isinstance(value, list) != (name == "stop") or not all(
            isinstance(text, str) for text in texts
        ):
            kind = "a list of texts" if name == "stop" else "text"
            found = type(value).__name__ if isinstance(value, list | dict) else shorten(value)
            raise UserError(f"{path}: {name!r} is {found}; expected {kind}.")
    if not content["version"].isprintable():
        raise UserError(f"{path}: 'version' holds line breaks or control characters.")
    if content["version"].strip() in ("", *PROMPTS):
        raise UserError(f"{path}: give your own name as 'version', not {content['version']!r}.")
    for kind in KINDS:
        if "{sentence}" not in content[kind]:
            raise UserError(
                f"{path}: {kind!r} does not hold {{sentence}}, the description's place."
            )
        if not content[kind].endswith(content.get("cue", "")):
            raise UserError(f"{path}: {kind!r} does not end in the cue {content['cue']!r}.")
    stop = tuple(content.get("stop", ()))
    if not all(stop):
        raise UserError(f"{path}: 'stop' holds an empty text.")
    return Prompt(**{**content, "stop": stop})


def one_line(description: str) -> str:
    """A description on one line: line breaks would look like the end of the sentence."""
    return " ".join(description.split())


def fit(description: str, words: int) -> tuple[str, int]:
    """A description's beginning of at most `words` words, and how many words were left out.

    The cut is behind the last sentence that fits, or behind a word where not even one does.
    """
    kept = description.split()[:words]
    left_out = len(description.split()) - len(kept)
    if left_out:
        ends = [i for i, word in enumerate(kept) if re.search(r"[.!?][\"'”’)]*$", word)]
        if ends:
            left_out += len(kept) - ends[-1] - 1
            kept = kept[: ends[-1] + 1]
    return " ".join(kept), left_out


def fit_model(
    description: str, words: int, prompt: Prompt, fits: Callable[[str], bool]
) -> tuple[str, int]:
    """As `fit`, and short enough for a model to read the prompts of both kinds.

    Args:
        description: on one line.
        words: most words.
        prompt: what they are put into.
        fits: whether a prompt's text fits.

    Raises:
        UserError: the prompt does not fit even without a description.
    """

    def shown(most: int) -> tuple[str, int]:
        return fit(description, most)

    def all_fit(sentence: str) -> bool:
        return all(fits(prompt.text(kind, sentence)) for kind in KINDS)

    if all_fit(shown(words)[0]):
        return shown(words)
    if not all_fit(""):
        raise UserError(
            f"prompt {prompt.version}: longer than the model can read, even without a description. "
            "Give a larger --context, a lower --max_new_tokens or another --prompt."
        )
    # The longest beginning that fits; more words never make a prompt shorter.
    least, most = 0, len(description.split()[:words])
    while least + 1 < most:
        middle = (least + most) // 2
        least, most = (middle, most) if all_fit(shown(middle)[0]) else (least, middle)
    if least:
        return shown(least)
    # Not one word: a script without blanks, or no words at all. Cut anywhere, then.
    begin, end = 0, len(description)
    while begin + 1 < end:
        middle = (begin + end) // 2
        begin, end = (middle, end) if all_fit(description[:middle]) else (begin, middle)
    return description[:begin], len(description.split()) - description[:begin].count(" ")
