"""Runs `lrmovienet extract` in processes that end suddenly. A program of test_extract_killed.

    kill_extract.py WORKSPACE LOG MODE [NUMBER ...]

MODE before: for each number, a run that kills itself before that call of the model; then a whole
run. MODE slow: one run whose model thinks for a while, in batches.
"""

import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

from scripted import extract, kind_of, sentence_of

import lrmovienet.text
from lrmovienet.cli import parse
from lrmovienet.text import ExtractConfig
from lrmovienet.text.answers import Completion

BATCH = 3


class Logged:
    """A generator of no family that notes each call before it answers."""

    name = "logged"
    weights = "no file"
    temperature = 0.0
    can_list = True

    def __init__(self, log, kill_before, batch=1, pause=0.0):
        self.log, self.kill_before, self.batch, self.pause = log, kill_before, batch, pause
        self.calls = 0

    @property
    def identity(self):
        return {"engine": "logged"}

    def fits(self, prompt):
        return True

    def generate(self, requests, stop):
        for start in range(0, len(requests), self.batch):
            yield [(r, self.one(r)) for r in requests[start : start + self.batch]]

    def one(self, request):
        if self.calls == self.kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls += 1
        with self.log.open("a") as file:
            file.write(f"{request.listed} {request.prompt!r}\n")
        time.sleep(self.pause)
        words = sentence_of(request.prompt).rstrip(".").split()
        if not request.listed and words[0] == "Nobody":
            return Completion(" I cannot see any labels in here", "stop")
        chosen = words[:2] if kind_of(request.prompt) == "event" else words[2:]
        return Completion("".join(f" {word}\n2." for word in chosen), "stop")


def run(root, log, kill_before, **options):
    """One run in a process of its own; its exit status."""
    child = os.fork()
    if child == 0:
        generator = Logged(log, kill_before, **options)
        lrmovienet.text._generator = lambda *_: generator
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            os._exit(extract(root, "--shard_size", "4"))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(root, log, mode, *numbers):
    root, log = Path(root), Path(log)
    if mode == "slow":
        generator = Logged(log, None, batch=BATCH, pause=random.uniform(0.005, 0.02))
        lrmovienet.text._generator = lambda *_: generator
        sys.exit(extract(root, "--shard_size", "4"))
    parse("extract", ExtractConfig, [])  # what it loads, each run need not load again
    for number in numbers:
        assert run(root, log, int(number)) == -signal.SIGKILL
        print(len(log.read_text().splitlines()) if log.exists() else 0)
    assert run(root, log, None) == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
