"""Workspaces with descriptions, and language models whose every answer is written down."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lrmovienet.cli import main
from lrmovienet.errors import ItemError
from lrmovienet.runner.local import run_once
from lrmovienet.text.answers import Completion
from lrmovienet.workspace import Workspace

DOJO = "Neo and Morpheus fight in the dojo while the crew watches them on the green monitors."
KISS = "They kiss."


@dataclass
class Scripted:
    """Answers what a function says, in batches, and notes what it was asked."""

    answer: Callable
    temperature: float = 0.0
    can_list: bool = False
    room: int = 10**9
    batch: int = 1
    about: str = "one"
    asked: list = field(default_factory=list)

    name = "scripted"
    weights = "no file"

    @property
    def identity(self):
        return {"engine": "scripted", "about": self.about, "temperature": self.temperature}

    def fits(self, prompt):
        return len(prompt) <= self.room

    def generate(self, requests, stop):
        for start in range(0, len(requests), self.batch):
            done = []
            for request in requests[start : start + self.batch]:
                self.asked.append(request)
                answer = self.answer(request)
                if isinstance(answer, str):
                    answer = Completion(answer, "stop")
                assert isinstance(answer, (Completion, ItemError))
                done.append((request, answer))
            yield done


def kind_of(prompt):
    """The kind of label that a built-in prompt asks for."""
    return "event" if "\nActions:" in prompt or "capture events" in prompt else "entity"


def sentence_of(prompt):
    """The description in a built-in prompt."""
    if "### Instruction" in prompt:
        return prompt.split("following sentence: ")[1].split(" Please separate")[0]
    return prompt.rsplit("Sentence: ", 1)[1].partition("\n")[0]


def make_clips(root, descriptions):
    """The table clips: one clip a description, tt0_0000, tt1_0000, …"""
    n = len(descriptions)
    columns = {
        "clip_id": [f"tt{i}_0000" for i in range(n)],
        "movie_id": [f"tt{i}" for i in range(n)],
        "title": [None] * n, "genres": [[]] * n, "description": list(descriptions),
        "shot": [[0, 1]] * n, "frame": [[0, 9]] * n, "start_s": [None] * n, "end_s": [None] * n,
        "keyframes": [[{"ref": f"tt{i}/shot_0000_img_0.jpg", "sha256": ""}] for i in range(n)],
    }  # fmt: skip
    config = {"descriptions": list(descriptions)}
    run_once(Workspace(root), "clips", lambda: columns, version="1", inputs={}, config=config)


def extract(root, *options):
    return main(["extract", "--workspace", str(root), *map(str, options)])


def kept(root):
    rows = Workspace(root).read("text_labels").to_pylist()
    return [(row["clip_id"], row["kind"], row["label"], row["rank"]) for row in rows]


def dropped(root):
    rows = Workspace(root).read_dropped("text_labels").to_pylist()
    return [(row["clip_id"], row["label"], row["reason"]) for row in rows]


def written(root):
    """The bytes of all that the table consists of, the manifest among it."""
    return {path.name: path.read_bytes() for path in sorted((root / "text_labels").iterdir())}


def everything_written(root):
    """The bytes of every file below a folder, one after the other."""
    return b"".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())
