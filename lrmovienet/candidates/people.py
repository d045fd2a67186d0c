"""Actors' names, where a character's is meant.

Descriptions often say "Neo (Keanu Reeves)", and a language model makes both of them labels. A label
is taken for an actor's when it is the whole name, or when all its words come from the places where
the description names actors in full. A character's name is never taken for an actor's.
"""

import re
from collections.abc import Iterable, Mapping

from eval.labels import normal_form

Cast = Iterable[Mapping[str, str | None]]


class Actors:
    """The actors of one film."""

    def __init__(self, cast: Cast) -> None:
        self.plays: dict[str, str | None] = {}
        self.characters: set[str] = set()
        for person in cast:
            character = _plain(person["character"] or "")
            self.characters |= {character, *character.split()} - {""}
            if actor := _plain(person["actor"] or ""):
                self.plays.setdefault(actor, character or None)

    def reason(self, label: str, description: str) -> str | None:
        """Why a label is an actor's name, or None where it is not.

        Args:
            label: a candidate.
            description: of the clip.
        """
        name = _plain(label)
        if name in self.characters:
            return None
        if name in self.plays:
            return self._says(name)
        rest = f" {_plain(description)} "
        named = [actor for actor in self.plays if f" {actor} " in rest]
        for actor in named:
            rest = rest.replace(f" {actor} ", " ")
        own = set(name.split())
        if not own or own & (set(rest.split()) | self.characters):
            return None
        return next((self._says(actor) for actor in named if own <= set(actor.split())), None)

    def _says(self, actor: str) -> str:
        character = self.plays[actor]
        return f"{actor} plays {character}" if character else f"{actor} is in the cast"


def _plain(text: str) -> str:
    """A text's words, with a space between them: initials have no dots."""
    return " ".join(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", normal_form(text)))
