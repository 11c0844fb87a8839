"""Values come back exactly as they were given, whichever way they go: whatever is JSON is a row."""

import asyncio
import contextlib
import io
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.datasets import cutting, exporting, readers
from apps.datasets.positions import Gaps, Places, with_gaps

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(text, values, max_size=4)
many = st.lists(objects, max_size=6)
odd = [
    r'{"nul": "a\u0000b", "half": "\ud800", "pair": "\ud83d\ude00", "sep": "\u2028"}',
    '{"b": 1, "a": 2, "big": 123456789012345678901234567890, "exact": 0.1234567890123456789012345, "z": -0.0}',
    '{"e": 1E400, "same": 1, "same": 2}',
    '{"": {"": []}, "null": null, "deep": [[[[{"x": [null, {}]}]]]], "emoji": "🏔️", "rtl": "שלום"}',
]


def same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("prefix", ["/v1beta", "/v1"])
async def test_the_very_text_of_a_row_comes_back(api: httpx2.AsyncClient, prefix: str) -> None:
    rows = ",".join(odd)
    body = f'{{"dataset_id": "odd", "purpose": "eval/question-answer", "source": {{"type": "rows", "rows": [{rows}]}}}}'

    made = await api.post(f"{prefix}/datasets", content=body)
    assert made.status_code == 200, made.text
    added = await api.post(f"{prefix}/datasetio/append-rows/odd", content=f'{{"rows": [{rows}]}}')
    assert added.status_code == 200, added.text

    read = (await api.get(f"{prefix}/datasetio/iterrows/odd")).text
    assert read.startswith(f'{{"data":[{rows},{rows}],')
    assert rows in (await api.get(f"{prefix}/datasets/odd")).text


async def test_any_rows_survive_registering_appending_reading(api: httpx2.AsyncClient) -> None:
    loop = asyncio.get_running_loop()
    names = iter(range(10_000))

    async def there_and_back(first: Any, more: Any) -> Any:
        name = f"any-{next(names)}"
        source = {"type": "rows", "rows": [{"not": "fitting"}, *first]}
        body = {"purpose": "eval/question-answer", "dataset_id": name, "source": source}
        made = await api.post("/v1beta/datasets", content=json.dumps(body))
        assert made.status_code == 200, made.text
        added = await api.post(f"/v1beta/datasetio/append-rows/{name}", content=json.dumps({"rows": more}))
        assert added.status_code == 200, added.text
        return json.loads((await api.get(f"/v1beta/datasetio/iterrows/{name}?start_index=1")).text)["data"]

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(many, many)
    def check(first: Any, more: Any) -> None:
        got = asyncio.run_coroutine_threadsafe(there_and_back(first, more), loop).result(20)
        assert same(got, first + more)

    with ThreadPoolExecutor(1) as thread:  # the loop's own thread is the server's
        await loop.run_in_executor(thread, check)


@settings(max_examples=150, deadline=None)
@given(many)
def test_exported_json_lines_and_parquet_read_back_equal(rows: Any) -> None:
    texts = [json.dumps(row) for row in rows]
    for kind in ("jsonl", "json", "parquet"):
        file = io.BytesIO()
        exporting.write(file, kind, lambda: iter([texts[:2], texts[2:]]))
        file.seek(0)
        read = [line.value for line in readers.strictly(readers.read(file, kind))]
        assert [json.loads(json.dumps(row)) for row in read] == rows, kind


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["question", "answer", "c"]),
            st.text(st.characters(exclude_categories=["Cs", "Cc"])),
            min_size=1,
        ),
        max_size=5,
    )
)
def test_exported_csv_of_text_reads_back_equal(rows: Any) -> None:
    file = io.BytesIO()
    exporting.write(file, "csv", lambda: iter([[json.dumps(row) for row in rows]]))
    file.seek(0)
    read = [line.value for line in readers.strictly(readers.read(file, "csv"))]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    assert read == [{name: row.get(name, "") for name in columns} for row in rows]


@settings(max_examples=150, deadline=None)
@given(many, st.integers(1, 40), st.sampled_from([None, 1]))
def test_arrays_are_cut_wherever_the_parts_end(rows: Any, size: int, indent: int | None) -> None:
    whole = json.dumps(rows, indent=indent, ensure_ascii=False)
    parts = (whole[at : at + size] for at in range(0, len(whole), size))
    read = list(cutting.stream(parts, 1_000))
    assert same([value for _, value, _ in read], rows)
    heights = [json.dumps(row, indent=indent).count("\n") + 1 if indent else 0 for row in rows]
    first = 2 if indent else 1
    assert [line for line, _, _ in read] == [first + sum(heights[:at]) for at in range(len(rows))]


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("json", '[{"a": 1},\n\n{"a": \n}]', "The file is not JSON at line 4: Expecting value"),
        ("json", '[{"a": 1}\n{"a": 2}]', "The file is not JSON at line 2: expected ',' or ']'"),
        ("json", '[{"a": 1},\n{"a":', "The file is not JSON at line 2: Expecting value"),
        ("json", '[{"a": 1}\n', "The file is not JSON at line 2: the file ends before the array does"),
        ("json", "[\n" + "[" * 100_000, "The file is not JSON at line 2: nested deeper than 200 levels"),
        ("json", '[\n{"a": 1},\n2]', "Line 3: a row must be a JSON object"),
        ("jsonl", '{"a": 1}\n\n{"a": }', "Line 3: not a JSON object: Expecting value at column 7"),
        ("csv", 'a,b\n1,2\n"x\ny",4\n"5,6\n7,8\n', "The row that begins at line 5 opens a quote that is never closed."),
        ("csv", 'a,b\n1,2\n"x"y,4\n', "The row that begins at line 3 is not CSV: "),
    ],
)
def test_faults_are_told_by_the_line_of_the_file(kind: str, text: str, told: str) -> None:
    with pytest.raises(readers.Unreadable) as error:
        list(readers.strictly(readers.read(io.BytesIO(text.encode()), kind)))
    assert error.value.detail.startswith(told)


@settings(max_examples=200, deadline=None)
@given(many, st.sampled_from([None, 2]))
def test_bodies_are_cut_into_the_texts_of_their_rows(rows: Any, indent: int | None) -> None:
    body = json.dumps({"a": [1], "source": {"x": {}, "rows": rows, "y": "}"}, "b": None}, indent=indent).encode()
    cutter = cutting.Cutter(("source", "rows"))
    rest = cutter.read(body)
    assert rest == {"a": [1], "source": {"x": {}, "rows": [], "y": "}"}, "b": None}
    assert same([json.loads(one) for one in cutter.rows], rows)
    assert not any("\n" in one for one in cutter.rows)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_garbage_is_refused_by_name(body: bytes) -> None:
    from apps.core.errors import ConsoleError

    for kind in ("csv", "json", "jsonl"):
        with contextlib.suppress(ConsoleError):
            list(readers.read(io.BytesIO(body), kind))
    with contextlib.suppress(ConsoleError):
        cutting.Cutter(("rows",)).read(body)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 39)))
def test_rows_are_found_beside_gaps(count: int, deleted: list[int]) -> None:
    gaps = with_gaps([], set(deleted[: len(deleted) // 2]))
    gaps = with_gaps(gaps, set(deleted))
    left = [position for position in range(count) if position not in set(deleted)]
    places = Places(gaps)
    assert [places.position_of(at) for at in range(len(left))] == left
    assert [places.index_of(position) for position in left] == list(range(len(left)))
    for position in range(count + 5):  # those in a gap and behind the last row too
        assert places.index_of(position) == sum(1 for other in range(position) if other not in set(deleted))
    assert [start + at for start, length in gaps for at in range(length)] == sorted(set(deleted))
    assert all(one[0] + one[1] < two[0] for one, two in itertools.pairwise(gaps))


class Read(list[list[int]]):
    """Gaps that know how many of them were looked at."""

    looks = 0

    def __iter__(self) -> Iterator[list[int]]:
        for gap in super().__iter__():
            self.looks += 1
            yield gap


def test_many_rows_beside_many_gaps_are_found_without_a_walk_along_them_for_each() -> None:
    gaps: Gaps = Read([[2 * at, 1] for at in range(50_000)])

    places = Places(gaps)
    found = [places.index_of(places.position_of(index)) for index in range(50_000)]

    assert found == list(range(50_000)) and gaps.looks <= 3 * len(gaps)  # type: ignore[attr-defined]
