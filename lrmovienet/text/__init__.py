"""`lrmovienet extract`: scene descriptions -> event and entity labels."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import HashCache, sha256_of
from lrmovienet.hub import model_file, model_folder
from lrmovienet.progress import progress
from lrmovienet.runner import Columns, split
from lrmovienet.runner.local import Job, run_table
from lrmovienet.text import parse
from lrmovienet.text.answers import Answers, Completion, Generator, Request, seed_of
from lrmovienet.text.labels import Answer, LabelReader
from lrmovienet.text.prompts import KINDS, Prompt, fit_model, load_prompt, one_line
from lrmovienet.workspace import Workspace

Key = tuple[str, str]
"""A clip's id and a kind of label."""


@dataclass(frozen=True)
class ExtractConfig(VerbConfig):
    """Options of `lrmovienet extract`."""

    backend: Literal["transformers", "llama_cpp", "openai"] = "transformers"
    """What runs the language model: transformers (batched; the default needs nothing else),
    llama.cpp (GGUF files), or a server that speaks OpenAI's protocol."""
    model: str | None = None
    """A folder in the Hugging Face layout, a .gguf file, a hub id (owner/name, owner/name:file), or
    the model's name on the server. Without it, the packaged SmolLM2-135M: it shows that everything
    runs, not what good labels are."""
    server: str | None = None
    """For openai: the server's address, such as http://127.0.0.1:8080/v1."""
    prompt: str = "fewshot-1"
    """The paper's prompts word for word (paper-1, for models that follow instructions), examples to
    go on with (fewshot-1, for small models), or a YAML file with prompts of your own."""
    require_evidence: bool = True
    """Drop labels with a word that does not occur in the description."""
    max_words: int = 300
    """Longer descriptions are cut behind the last sentence that fits."""
    context: int = 2048
    """Tokens of prompt and answer together; descriptions are cut by sentence to fit."""
    max_new_tokens: int = 96
    """Longest answer, in tokens."""
    temperature: float = 0.0
    """0 takes the likeliest word each time; above, words are drawn (not with transformers)."""
    seed: int = 0
    """Of the draws; each request has a seed of its own made from this, the clip and the prompt."""
    grammar: bool = False
    """Let llama.cpp write nothing but a numbered list of 3 to 8 labels."""
    ask_again: bool = True
    """Ask once more, with the answer's beginning or a grammar, where an answer held no label."""
    timeout_s: float = 300.0
    """Longest time an answer may take, of llama.cpp and servers."""
    batch_size: int = 16
    """Prompts a batch of transformers."""
    concurrency: int = 8
    """Requests to a server at a time."""
    chat: bool = False
    """Send prompts to a server as messages of a chat."""
    device: str = "cpu"
    """Where transformers or llama.cpp run the model: cpu or cuda."""
    require_gpu: bool = False
    """Fail where llama.cpp was built without a GPU, instead of using the CPU."""
    threads: int | None = None
    """Threads of llama.cpp; all cores by default."""
    shard_size: int = 64
    """Clips a part of the table. Answers are kept one by one, whatever this is."""
    fail_fast: bool = False
    """Stop at the first clip that fails, instead of keeping it in the dropped rows."""


def run(config: ExtractConfig) -> None:
    """Make the table text_labels.

    Raises:
        UserError: there are no clips yet, an option is out of range, or the model is not there.
    """
    _check(config)
    prompt = load_prompt(config.prompt)
    workspace = Workspace(config.workspace)
    clips = workspace.require("clips")
    generator = _generator(config, prompt, workspace)
    rows = workspace.read("clips", ["clip_id", "description"]).to_pydict()
    started = time.monotonic()
    shown = {
        clip_id: fit_model(one_line(text), config.max_words, prompt, generator.fits)
        for clip_id, text in zip(rows["clip_id"], rows["description"], strict=True)
    }
    answers = Answers(workspace.root / "cache" / "answers.sqlite", generator, prompt.stop)
    with workspace.locked():
        answered = ask_all(
            {clip_id: sentence for clip_id, (sentence, _) in shown.items()}, prompt, answers,
            seed=config.seed, listed=config.grammar, ask_again=config.ask_again,
        )  # fmt: skip
    columns: Columns = {
        "clip_id": list(shown),
        "sentence": [sentence for sentence, _ in shown.values()],
        "left_out": [left_out for _, left_out in shown.values()],
    }
    for kind in KINDS:
        columns[kind] = [asdict(answered[clip_id, kind]) for clip_id in shown]
    texts = {f"{prompt.version}/{kind}": prompt.text(kind, "{sentence}") for kind in KINDS}
    job = Job(
        table="text_labels",
        stage=LabelReader(
            generator=generator.name,
            prompt_version=prompt.version,
            require_evidence=config.require_evidence,
            made_from=sha256_of([generator.identity, asdict(prompt)]),
        ),
        shards=split(columns, config.shard_size),
        item="clip_id",
        inputs={"clips": clips.digest},
        config=_options(config),
        models={generator.name: generator.weights},
        prompts=texts,
        fail_fast=config.fail_fast,
        prepared_s=time.monotonic() - started,
    )
    Console().print(str(run_table(workspace, job)))


def ask_all(
    sentences: Mapping[str, str],
    prompt: Prompt,
    answers: Answers,
    *,
    seed: int = 0,
    listed: bool = False,
    ask_again: bool = True,
) -> dict[Key, Answer]:
    """Every clip's answer for every kind of label.

    Where an answer holds no label, the model is asked once more: under a grammar where it can be,
    else with the answer's first characters put into its mouth.

    Args:
        sentences: clip_id -> what the model is shown of the description.
        prompt: what it is asked.
        answers: the model and what it has said so far.
        seed: of the run.
        listed: whether to force a list from the beginning.
        ask_again: whether to ask for a second time at all.
    """
    requests: dict[Key, Request] = {}
    for clip_id, sentence in sentences.items():
        for kind in KINDS if sentence else ():  # nothing to ask about
            text = prompt.text(kind, sentence)
            requests[clip_id, kind] = Request(
                text, seed_of(seed, clip_id, text), listed, prompt.shared(kind)
            )
    first, failed = _ask(answers, requests, "asking")
    second: dict[Key, Request] = {}
    for key, completion in first.items() if ask_again else ():
        if not _has_label(prompt, completion):
            old = requests[key]
            again_seed = seed_of(seed + 1, key[0], old.prompt)
            if answers.generator.can_list and not old.listed:
                second[key] = replace(old, seed=again_seed, listed=True)
            elif prompt.again and not old.listed:
                second[key] = replace(old, seed=again_seed, prompt=old.prompt + prompt.again)
    again, failed_again = _ask(answers, second, "asking again")
    result = {(c, kind): Answer("", True) for c, shown in sentences.items() if not shown
              for kind in KINDS}  # fmt: skip
    for key in requests:
        if key in failed or key in failed_again:
            reason = failed.get(key) or failed_again[key]
            result[key] = Answer("", False, failure=reason)
            continue
        text, complete = prompt.finish(first[key].text, first[key].ended)
        result[key] = Answer(text, complete)
        put = key in again and not second[key].listed
        if key in again and _has_label(prompt, again[key], put):
            better, complete = prompt.finish(again[key].text, again[key].ended, put)
            result[key] = Answer(better, complete, first=text)
    return result


def _ask(
    answers: Answers, requests: Mapping[Key, Request], what: str
) -> tuple[dict[Key, Completion], dict[Key, str]]:
    """Answers, and reasons where there is none."""
    wanted = list(requests.values())
    failed: dict[Request, str] = {}
    if missing := answers.missing(wanted):
        with progress(what, missing, "prompts") as advance:
            failed = answers.ask(wanted, advance)
    known = answers.known([r for r in wanted if r not in failed])
    return (
        {key: known[request] for key, request in requests.items() if request in known},
        {key: failed[request] for key, request in requests.items() if request in failed},
    )


def _has_label(prompt: Prompt, completion: Completion, again: bool = False) -> bool:
    answer, complete = prompt.finish(completion.text, completion.ended, again)
    return any(label.reason is None for label in parse.parse(answer, complete))


def _options(config: ExtractConfig) -> dict[str, Any]:
    """What the manifest says of the run: all options but those of this machine."""
    left_out = ("workspace", "shard_size", "fail_fast", "concurrency", "threads", "require_gpu")
    return {k: v for k, v in config.__dict__.items() if k not in left_out}


def _check(config: ExtractConfig) -> None:
    for name in ("max_words", "max_new_tokens", "batch_size", "concurrency", "shard_size"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name} {getattr(config, name)}: give 1 or more.")
    if not 0 < config.timeout_s < float("inf"):
        raise UserError(f"--timeout_s {config.timeout_s}: give a number of seconds above 0.")
    if config.context <= config.max_new_tokens:
        raise UserError(
            f"--context {config.context}: prompt and answer together; give more than "
            f"--max_new_tokens {config.max_new_tokens}."
        )
    if not 0 <= config.temperature <= 5:
        raise UserError(f"--temperature {config.temperature}: give a number from 0 to 5.")
    if config.threads is not None and not 1 <= config.threads <= 512:
        raise UserError(f"--threads {config.threads}: give 1 to 512.")
    only = {
        "temperature": ("llama_cpp", "openai"), "grammar": ("llama_cpp", "openai"),
        "server": ("openai",), "chat": ("openai",), "require_gpu": ("llama_cpp",),
        "threads": ("llama_cpp",),
    }  # fmt: skip
    for name, backends in only.items():
        if getattr(config, name) and config.backend not in backends:
            raise UserError(f"--{name} is of {' and '.join(backends)}, not of {config.backend}.")
    devices = {"llama_cpp": ("cpu", "cuda"), "openai": ("cpu",)}.get(config.backend)
    if devices and config.device not in devices:
        raise UserError(
            f"--device {config.device}: {config.backend} knows {' and '.join(devices)}."
        )
    if config.backend == "openai" and not (config.server and config.model):
        raise UserError("--backend openai needs --server URL and --model NAME.")


def _generator(config: ExtractConfig, prompt: Prompt, workspace: Workspace) -> Generator:
    """The language model that is asked for. Nothing is loaded yet."""
    if config.backend == "openai":
        from lrmovienet.text.openai_api import OpenAIServer, check_url

        return OpenAIServer(
            check_url(str(config.server)), str(config.model), config.max_new_tokens,
            config.temperature, config.timeout_s, config.concurrency, config.chat,
            config.grammar, prompt.cue,
        )  # fmt: skip
    from lrmovienet.text import transformers

    name: str | None = None
    if config.model is None:
        path, name = transformers.packaged_model(), transformers.PACKAGED
    elif config.backend == "llama_cpp":
        path = model_file(config.model, "model")
    else:
        path = model_folder(config.model, "model")
    sha256: Callable[[Path], str] = HashCache(workspace.root / "cache" / "hashes.json").sha256
    file_name, weights = transformers.identify(path, sha256)
    if config.backend == "transformers":
        if config.device != "cpu":
            from lrmovienet.encoders import require_device

            require_device(config.device)
        return transformers.Transformers(
            path, name or file_name, weights, config.max_new_tokens, config.context,
            config.batch_size, config.device,
        )  # fmt: skip
    from lrmovienet.text import llama_cpp

    if config.require_gpu:
        llama_cpp.require_gpu()
    gpu = config.device != "cpu"
    if gpu and not llama_cpp.can_offload():
        Console(stderr=True).print(
            "llama-cpp-python was built without a GPU: the model runs on the CPU (--require_gpu "
            "makes this an error)."
        )
    return llama_cpp.LlamaCpp(
        path, name or file_name, weights, config.max_new_tokens, config.context,
        config.temperature, config.timeout_s, gpu, config.threads, prompt.cue,
    )  # fmt: skip
