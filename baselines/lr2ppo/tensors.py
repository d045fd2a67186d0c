"""A file of `torch.save` from elsewhere: its tensors by name, and nothing else of it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lrmovienet.errors import UserError, shorten

_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a flat dict, mapped into memory: they take none until they are used.

    No code of the file is run. Each tensor is an array of floating point numbers that lies in one
    piece in the file.

    Raises:
        UserError: there is no such file, it is damaged, or it holds anything else.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file. Give a checkpoint.")
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch names a dozen kinds of damage, and advises what is unsafe
        raise UserError(
            f"{path}: not a readable checkpoint ({type(error).__name__}): cut off, something else, "
            "from torch before 1.6, or one that would run code when it is loaded. Download it "
            "again from its authors."
        ) from None
    if not isinstance(found, dict) or not found:
        raise UserError(
            f"{path}: holds no dict of tensors. Give what torch.save wrote of a `state_dict()`."
        )
    for name, tensor in found.items():
        if not isinstance(name, str) or not _is_array(tensor):
            raise UserError(
                f"{path}: {shorten(name)} is no array of floating point numbers by a name. Give "
                "what torch.save wrote of a `state_dict()`."
            )
    if sum(tensor.nbytes for tensor in found.values()) > path.stat().st_size:
        raise UserError(
            f"{path}: its tensors are larger than the file, so that some are parts of others. Give "
            "what torch.save wrote of a `state_dict()`."
        )
    return found


def _is_array(value: Any) -> bool:
    return (
        type(value) in (Tensor, nn.Parameter)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and value.dtype in _TYPES
        and value.is_contiguous()
    )
