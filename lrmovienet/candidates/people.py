"""Actors' names, where a character's is meant.

Descriptions often say "Neo (Keanu Reeves)", and a language model makes both of them labels. A label
is taken for an actor's when it is the whole name, or when all its words come from the places where
the description names actors in full. A character's name is never taken for an actor's.
"""

import re
from collections.abc import Iterable, Mapping

from eval.labels import normal_form
from lrmovienet.candidates.forms import plain_marks, without_accents

Cast = Iterable[Mapping[str, str | None]]


class Actors:
    """The actors of one film."""

    def __init__(self, cast: Cast) -> None:
        self.plays: dict[str, str] = {}
        """An actor's plain name -> who plays whom, longer names first: one may hold another."""
        self.characters: set[str] = set()
        for person in cast:
            actor, character = person["actor"] or "", person["character"] or ""
            self.characters |= {_plain(character), *_plain(character).split()} - {""}
            says = f"plays {normal_form(character)}" if character else "is in the cast"
            if _plain(actor):
                self.plays.setdefault(_plain(actor), f"{normal_form(actor)} {says}")
        self._last: tuple[str, list[str], set[str]] | None = None
        self.plays = dict(sorted(self.plays.items(), key=lambda pair: (-len(pair[0]), pair[0])))

    def reason(self, label: str, description: str, part: bool = True) -> str | None:
        """Why a label is an actor's name, or None where it is not.

        Args:
            label: a candidate.
            description: of the clip.
            part: whether a part of a name counts, too.
        """
        name = _plain(label)
        if name in self.characters:
            return None
        if name in self.plays:
            return self.plays[name]
        if not part:
            return None
        named, other_words = self._named_in(description)
        own = set(name.split())
        if not own or own & (other_words | self.characters):
            return None
        return next((self.plays[actor] for actor in named if own <= set(actor.split())), None)

    def _named_in(self, description: str) -> tuple[list[str], set[str]]:
        """The actors that a description names in full, and its words outside of those names."""
        if self._last is None or self._last[0] != description:  # a clip has many labels
            rest, named = _plain(description), []
            for actor in self.plays:
                if actor in rest:
                    rest, times = re.subn(rf"(?<!\S){re.escape(actor)}(?:'s)?(?!\S)", " ", rest)
                    named += [actor] if times else []
            self._last = description, named, set(rest.split())
        return self._last[1:]


def _plain(text: str) -> str:
    """A text's words, with a space between them: no accents, dashes, or dots of initials."""
    plain = without_accents(normal_form(plain_marks(text)))
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", plain))
