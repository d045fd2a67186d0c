"""The one normal form in which labels are stored and compared."""

import unicodedata


def normal_form(label: str) -> str:
    """A label lower-cased, NFC-normalised and single-spaced.

    Lower-casing can undo NFC (``"İ"`` becomes an i and a combining dot), so NFC comes last.
    Applying it twice changes nothing.
    """
    lowered = unicodedata.normalize("NFC", label).lower()
    return " ".join(unicodedata.normalize("NFC", lowered).split())
