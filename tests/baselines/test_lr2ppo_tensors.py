"""Files of torch.save: plain arrays are read, and nothing else, whoever wrote the file."""

import pickle
from collections import OrderedDict

import pytest
import torch

from baselines.lr2ppo.tensors import read_tensors
from lrmovienet.errors import UserError


def save(path, found):
    torch.save(found, path)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "finetuned_model.bin"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_arrays_come_back_as_they_were(path, dtype):
    given = OrderedDict(a=torch.randn(3, 4, dtype=dtype), b=torch.nn.Parameter(torch.zeros(2)))
    found = read_tensors(save(path, given))
    assert list(found) == ["a", "b"]
    assert all(torch.equal(found[name], given[name]) for name in given)
    assert found["a"].dtype == dtype


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(1).expand(10**6, 10**6),  # 4 TB, of four bytes
        torch.ones(16, 16).T,
        torch.ones(16, 16)[:, ::2],
        torch.ones(16, 16, dtype=torch.int64),
        torch.ones(16, 16, dtype=torch.complex64),
        torch.eye(16).to_sparse(),
        torch.ones(16, 16, device="meta"),
        "a text",
        3.0,
        None,
        {"head.bias": torch.ones(1)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_array_is_refused(path, tensor):
    weights = {"text_proj.fc1.weight": torch.ones(2, 3), "head.bias": tensor}
    with pytest.raises(UserError, match=r"'head\.bias' is no array"):
        read_tensors(save(path, weights))


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_a_sparse_matrix_by_rows_is_refused(path):
    """It cannot even be asked whether it lies in one piece."""
    save(path, {"head.weight": torch.eye(16).to_sparse_csr()})
    with pytest.raises(UserError, match=r"'head\.weight' is no array"):
        read_tensors(path)


def test_tensors_that_are_parts_of_others_are_refused(path):
    """Each lies in one piece, but a thousand of them can be one."""
    large = torch.zeros(4096)
    save(path, {f"t{i}": large for i in range(1000)})
    with pytest.raises(UserError, match="larger than the file"):
        read_tensors(path)


@pytest.mark.parametrize(
    "content",
    [{}, [], torch.ones(3), {1: torch.ones(3)}, 5],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_dict_of_tensors_is_refused(path, content):
    with pytest.raises(UserError, match=r"finetuned_model\.bin: .*Give what torch\.save wrote"):
        read_tensors(save(path, content))


def test_a_file_cut_off_or_of_another_kind_is_refused(path, tmp_path):
    whole = save(path, {"head.bias": torch.ones(1000)}).read_bytes()
    for data in (b"", b"PK", b"no checkpoint", whole[:-1], whole[: len(whole) // 2], whole[100:]):
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"not a readable checkpoint.*Download"):
            read_tensors(path)
    for place in (tmp_path / "none.bin", tmp_path):
        with pytest.raises(UserError, match="no such file"):
            read_tensors(place)


def test_code_in_a_file_is_not_run(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    save(path, {"head.bias": Trap()})
    with pytest.raises(UserError, match="would run code") as raised:
        read_tensors(path)
    assert "weights_only" not in str(raised.value)  # which torch advises to switch off
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match="would run code"):
        read_tensors(path)
    assert not (tmp_path / "sprung").exists()
