"""The prompts that turn a scene description into event and entity labels, by version.

A prompt's text goes into the manifest of the table made with it. A change of wording is a new
version, never a new text under an old name.
"""

import re
from dataclasses import dataclass

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

    def text(self, kind: str, sentence: str) -> str:
        """The prompt for one description. `kind` is one of `KINDS`."""
        template = {"event": self.event, "entity": self.entity}[kind]
        return template.replace("{sentence}", sentence)

    def finish(self, continuation: str, ended: bool) -> tuple[str, bool]:
        """What a model wrote after the prompt -> the answer, and whether it came to its end.

        Args:
            continuation: the text behind the prompt.
            ended: whether the model itself ended it, rather than the limit on its length.
        """
        answer = self.cue + continuation
        ends = [at for at in (answer.find(stop) for stop in self.stop) if at >= 0]
        return (answer[: min(ends)], True) if ends else (answer, ended)


PROMPTS = {
    prompt.version: prompt
    for prompt in (
        # The paper's prompts, word for word, for models that follow instructions (its is LLaMa2).
        Prompt("paper-1", PAPER_EVENTS, PAPER_ENTITIES),
        # Examples to continue, for models too small to follow an instruction.
        Prompt("fewshot-1", FEWSHOT_EVENTS, FEWSHOT_ENTITIES, cue="1.", stop=("\n\n", "Sentence:")),
    )
}


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
