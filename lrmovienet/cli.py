"""`lrmovienet <verb>`: one command an arrow of the data's way, opened only when it is asked for."""

import argparse
import importlib
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from eval.messages import printable
from eval.terminal import leave
from lrmovienet import __version__
from lrmovienet.errors import UserError
from lrmovienet.torchrun import is_first
from lrmovienet.verbs import GROUPS, VERBS
from lrmovienet.wrong_words import said

YES_NO = (["true"], ["false"])
SILENCE_S = 10.0
"""How long one of several processes waits before it fails with a message of its own."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns 0, or 2 for a wrong input, or 130 when interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    words = 2 if argv[:1] and argv[0] in GROUPS else 1
    verb = " ".join(argv[:words])
    if verb not in VERBS:
        return _no_verb(argv)
    del argv[:words]
    try:
        return _run(verb, argv)
    except UserError as error:
        return _fail(verb, str(error))
    except ModuleNotFoundError as error:
        return _fail(verb, _what_to_install(error))
    except MemoryError:
        return _fail(verb, "memory ran out. Use smaller batches or fewer --processes.")
    except BrokenPipeError:  # the reader of our output has gone; `entry` knows what to do
        raise
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _fail(
            verb,
            f"{where}{error.strerror}. Finished tables are as they were; put it right and run the "
            "same command again: it goes on where it stopped.",
        )
    except KeyboardInterrupt:
        if is_first():
            sys.stderr.write(f"lrmovienet {verb}: interrupted; run the same command to go on.\n")
        return 130


def _run(verb: str, argv: list[str]) -> int:
    module = importlib.import_module(VERBS[verb].module)
    module.run(parse(verb, getattr(module, VERBS[verb].config), argv))
    return 0


def parse(verb: str, config_class: type, argv: list[str]) -> Any:
    """Options of a verb -> its frozen config. Every option is one field of the dataclass.

    ``--config FILE.yaml`` holds one section a verb (``tag: {shard: 8}``), so that one file can
    describe a whole dataset; options given beside it win.

    Raises:
        UserError: the file is missing, not YAML, or has a section that is no verb.
        SystemExit: 2 for a wrong option, 0 after ``--help`` or ``--print_config``.
    """
    import jsonargparse
    import yaml

    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog=f"lrmovienet {verb}", description=VERBS[verb].help, print_config=None,
        exit_on_error=False,
    )  # fmt: skip
    parser.add_argument(
        "--config", action="config", help=f"YAML file; its section {verb!r} sets the options below"
    )
    parser.add_argument(
        "--print_config", action="store_true", help="print what would run, as such a file, and exit"
    )
    parser.add_class_arguments(config_class, as_group=False)
    types = get_type_hints(config_class)
    try:
        given = parser.parse_args(_normalise(argv, types, verb))
    except argparse.ArgumentError as error:
        what = said(str(error), types).rstrip(".")
        _fail(verb, f"{what}. `lrmovienet {verb} --help` lists the options.")
        parser.exit(2)
    if given.pop("print_config"):
        section = yaml.safe_load(parser.dump(given))
        # The parser leaves out options without a value; what would run has them all.
        section = {f.name: section.get(f.name) for f in fields(config_class)}
        text = yaml.safe_dump({verb: section}, sort_keys=False, allow_unicode=True)
        sys.stdout.write(text)
        parser.exit()
    return config_class(**{f.name: given[f.name] for f in fields(config_class)})


def _normalise(argv: list[str], types: dict[str, Any], verb: str) -> list[str]:
    """Options as jsonargparse has them.

    Dashes become underscores, a bare flag ``=true``, an option with a list is emptied and then
    appended to with every word that follows it, numbers become ``=[1, 2]``, and a config file
    becomes this verb's section, first, so that what is given beside it wins.
    """
    configs: list[str] = []
    result: list[str] = []
    left = list(argv)

    def append(name: str, value: str) -> None:
        if f"--{name}=[]" not in result:
            result.append(f"--{name}=[]")
        # Of words from a fixed set, several may be joined by commas; a name or path may have one.
        for word in value.split(",") if _of_words(types.get(name)) else [value]:
            result.append(f"--{name}+={word}")

    def following() -> list[str]:
        """Take the words up to the next option."""
        end = next((i for i, w in enumerate(left) if w.startswith("--")), len(left))
        taken = left[:end]
        del left[:end]
        return taken

    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            positional = VERBS[verb].words
            if positional and _is(list, types[positional]):
                append(positional, word)
            elif positional and not any(w.startswith(f"--{positional}=") for w in result):
                result.append(f"--{positional}={word}")
            else:
                result.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        hint = types.get(name)
        if name == "config":
            if not equals:
                if not left:
                    raise UserError("--config needs a file.")
                value = left.pop(0)
            configs.append(f"--config={_section(Path(value), verb)}")
        elif equals:
            if _is(list, hint) and not value.startswith("["):
                append(name, value)
            else:
                result.append(f"--{name}={value}")
        elif name == "print_config":
            result.append(word)
        elif hint is bool or bool in get_args(hint):
            result.append(f"--{name}={left.pop(0) if left[:1] in YES_NO else 'true'}")
        elif _is(list, hint) and (values := following()):
            for value in values:
                append(name, value)
        elif _is(tuple, hint) and (values := following()):
            numbers = ",".join(values)
            result.append(f"--{name}={numbers}" if "[" in numbers else f"--{name}=[{numbers}]")
        else:
            result.append(f"--{name}")
            result += [left.pop(0)] if left and not left[0].startswith("--") else []
    return configs + result


def _of_words(hint: Any) -> bool:
    """Whether a field's type is a list of words from a fixed set."""
    return _is(list, hint) and any(get_origin(part) is Literal for part in get_args(hint))


def _is(kind: type, hint: Any) -> bool:
    """Whether a field's type is a list (or a tuple), or may be one."""
    return get_origin(hint) is kind or any(get_origin(part) is kind for part in get_args(hint))


def _section(path: Path, verb: str) -> str:
    """One verb's part of a config file, as JSON (which is YAML)."""
    import json

    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such config file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable YAML file: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected one section a verb, such as `tag: {{shard: 8}}`.")
    unknown = [str(name) for name in content if name not in VERBS]
    if unknown:
        raise UserError(
            f"{path}: unknown section {', '.join(unknown)}; sections are verbs: {', '.join(VERBS)}."
        )
    section = content.get(verb) or {}
    if not isinstance(section, dict):
        raise UserError(
            f"{path}: section {verb!r} must hold options, such as `{verb}: {{seed: 0}}`."
        )
    try:
        return json.dumps(section, default=str)  # str: YAML has dates, no option has
    except (ValueError, RecursionError):
        raise UserError(f"{path}: section {verb!r} contains itself.") from None


def _no_verb(argv: list[str]) -> int:
    width = max(map(len, VERBS))
    listed = "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="lrmovienet",
        usage="lrmovienet VERB --workspace DIR [--config FILE.yaml] [options]",
        description="Films in, a label relevance ranking benchmark out.",
        epilog=f"verbs, in the order in which the data flows:\n{listed}\n\n"
        "`lrmovienet VERB --help` lists a verb's options; `--print_config` prints what would run.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lrmovienet {__version__}")
    if argv[:1] and argv[0] in GROUPS and argv[1:2] in (["-h"], ["--help"]):
        del argv[0]
    if argv and not argv[0].startswith("-"):
        import difflib

        second = argv[0] in GROUPS and not "".join(argv[1:2]).startswith("-")
        verb = " ".join(argv[: 1 + second])
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        verbs = [name for name in VERBS if argv[0] not in GROUPS or name.split()[0] == argv[0]]
        return _fail("", f"no verb {verb!r}.{hint} Verbs: {', '.join(verbs)}.")
    parser.parse_args(argv or ["--help"])
    return 2


def _what_to_install(error: ModuleNotFoundError) -> str:
    """A missing package -> the command that installs it; a missing module of ours is a bug."""
    name = (error.name or "").split(".")[0]
    if name in ("", "lrmovienet", "annotation", "baselines", "eval"):
        raise error
    how = "pip install -e '.[demo]'"
    if name in ("label_studio_sdk", "crowdkit", "markdown_it"):
        how = "pip install -e '.[annotate]'"
    if name in ("h5py", "huggingface_hub", "jinja2", "scipy"):
        how = "pip install -e '.[release]'"
    if name == "lightgbm":
        how = "pip install -e '.[train]'"
    if name == "tensorboard":
        how = "pip install -e '.[tensorboard]'"
    if name == "llama_cpp":
        how = (
            'CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF" pip install --no-cache-dir -e '
            "'.[llm]' (it compiles for some minutes; docs/candidates.md)"
        )
    return f"needs the package {name!r}, which is not installed. Install: {how}"


def _fail(verb: str, message: str) -> int:
    if not is_first():
        # Most failures are those of the first process too. Once it has said so, torchrun ends this.
        time.sleep(SILENCE_S)
    heading = f"lrmovienet {verb}: error: ".replace(" :", ":")
    sys.stderr.write(f"{heading}{printable(message)}\n")
    return 2


def entry() -> None:
    """The console script: leave quietly when the reader of our output has gone (``| head``)."""
    leave(main)
