"""`python -m lrmovienet`: the same as the command `lrmovienet`."""

from lrmovienet.cli import entry

if __name__ == "__main__":
    entry()
