"""A grammar that lets a model write nothing but a short numbered list (llama.cpp's GBNF)."""

FEWEST, MOST = 3, 8


def numbered_list(cue: str) -> str:
    """A grammar for `FEWEST` to `MOST` labels of one or two words, each on a numbered line.

    Nothing in it can go on for ever: the number of lines, the words of a line and the letters of a
    word are bounded, and there is no free white space. An answer that is forced has no evidence of
    being true: labels are still held against the description.

    Args:
        cue: what the prompt ends with: the first number, or nothing.
    """
    first = 'label "\\n"' if cue.rstrip().endswith("1.") else '"1." label "\\n"'
    needed = " ".join(f"l{i}" for i in range(2, FEWEST + 1))
    optional = ""
    for i in range(MOST, FEWEST, -1):
        optional = f"(l{i} {optional})?" if optional else f"(l{i})?"
    lines = "\n".join(f'l{i} ::= "{i}." label "\\n"' for i in range(2, MOST + 1))
    return (
        f"root ::= {first} {needed} {optional}\n{lines}\n"
        'label ::= " " word (" " word)?\n'
        "word ::= [A-Za-z] [a-z'-]{1,14}\n"
    )
