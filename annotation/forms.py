"""What people are asked: three forms, and the keys that answer them.

A form's page shows one clip and up to `slots` questions about it, each with the same answers. One
key answers one question: the questions of a page lie beside each other on the keyboard, ten to a
bank, and the answers one above the other (``1 q a``, ``2 w s``, …); the second bank has Shift.
"""

from dataclasses import dataclass

ROWS = {
    3: ("1234567890", "qwertyuiop", "asdfghjklm"),
    4: ("1234567", "qwertyu", "asdfghj", "zxcvbnm"),
}
"""Number of answers -> their keys, one row of the keyboard each. Letters and digits alone: what
lies beside them differs between keyboards. The tenth low is `m`, as no letter is right of `l`."""
UNUSED = "none"
"""What is chosen beforehand, unseen, in the questions that a page does not use."""


@dataclass(frozen=True)
class Answer:
    """One answer: what is stored, and what is shown."""

    value: str
    shown: str


@dataclass(frozen=True)
class Form:
    """One of the three things that people are asked."""

    name: str
    title: str
    answers: tuple[Answer, ...]
    slots: int
    """Questions a page."""
    corrects: bool = False
    """Whether the last answer asks for a text."""

    def key(self, slot: int, answer: int) -> str:
        """The key for an answer of a slot, as Label Studio writes it."""
        row = ROWS[len(self.answers)][answer]
        return ("shift+" if slot >= len(row) else "") + row[slot % len(row)]


SCREENING = Form(
    "screening",
    "Which labels can be graded?",
    (Answer("keep", "Keep"), Answer("drop", "Drop"), Answer("correct", "Correct")),
    slots=20,
    corrects=True,
)
GRADING = Form(
    "grading",
    "How much has each label to do with what the clip is mainly about?",
    (Answer("2", "High"), Answer("1", "Medium"), Answer("0", "Low")),
    slots=20,
)
PAIRS = Form(
    "pairs",
    "Which of the two has more to do with what the clip is mainly about?",
    (Answer("a", ""), Answer("b", ""), Answer("tie", "Equal"), Answer("skip", "Skip")),
    slots=14,
)
"""The first two answers are shown as the two labels."""

FORMS = {form.name: form for form in (SCREENING, GRADING, PAIRS)}
