"""Actors' names go where the character is meant; words that are also names stay."""

import pytest

from lrmovienet.candidates.people import Actors

MATRIX = [
    ("Keanu Reeves", "Neo"), ("Carrie-Anne Moss", "Trinity"), ("Laurence Fishburne", "Morpheus"),
]  # fmt: skip


def reason(cast, label, description="A scene."):
    return Actors([{"actor": a, "character": c} for a, c in cast]).reason(label, description)


def test_a_whole_name_goes_whatever_the_description_says():
    assert reason(MATRIX, "keanu reeves") == "keanu reeves plays neo"
    assert reason(MATRIX, "Carrie-Anne Moss", "Trinity jumps.") == "carrie-anne moss plays trinity"


def test_a_surname_goes_only_where_it_comes_from_the_full_name():
    said = "keanu reeves plays neo"
    assert reason(MATRIX, "reeves", "Neo (Keanu Reeves) fights.") == said
    assert reason(MATRIX, "keanu", "Neo (Keanu Reeves) fights.") == said
    assert reason(MATRIX, "reeves", "Neo (Keanu Reeves) fights Agent Reeves.") is None
    assert reason(MATRIX, "reeves", "Neo fights.") is None
    assert reason(MATRIX, "reeves", "Reeves fights.") is None


def test_parts_of_a_double_name():
    said = "carrie-anne moss plays trinity"
    assert reason(MATRIX, "moss", "Trinity (Carrie-Anne Moss) runs.") == said
    assert reason(MATRIX, "moss", "Trinity (Carrie-Anne Moss) runs over moss.") is None


def test_words_of_two_actors_are_no_name():
    description = "Neo (Keanu Reeves) and Trinity (Carrie-Anne Moss) run."
    assert reason(MATRIX, "keanu moss", description) is None
    assert reason(MATRIX, "reeves", description) == "keanu reeves plays neo"


def test_the_whole_label_must_come_from_the_name():
    description = "Neo (Keanu Reeves) has a gun."
    assert reason(MATRIX, "reeves gun", description) is None
    assert reason(MATRIX, "gun", description) is None


def test_a_name_twice_in_a_row_is_named_twice():
    description = "Neo is Keanu Reeves. Keanu Reeves fights."
    assert reason(MATRIX, "reeves", description) == "keanu reeves plays neo"


@pytest.mark.parametrize("s", ["'", "’", "'s", "’s"])
def test_a_name_with_a_possessive_s_is_named(s):
    assert reason(MATRIX, "reeves", f"Keanu Reeves{s} gun.") == "keanu reeves plays neo"


def test_a_character_is_never_taken_for_an_actor():
    cast = [("Keanu Reeves", "John Reeves"), ("John Malkovich", "John Malkovich")]
    assert reason(cast, "reeves", "(Keanu Reeves) sits.") is None
    assert reason(cast, "john malkovich", "(John Malkovich) sits.") is None
    assert reason(cast, "malkovich", "(John Malkovich) sits.") is None
    assert reason(cast, "keanu", "(Keanu Reeves) sits.") == "keanu reeves plays john reeves"
    # Neither is a character of somebody else.
    assert reason([*MATRIX, ("A B", "Mr. Moss")], "moss", "(Carrie-Anne Moss) sits.") is None


def test_a_word_of_a_character_keeps_a_label():
    description = "Ann (Helena Bonham Carter) sits."
    assert reason([("Helena Bonham Carter", "Ann Carter")], "bonham carter", description) is None
    assert reason([("Helena Bonham Carter", "Ann")], "bonham carter", description) is not None


def test_initials_have_no_dots():
    cast = [("Samuel L. Jackson", "Jules")]
    said = "samuel l. jackson plays jules"
    description = "Jules (Samuel L. Jackson) eats."
    for label in ("samuel l. jackson", "samuel l jackson"):
        assert reason(cast, label) == said
    for label in ("samuel jackson", "jackson", "samuel l", "l. jackson"):
        assert reason(cast, label, description) == said
        assert reason(cast, label) is None


def test_common_words_that_are_surnames():
    cast = [("Jack Black", "Dewey"), ("Emma Stone", "Mia"), ("Will Smith", "Jay")]
    description = "Dewey (Jack Black) plays a black guitar. Mia (Emma Stone) dances."
    assert reason(cast, "black", description) is None
    assert reason(cast, "stone", description) == "emma stone plays mia"
    assert reason(cast, "stone", "Mia (Emma Stone) throws a stone.") is None
    assert reason(cast, "black car", description) is None
    assert reason(cast, "will", "Jay (Will Smith) will fight.") is None


def test_case_and_blanks_make_no_difference():
    description = "NEO (KEANU\n  REEVES) fights."
    assert reason(MATRIX, "Reeves", description) == "keanu reeves plays neo"


def test_accents_of_a_name():
    """A label is written as most clips have it, which may be without them."""
    for actor in ("Penélope Cruz", "Penelope Cruz", "Pene\u0301lope Cruz"):
        for label in ("penélope cruz", "penelope cruz"):
            assert reason([(actor, "Maria")], label) is not None
    assert reason([("Penélope Cruz", "María")], "maria", "Maria (Penelope Cruz) sits.") is None
    assert reason([("Penélope Cruz", "Maria")], "cruz", "Maria (Penelope Cruz) sits.") is not None


def test_quotes_of_a_name():
    for actor in ("Beverly D’Angelo", "Beverly D'Angelo"):
        cast = [(actor, "Ellen")]
        assert reason(cast, "beverly d'angelo") is not None
        for description in ("Ellen (Beverly D’Angelo) sits.", "Ellen (Beverly D'Angelo) sits."):
            assert reason(cast, "d'angelo", description) is not None


def test_dashes_of_a_name():
    cast = [("Jean-Claude Roy", "Luc")]
    for label in ("jean-claude roy", "jean claude roy"):
        assert reason(cast, label) is not None
    assert reason(cast, "jean-claude", "Luc (Jean–Claude Roy) sits.") is not None


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_the_cast_makes_no_difference(order):
    cast = [("Robert Downey", "Joe"), ("Robert Downey Jr.", "Tony")][::order]
    description = "Tony (Robert Downey Jr.) flies."
    assert reason(cast, "downey jr", description) == "robert downey jr. plays tony"


def test_casts_with_gaps():
    assert reason([], "neo", "Neo runs.") is None
    assert reason([("Keanu Reeves", None)], "keanu reeves") == "keanu reeves is in the cast"
    assert reason([(None, "Neo"), ("", "")], "neo", "Neo runs.") is None
    assert reason([(None, "Neo")], "", "") is None
    assert reason([("...", "Neo")], "...", "...") is None
    assert reason(MATRIX, "...", "Neo (Keanu Reeves) ... fights.") is None
