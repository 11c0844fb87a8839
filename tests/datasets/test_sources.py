"""Rows from every source, and what must not be one."""

import base64
import io
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from apps.core import db
from apps.datasets.models import Dataset, Row
from apps.datasets.parquet import write
from tests.spec.calls import Checked

QA = [{"question": "What?", "answer": "This"}, {"question": "Why?", "answer": "Because"}]
CSV = "question,answer\nWhat?,This\nWhy?,Because\n"
JSONL = '{"question": "What?", "answer": "This"}\n\n{"question": "Why?", "answer": "Because"}'
ARRAY = f"[{','.join(filter(None, JSONL.splitlines()))}]"


def of_uri(uri: str, **fields: Any) -> dict[str, Any]:
    return {
        "purpose": "eval/question-answer", "source": {"type": "uri", "uri": uri}, "dataset_id": "there", **fields,
    }  # fmt: skip


def coded(mime: str, text: str | bytes) -> str:
    body = text.encode() if isinstance(text, str) else text
    return f"data:{mime};base64,{base64.b64encode(body).decode()}"


async def rows_of(calls: Checked, uri: str) -> Any:
    await calls.post("/datasets", of_uri(uri))
    return (await calls.get("/datasetio/iterrows/there"))["data"]


@pytest.mark.parametrize(
    "uri",
    [
        coded("text/csv", CSV), coded("csv", CSV),
        coded("text/csv;charset=utf-8", "\ufeff" + CSV.replace("\n", "\r\n")),
        coded("text/csv", CSV.replace("\n", "\r")), coded("text/csv", CSV.replace(",", ";")),
        coded("text/csv", CSV.encode("utf-16")), "data:text/csv," + urllib.parse.quote(CSV),
        coded("application/json", ARRAY), coded("application/jsonl", JSONL), coded("application/x-ndjson", JSONL),
        coded("application/json", JSONL), "data:application/jsonl," + urllib.parse.quote(JSONL),
        coded("application/json", f"\n [\n{ARRAY[1:-1]} \n]\n"),
    ],
)  # fmt: skip
async def test_rows_in_the_address(beta: Checked, uri: str) -> None:
    assert await rows_of(beta, uri) == QA


async def test_a_source_in_the_address_is_told_as_given(calls: Checked) -> None:
    made = await calls.post("/datasets", of_uri(coded("csv", CSV)))

    assert made["source"] == {"type": "uri", "uri": coded("csv", CSV)}
    assert await calls.post("/datasets", of_uri(coded("csv", CSV))) == made
    await calls.post("/datasets", of_uri(coded("csv", CSV + "x,y")), status=409)
    await calls.post("/datasetio/append-rows/there", {"rows": QA})
    assert (await calls.get("/datasetio/iterrows/there"))["data"] == QA * 2


async def test_latin_text_is_read_when_it_says_so(beta: Checked) -> None:
    uri = coded("text/csv;charset=iso-8859-1", "question,answer\nWarum?,Größe\n".encode("latin-1"))
    assert await rows_of(beta, uri) == [{"question": "Warum?", "answer": "Größe"}]


async def test_cells_that_are_missing_stay_missing_and_text_stays_text(beta: Checked) -> None:
    rows = await rows_of(beta, coded("csv", 'question,answer,n\nonly\n"a\nb",,007\n'))
    assert rows == [{"question": "only"}, {"question": "a\nb", "answer": "", "n": "007"}]


async def test_what_is_no_number_becomes_null_in_files(beta: Checked) -> None:
    rows = await rows_of(
        beta, coded("application/json", '[{"a": NaN, "b": [-Infinity, 1.50, 12345678901234567890123]}]')
    )
    assert rows == [{"a": None, "b": [None, 1.5, 12345678901234567890123]}]


async def test_parquet(beta: Checked, tmp_path: Path) -> None:
    file = io.BytesIO()
    write(file, {"question": "text", "answer": "text", "n": "whole"}, [[{**row, "n": 1} for row in QA]])
    rows = await rows_of(beta, coded("application/vnd.apache.parquet", file.getvalue()))
    assert rows == [{**row, "n": 1} for row in QA]


BAD = {
    "text/csv": ["question,answer\nWhat?,\"open\n", "a,a\n1,2", "a,b\n1,2,3", b"a,b\n\xff\xfe\xfa,2", "a,b\n1,\0",
                 b"a\n\x80"],
    "application/json": ["", "[", "[1]", '{"a": 1', "[{}", "[{},]", "[{} {}]", "nonsense", '"x"', "[" * 100_000,
                         b'[{"a": "\xff"}]', '[{"a": "\x01"}]', "[{}]trailing"],
    "application/jsonl": ["[1]", "{", '{"a": 1}\nnot json', '{"a":' + "[" * 5_000, b"\x00\x01", '{"a": 1} {"b": 2}'],
    "application/vnd.apache.parquet": ["PAR1 not really", b"PAR1" + b"\0" * 64 + b"PAR1"],
}  # fmt: skip


@pytest.mark.parametrize(("mime", "body"), [(mime, body) for mime, bodies in BAD.items() for body in bodies])
async def test_broken_files_are_refused_and_leave_nothing(beta: Checked, mime: str, body: Any) -> None:
    error = await beta.post("/datasets", of_uri(coded(mime, body)), status=400)

    assert error["detail"]
    assert await db.read(Row.objects.count) == 0
    assert await db.read(Dataset.objects.count) == 0


@pytest.mark.parametrize(
    "uri",
    [
        "/etc/passwd", "file:///etc/passwd", "rows.csv", "", "ftp://host/x.csv", "data:", "data:text/plain,x",
        "data:text/csv;base64,%%%", "s3://bucket/x.csv", "gopher://x", "lsfs://../secret_key", "lsfs:///etc/passwd",
        "lsfs://nothing.csv", "lsfs://", "lsfs://a/../../x.csv", "lsfs://..\\x.csv", "lsfs://x\0.csv",
        "huggingface://", "huggingface://a/b/c/d", "huggingface://../x", "http://", "http:///x.csv", "javascript:1",
        "LSFS://../x.csv", "\tfile:///etc/passwd", "http://[", "http://127.0.0.1:1/x.csv", "http://0x7f.1/x.csv",
        "http://[::ffff:10.0.0.1]/x.csv", "http://169.254.169.254/latest", "http://user@localhost/x.csv",
        "https://2130706433/x.csv",
    ],
)  # fmt: skip
async def test_what_is_no_source(beta: Checked, uri: str) -> None:
    response = await beta.api.post("/v1beta/datasets", json=of_uri(uri))

    assert response.status_code in (400, 502), response.text
    assert "root:" not in response.text
    assert await db.read(Dataset.objects.count) == 0


async def test_files_of_the_data_folder(beta: Checked, settings: Any, tmp_path: Path) -> None:
    settings.DATASET_FILES_DIR = str(tmp_path / "files")
    folder = tmp_path / "files" / "sub"
    folder.mkdir(parents=True)
    (folder / "qa.csv").write_text(CSV)
    (tmp_path / "outside.csv").write_text(CSV)
    (folder / "link.csv").symlink_to(tmp_path / "outside.csv")

    assert await rows_of(beta, "lsfs://sub/qa.csv") == QA
    for uri in ("lsfs://sub/link.csv", "lsfs://sub/../../outside.csv", "lsfs://sub", "lsfs://outside.csv"):
        error = await beta.post("/datasets", of_uri(uri, dataset_id="x"), status=400)
        assert str(tmp_path) not in error["detail"]


@pytest.mark.parametrize("page", ["typed", "plain.jsonl", "qa.json"])
async def test_rows_from_the_web(beta: Checked, site: str, page: str) -> None:
    assert await rows_of(beta, f"{site}/{page}") == QA


async def test_what_was_read_is_remembered(beta: Checked, site: str) -> None:
    await rows_of(beta, f"{site}/qa.csv")
    dataset = await db.read(Dataset.objects.get)
    assert dataset.read_from["size"] > 40
    assert len(dataset.read_from["sha256"]) == 64


@pytest.mark.parametrize(("page", "words"), [("page", "text/html"), ("gone.csv", "404"), ("inside", "private address")])
async def test_pages_that_are_no_rows(beta: Checked, site: str, page: str, words: str) -> None:
    error = await beta.post("/datasets", of_uri(f"{site}/{page}"), status=400)
    assert words in error["detail"]


async def test_hugging_face_out_of_reach_is_said(calls: Checked, settings: Any) -> None:
    settings.HUGGINGFACE_URL = "http://hub.invalid"
    error = await calls.post("/datasets", of_uri("huggingface://datasets/owner/name?split=train"), status=502)
    assert "Hugging Face cannot be reached" in error["detail"]
    assert await db.read(Dataset.objects.count) == 0


async def test_a_split_the_hub_lacks(beta: Checked, site: str, settings: Any) -> None:
    settings.HUGGINGFACE_URL = site
    error = await beta.post("/datasets", of_uri("huggingface://owner/name?split=dev"), status=400)
    assert "It has: train, test" in error["detail"]


async def test_a_row_over_the_limit(beta: Checked, settings: Any) -> None:
    settings.DATASET_MAX_ROW_BYTES = 100_000
    big = {"question": "x" * 200_000, "answer": ""}
    source = {"type": "rows", "rows": [QA[0], big]}

    error = await beta.post("/datasets", of_uri("") | {"source": source}, status=413)
    assert "rows.1" in error["detail"]
    for mime, text in (("csv", f"question,answer\na,{'x' * 200_000}"), ("jsonl", '{"a": "' + "x" * 900_000 + '"}')):
        response = await beta.api.post("/v1beta/datasets", json=of_uri(coded(mime, text)))
        assert response.status_code in (400, 413), response.text
        assert "100,000" in response.json()["detail"] or "limit" in response.json()["detail"]
    assert await db.read(Dataset.objects.count) == 0


@pytest.mark.parametrize("depth", [150, 190])
async def test_deep_rows_are_kept(beta: Checked, depth: int) -> None:
    deep = '{"question": "q", "answer": ' + "[" * depth + "]" * depth + "}"
    body = '{"purpose": "eval/question-answer", "dataset_id": "d", "source": {"type": "rows", "rows": [' + deep + "]}}"
    assert (await beta.api.post("/v1beta/datasets", content=body)).status_code == 200
    assert deep in (await beta.api.get("/v1beta/datasetio/iterrows/d")).text


@pytest.mark.parametrize("depth", [250, 990, 100_000])
async def test_rows_too_deep_are_refused(beta: Checked, depth: int) -> None:
    deep = '{"question": "q", "answer": ' + "[" * depth + "]" * depth + "}"
    body = '{"purpose": "eval/question-answer", "dataset_id": "d", "source": {"type": "rows", "rows": [' + deep + "]}}"
    response = await beta.api.post("/v1beta/datasets", content=body)
    assert response.status_code == 400
    assert "deeper than 200" in response.json()["detail"]
