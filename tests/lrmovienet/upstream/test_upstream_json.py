"""A JSON list item by item: any valid one as `json` reads it, any other one a message."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrmovienet.errors import UserError
from lrmovienet.upstream import read_json
from lrmovienet.upstream.read_json import items_of

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), max_size=5),
    st.sampled_from([None, 1, "\t"]), st.booleans(), st.integers(1, 9),
)  # fmt: skip
def test_any_list_of_objects_is_read_as_json_reads_it(tmp_path, items, indent, ascii_only, chunk):
    path = tmp_path / "x.json"
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    path.write_text(f" \n{text}\r\n ", encoding="utf-8", errors="surrogatepass")
    before = read_json.CHUNK
    read_json.CHUNK = chunk  # the window ends anywhere, also within a number or an escape
    try:
        if "surrogates" in _reason(text):
            with pytest.raises(UserError, match="not UTF-8"):
                list(items_of(path))
        else:
            assert list(items_of(path)) == json.loads(text)
    finally:
        read_json.CHUNK = before


def _reason(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with \\["),
        ('{"id": 1}', "begins with \\["),
        ("[", "item 0 is no object"),
        ("[1]", "item 0 is no object: it begins with '1'"),
        ('[{"a": 1}', "expected , or ] behind item 0, found ''"),
        ('[{"a": 1}, ', "item 1 is no object: it begins with ''"),
        ('[{"a": 1},]', "item 1 is no object: it begins with ']'"),
        ('[{"a": 1} {"b": 2}]', "behind item 0, found '{'"),
        ('[{"a": 1', "item 0 is no JSON"),
        ('[{"a" 1}]', "item 0 is no JSON"),
        ('[{"a": NaN}]', "NaN is no number"),
        ('[{"a": -Infinity}]', "Infinity is no number"),
        ("[{}] []", "behind the end"),
        ('[{"a": ' + "[" * 100_000, "nested too deeply"),
        ('[{"a": ' + '{"a":' * 100_000, "nested too deeply"),
        ('[{"a": ' + "9" * 5000 + "}]", "item 0: "),
        ('[{"a": "' + "x" * 5_000_000 + '"', "not readable within 4194304 characters"),
    ],
)
def test_any_other_file_is_a_message(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(
        UserError, match=message.replace("[", "\\[").replace("\\\\[", "\\[")
    ) as error:
        list(items_of(path))
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 500


def test_other_encodings_and_no_files(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf[{"a": "\xc3\xa9"}]')  # a byte order mark
    assert list(items_of(path)) == [{"a": "é"}]
    path.write_bytes(b'[{"a": "\xe9"}]')
    with pytest.raises(UserError, match="not UTF-8"):
        list(items_of(path))
    with pytest.raises(UserError, match="no such file"):
        list(items_of(tmp_path))


def test_items_before_a_mistake_are_given(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1}, {"a": 2}, oh')
    items = items_of(path)
    assert [next(items), next(items)] == [{"a": 1}, {"a": 2}]
    with pytest.raises(UserError, match="item 2 is no object"):
        next(items)
