"""How fast frames are tagged and descriptions read, beside what must be computed: ``make bench``.

RAM++ has random weights here (its checkpoint is not at hand), which changes no time. The text model
is the packaged SmolLM2.
"""

import argparse
import dataclasses
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from machine import ROOT, hardware, publish
from torch.utils.flop_counter import FlopCounterMode

from lrmovienet.keyframes import KeyframeReader
from lrmovienet.tagging.frames import Frame, FrameTags
from lrmovienet.tagging.ram_plus import RAM_PLUS, RamPlus, RamTagger
from lrmovienet.text.answers import Answers, Completion, Request
from lrmovienet.text.prompts import PROMPTS, fit, one_line
from lrmovienet.text.transformers import PACKAGED, Transformers, identify, packaged_model

FOLDER = "240P"
SCENES = ROOT / "demo" / "descriptions.csv"


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write_frames(root: Path, number: int) -> list[Frame]:
    """Different JPEGs of a film frame's size."""
    import hashlib

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (root / FOLDER / "tt1").mkdir(parents=True)
    frames = []
    for i in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (15, 36, 3), np.uint8))
        jpeg = io.BytesIO()
        coarse.resize((576, 240), Image.Resampling.BICUBIC).save(jpeg, "jpeg", quality=90)
        ref = f"tt1/shot_{i:04d}_img_0.jpg"
        (root / FOLDER / ref).write_bytes(jpeg.getvalue())
        frames.append({"ref": ref, "sha256": hashlib.sha256(jpeg.getvalue()).hexdigest()})
    return frames


def bare(tagger: RamTagger, batches: list[torch.Tensor], device: str) -> float:
    """Seconds of the network alone, as many batches side by side as the pipeline runs."""
    cores = torch.get_num_threads()
    workers = cores if device == "cpu" else 2
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            return seconds_of(lambda: list(pool.map(tagger.scores, batches)))
    finally:
        torch.set_num_threads(cores)


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """What this machine reaches in one large matrix product, operations a second."""
    side = 2048 if device == "cpu" else 8192
    a = torch.randn(side, side, device=device, dtype=dtype)
    best = 0.0
    for _ in range(5):
        if device != "cpu":
            torch.cuda.synchronize()
        start = time.perf_counter()
        b = a @ a
        float(b[0, 0])
        best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


def tag_lines(folder: Path, number: int, batch: int, device: str, precision: str) -> Iterator[str]:
    """The table about RAM++."""
    frames = write_frames(folder, number)
    checkpoint = folder / "random.pth"
    torch.manual_seed(0)
    torch.save({"model": RamPlus(RAM_PLUS).state_dict()}, checkpoint)
    tagger = RamTagger("ram_plus", checkpoint, "random", precision, device)
    tagger.load()
    with FlopCounterMode(display=False) as counter:
        tagger.scores(torch.zeros(1, 3, 384, 384, dtype=torch.uint8))
    flops = counter.get_total_flops()
    reader = KeyframeReader(folder)
    pixels = [tagger.pixels(reader.read(f["ref"], f["sha256"])) for f in frames]
    batches = [torch.stack(pixels[i : i + batch]) for i in range(0, number, batch)]
    network, whole = [], []
    for i in range(3):  # one after the other, so that whatever else runs disturbs both alike
        network.append(bare(tagger, batches, device))
        tags = FrameTags(folder / f"{i}.sqlite", tagger, 0.3)
        whole.append(
            seconds_of(lambda tags=tags: tags.make(frames, reader, batch, device, lambda n: None))
        )
    alone, ours = sorted(network)[1], sorted(whole)[1]
    decode = seconds_of(lambda: [tagger.pixels(reader.read(f["ref"])) for f in frames])
    peak = peak_flops(device, torch.float32 if precision == "fp32" else torch.bfloat16)
    yield (
        f"RAM++ at full size ({flops / 1e9:.0f} GFLOP a frame), {precision}, {device}, {number} "
        f"different frames of 576 × 240, batches of {batch}. Medians of three."
    )
    yield from ("", "| what | seconds | frames/s |", "|---|--:|--:|")
    yield f"| the network alone, decoded frames in memory | {alone:.1f} | {number / alone:.2f} |"
    yield f"| `tag`: reading, decoding, network, keeping | {ours:.1f} | {number / ours:.2f} |"
    yield f"| reading and decoding alone, one thread | {decode:.2f} | {number / decode:.0f} |"
    yield from (
        "",
        f"- `tag` reaches {alone / ours:.1%} of the network's own speed.",
        f"- The network reaches {flops * number / alone / 1e9:.0f} GFLOP/s, "
        f"{flops * number / alone / peak:.0%} of this machine's in one large matrix product "
        f"({peak / 1e9:.0f}).",
    )


def text_lines(folder: Path, number: int) -> Iterator[str]:
    """The table about the language model and its cache."""
    import csv

    with SCENES.open(encoding="utf-8", newline="") as file:
        words = " ".join(row["description"] for row in csv.DictReader(file)).split()
    prompt = PROMPTS["fewshot-1"]
    scenes = [
        one_line(fit(" ".join(words[i % 20 :] + words[: i % 20]), 12 + i)[0]) for i in range(number)
    ]
    shared = prompt.shared("entity")
    requests = [Request(prompt.text("entity", scene), shared=shared) for scene in scenes]
    path = packaged_model()
    one = Transformers(path, PACKAGED, identify(path)[1], 32, batch_size=1)
    many = dataclasses.replace(one, batch_size=16)
    list(one.generate(requests[:1], prompt.stop))
    list(many.generate(requests[:1], prompt.stop))
    tokens: dict[str, int] = {}

    def run(name: str, generator: Transformers) -> None:
        answers = [a for batch in generator.generate(requests, prompt.stop) for _, a in batch]
        tokens[name] = sum(a.answer_tokens or 0 for a in answers if isinstance(a, Completion))

    apart = seconds_of(lambda: run("one", one))
    together = seconds_of(lambda: run("many", many))
    answers = Answers(folder / "answers.sqlite", Written(), prompt.stop)
    asked = [Request(f"{requests[0].prompt} {i}") for i in range(10_000)]
    fill = seconds_of(lambda: answers.ask(asked, lambda n: None))
    known = seconds_of(lambda: answers.known(asked))
    yield f"{PACKAGED}, {number} prompts of fewshot-1, answers of up to 32 tokens, fp32."
    yield from ("", "| what | seconds | tokens/s |", "|---|--:|--:|")
    yield f"| one by one | {apart:.1f} | {tokens['one'] / apart:.0f} |"
    yield f"| batches of 16 | {together:.1f} | {tokens['many'] / together:.0f} |"
    yield from (
        "",
        f"- Batches are {apart / together:.1f} times as fast as one by one.",
        f"- The cache takes {known:.2f} s for the answers to 10,000 prompts, and {fill:.2f} s to "
        "keep them in transactions of 100.",
    )


class Written:
    """Answers at once: what is timed is the cache."""

    name = weights = "written"
    identity = {"engine": "written"}  # noqa: RUF012
    temperature = 0.0
    can_list = False

    def fits(self, prompt: str) -> bool:
        """Always."""
        return True

    def generate(self, requests, stop):  # type: ignore[no-untyped-def]
        """A hundred answers at a time."""
        for start in range(0, len(requests), 100):
            some = requests[start : start + 100]
            yield [(request, Completion("1. dojo\n2. fight", "stop")) for request in some]


def main() -> None:
    """Measure, print, and write the sections where they are asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", type=Path, help="the file whose sections are replaced")
    options.add_argument("--frames", type=int, default=16, help="default: %(default)s")
    options.add_argument("--batch", type=int, default=4, help="default: %(default)s")
    options.add_argument("--prompts", type=int, default=32, help="default: %(default)s")
    options.add_argument("--device", default="cpu", help="default: %(default)s")
    options.add_argument("--precision", default="fp32", help="default: %(default)s")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for section, lines in (
            ("text", text_lines(folder, given.prompts)),
            ("tag", tag_lines(folder, given.frames, given.batch, given.device, given.precision)),
        ):
            text = "\n".join(lines)
            publish(f"{hardware('torch', 'transformers')}\n\n{text}", section, given.write)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
