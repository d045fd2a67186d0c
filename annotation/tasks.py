"""What is asked: pages, the people's projects, and tasks, which are pages as somebody sees them."""

from dataclasses import dataclass

from lrmovienet.files import sha256_of

FIRST, ADJUDICATION = "first", "adjudication"
"""The rounds: everybody's own judgement, and the last word on what they disagree about."""


@dataclass(frozen=True)
class Page:
    """One page: a clip and the questions about it, whoever is asked them."""

    uid: str
    form: str
    round: str
    clip_id: str
    questions: tuple[tuple[str, ...], ...]
    """Each a label, or two."""
    gold: bool = False
    """Whether the right answers are known, which annotators are not told."""


@dataclass(frozen=True)
class Project:
    """One annotator's project."""

    id: int
    form: str
    round: str
    annotator: str
    guidelines: str
    pictures: bool
    server: str
    on_server: int | None
    """Its id there; None while it is not sure that it exists."""
    seen: str | None
    """The latest change that a pull has seen."""
    closed: bool
    """Whether its annotator was forgotten: what is answered counts, and nothing more is asked."""
    nonce: str
    """What its mark on the server ends with: 16 hexadecimal digits."""


@dataclass(frozen=True)
class Task:
    """A page as one annotator is shown it."""

    project: int
    uid: str
    place: int
    """Its place in the project, from 0."""
    questions: tuple[tuple[str, ...], ...]
    """In the order in which this annotator sees them; a pair's labels too."""
    suggested: tuple[int | None, ...]
    """For each question the grade that is shown beforehand, where there is one."""
    on_server: int | None

    @property
    def key(self) -> str:
        """What it is known by on the server: its page, and the order of its questions."""
        return f"{self.uid}-{sha256_of(self.questions)[:8]}"
