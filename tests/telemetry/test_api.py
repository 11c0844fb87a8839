"""The seven operations as clients see them, every answer held against the contract, under both prefixes."""

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from django.db import OperationalError
from pydantic_core import from_json

from apps.core import db
from apps.datasets.models import Dataset, Row
from apps.telemetry import query, trees
from apps.telemetry.metrics import points
from apps.telemetry.metrics.points import Point
from tests.spec.calls import Checked
from tests.telemetry import spans

Json = Any
GONE = "f" * 32
QA = {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": []}, "dataset_id": "kept"}


@pytest.fixture(params=["/v1alpha", "/v1"])
def calls(request: pytest.FixtureRequest, api: httpx2.AsyncClient) -> Checked:
    return Checked(api, f"{request.param}")


def at(prefix: Checked, path: str) -> str:
    return f"{prefix.prefix}/telemetry{path}"


def where(key: str, value: Any, op: str = "eq") -> Json:
    return {"key": key, "op": op, "value": value}


async def tree_of_five() -> list[Any]:
    """A root with two children, of which the one that came later began earlier; a grandchild; an orphan."""
    root = spans.record(name="root", attributes={"session_id": "s", "n": 1, "null": None, "deep": {"a": [1, None]}})
    of: dict[str, Any] = {"trace_id": root.trace_id}
    late = spans.record(**of, parent_span_id=root.span_id, name="late", at_ms=9, attributes={"n": 2, "x": "y"})
    early = spans.record(**of, parent_span_id=root.span_id, name="early", at_ms=3, status="error", attributes={"n": 3})
    deep = spans.record(**of, parent_span_id=late.span_id, name="deep", at_ms=2, end_ns=None, attributes={"n": 4})
    orphan = spans.record(**of, parent_span_id="00000000000000aa", name="orphan", at_ms=1, attributes={"n": 5})
    await db.write(spans.save, root, late, early, deep, orphan)
    return [root, late, early, deep, orphan]


async def test_traces_are_listed_and_read(calls: Checked) -> None:
    one = spans.record(attributes={"agent_name": "Ana"})
    going = spans.record(at_ms=5, end_ns=None, attributes={"agent_name": "Bo"})
    await db.write(spans.save, one, going)

    listed = await calls.post("/telemetry/traces", {})
    mine = await calls.post("/telemetry/traces", {"attribute_filters": [where("agent_name", "Ana")]})

    assert listed["data"] == [
        {"trace_id": going.trace_id, "root_span_id": going.span_id, "start_time": "2026-09-21T14:13:20.005000Z"},
        {
            "trace_id": one.trace_id, "root_span_id": one.span_id,
            "start_time": "2026-09-21T14:13:20.000000Z", "end_time": "2026-09-21T14:13:20.010000Z",
        },
    ]  # fmt: skip
    assert mine["data"] == listed["data"][1:]
    assert await calls.get(f"/telemetry/traces/{one.trace_id}") == listed["data"][1]
    assert (await calls.post("/telemetry/traces", {"limit": 1, "offset": 1}))["data"] == listed["data"][1:]
    assert (await calls.post("/telemetry/traces", {"limit": 0}))["data"] == []
    nulls = {"attribute_filters": None, "limit": None, "offset": None, "order_by": None}
    assert await calls.post("/telemetry/traces", nulls) == listed


async def test_a_hundred_traces_are_told_unless_more_are_asked_for(calls: Checked) -> None:
    await db.write(spans.save, *(spans.record(at_ms=number) for number in range(120)))

    assert len((await calls.post("/telemetry/traces", {}))["data"]) == 100
    assert len((await calls.post("/telemetry/traces", {"limit": 1000}))["data"]) == 120


async def test_a_trace_without_a_known_root_is_read_with_its_topmost_span(calls: Checked) -> None:
    top = spans.record(parent_span_id="00000000000000aa", at_ms=5)
    below = spans.record(trace_id=top.trace_id, parent_span_id=top.span_id, at_ms=1)
    await db.write(spans.save, top, below)

    assert (await calls.get(f"/telemetry/traces/{top.trace_id}"))["root_span_id"] == top.span_id
    assert (await calls.post("/telemetry/traces", {}))["data"] == []


async def test_a_span_is_read_with_all_it_holds(calls: Checked) -> None:
    root, late, *_ = await tree_of_five()

    read = await calls.get(f"/telemetry/traces/{root.trace_id}/spans/{root.span_id}")

    assert read["attributes"] == root.attributes
    assert "parent_span_id" not in read
    assert (await calls.get(f"/telemetry/traces/{root.trace_id}/spans/{late.span_id}"))[
        "parent_span_id"
    ] == root.span_id


async def test_what_does_not_exist_is_not_found(calls: Checked) -> None:
    root, *_ = await tree_of_five()
    other = spans.record()
    await db.write(spans.save, other)

    assert GONE in (await calls.get(f"/telemetry/traces/{GONE}", status=404))["detail"]
    await calls.get(f"/telemetry/traces/{root.trace_id}/spans/{GONE}", status=404)
    await calls.get(f"/telemetry/traces/{root.trace_id}/spans/{other.span_id}", status=404)
    await calls.post(f"/telemetry/spans/{GONE}/tree", {}, status=404)
    body = {"attribute_filters": [], "attributes_to_save": [], "dataset_id": "nobody"}
    await calls.post("/telemetry/spans/export", body, status=404)


@pytest.mark.parametrize("path", ["/traces/a/b:c::d", "/traces/a/b/spans/c/d",
                                  "/traces/" + "x" * 5000, "/traces/'; DROP TABLE--"])  # fmt: skip
async def test_ids_in_paths_may_hold_anything(calls: Checked, path: str) -> None:
    response = await calls.api.get(at(calls, path))

    assert response.status_code == 404
    assert response.json()["detail"].startswith("Span" if "/spans/" in path else "Trace")
    assert len(response.json()["detail"]) < 300


async def test_spans_come_by_trace_then_depth_then_start(calls: Checked) -> None:
    root, late, early, deep, _ = await tree_of_five()
    older = spans.record(at_ms=-50, attributes={"n": 0})
    await db.write(spans.save, older)
    asked = {"attribute_filters": [], "attributes_to_return": []}

    everything = (await calls.post("/telemetry/spans", asked))["data"]
    shallow = (await calls.post("/telemetry/spans", {**asked, "max_depth": 2}))["data"]

    names = [one["span_id"] for one in everything]
    assert names == [one.span_id for one in (older, root, early, late, deep)]
    assert everything[1]["attributes"] == root.attributes
    assert everything[1]["trace_id"] == root.trace_id
    assert "status" not in everything[2]
    assert shallow == everything[:4]
    for depth in (0, 1):
        assert (await calls.post("/telemetry/spans", {**asked, "max_depth": depth}))["data"] == everything[:2]


async def test_spans_have_every_attribute_asked_for_and_no_other(calls: Checked) -> None:
    await tree_of_five()

    async def told(*keys: str, **more: Any) -> list[Json]:
        body = {"attribute_filters": [where("n", 4)], "attributes_to_return": keys, **more}
        return [one["attributes"] for one in (await calls.post("/telemetry/spans", body))["data"]]

    assert await told("n") == [{"n": 1}, {"n": 3}, {"n": 2}, {"n": 4}]
    assert await told("n", "x") == [{"n": 2, "x": "y"}]
    assert await told("x", "x") == [{"x": "y"}]
    assert await told("session_id", "deep") == [{"session_id": "s", "deep": {"a": [1, None]}}]
    assert await told("null") == await told("nobody") == await told("name") == []
    assert await told("n", attribute_filters=[where("n", 6)]) == []


async def test_many_spans_of_many_traces_come_whole(calls: Checked) -> None:
    made = [spans.record(at_ms=number, attributes={"n": number, "text": "x" * 500}) for number in range(700)]
    await db.write(spans.save, *made)

    body = {"attribute_filters": [where("n", 9, "gt")], "attributes_to_return": ["n"]}
    found = (await calls.post("/telemetry/spans", body))["data"]
    response = await calls.api.post(at(calls, "/spans"), json={**body, "attributes_to_return": []})

    assert [one["attributes"]["n"] for one in found] == list(range(10, 700))
    assert "content-length" not in response.headers  # streamed
    assert len(response.json()["data"]) == 690


async def test_a_tree_is_a_mapping_in_order_of_depth_then_start(calls: Checked) -> None:
    root, late, early, deep, orphan = await tree_of_five()

    tree = (await calls.post(f"/telemetry/spans/{root.span_id}/tree", {}))["data"]
    below = (await calls.post(f"/telemetry/spans/{late.span_id}/tree", {"attributes_to_return": ["x", "no"]}))["data"]
    alone = (await calls.post(f"/telemetry/spans/{root.span_id}/tree", {"max_depth": 1}))["data"]

    assert list(tree) == [one.span_id for one in (root, early, late, deep)]
    assert [one.get("status") for one in tree.values()] == ["ok", "error", "ok", None]
    assert "end_time" not in tree[deep.span_id]
    assert tree[root.span_id]["attributes"] == root.attributes
    assert {span_id: one["attributes"] for span_id, one in below.items()} == {
        late.span_id: {"x": "y"},
        deep.span_id: {},
    }
    assert list(alone) == [root.span_id]
    # Its parent never came.
    assert list((await calls.post(f"/telemetry/spans/{orphan.span_id}/tree", {}))["data"]) == [orphan.span_id]


async def test_a_span_id_of_two_traces_is_the_newer_and_a_circle_ends(calls: Checked) -> None:
    old = spans.record(span_id="00000000000000ab")
    one = spans.record(span_id="00000000000000ab", parent_span_id="00000000000000cd", at_ms=5)
    other = spans.record(trace_id=one.trace_id, span_id="00000000000000cd", parent_span_id=one.span_id, at_ms=6)
    await db.write(spans.save, old, one, other)

    tree = (await calls.post("/telemetry/spans/00000000000000ab/tree", {}))["data"]

    assert list(tree) == [one.span_id, other.span_id]
    assert {span["trace_id"] for span in tree.values()} == {one.trace_id}


async def test_spans_become_rows_that_lead_back_to_them(calls: Checked, api: httpx2.AsyncClient) -> None:
    root, late, early, deep, _ = await tree_of_five()
    assert (await api.post("/v1beta/datasets", json=QA)).status_code == 200
    body = {"attribute_filters": [where("session_id", "s")], "attributes_to_save": ["n"], "dataset_id": "kept"}

    assert await calls.post("/telemetry/spans/export", body) is None
    assert await calls.post("/telemetry/spans/export", {**body, "max_depth": 1}) is None
    assert await calls.post("/telemetry/spans/export", {**body, "attribute_filters": [where("n", 9)]}) is None

    rows = (await api.get("/v1beta/datasetio/iterrows/kept")).json()["data"]
    assert [row["span_id"] for row in rows] == [one.span_id for one in (root, early, late, deep, root)]
    assert rows[1] == {
        "trace_id": root.trace_id, "span_id": early.span_id, "parent_span_id": root.span_id, "name": "early",
        "start_time": "2026-09-21T14:13:20.003000Z", "end_time": "2026-09-21T14:13:20.013000Z", "n": 3,
    }  # fmt: skip
    assert rows[3]["end_time"] is None
    origins = await db.read(lambda: list(Row.objects.order_by("position").values_list("origin", flat=True)))
    assert origins[2] == {"kind": "span", "trace_id": root.trace_id, "span_id": late.span_id, "span_name": "late"}
    assert "eval/question-answer needs" in (await db.read(Dataset.objects.named, "kept")).warning


async def test_the_warning_of_an_export_names_the_first_of_its_rows(calls: Checked, api: httpx2.AsyncClient) -> None:
    await api.post("/v1beta/datasets", json=QA)
    fits = {"question": "a", "answer": "b"}
    assert (await api.post("/v1beta/datasetio/append-rows/kept", json={"rows": [fits, fits]})).is_success
    await db.write(spans.save, spans.record(attributes={"k": "x"}))
    asked = {"attribute_filters": [], "attributes_to_save": ["k"], "dataset_id": "kept"}

    await calls.post("/telemetry/spans/export", asked)

    assert (await db.read(Dataset.objects.named, "kept")).warning.startswith("Row 3: ")


async def test_an_export_that_fails_leaves_nothing(calls: Checked, api: httpx2.AsyncClient, settings: Any) -> None:
    await api.post("/v1beta/datasets", json=QA)
    await db.write(spans.save, spans.record(attributes={"k": "x"}), spans.record(at_ms=1, attributes={"k": "x" * 900}))
    settings.DATASET_MAX_ROW_BYTES = 500
    body = {"attribute_filters": [], "attributes_to_save": ["k"], "dataset_id": "kept"}

    assert "save fewer attributes" in (await calls.post("/telemetry/spans/export", body, status=413))["detail"]
    taken = await calls.post("/telemetry/spans/export", {**body, "attributes_to_save": ["name"]}, status=400)

    assert "'name'" in taken["detail"]
    assert await db.read(Row.objects.count) == 0


async def test_metrics_are_told_in_series(calls: Checked) -> None:
    told = [Point("gpu/used.bytes", {"host": host}, "By", 1000 + number, number) for number, host in enumerate("aab")]
    await db.write(points.save, told)

    body = {"start_time": 1000, "end_time": 1002, "query_type": "range"}
    series = (await calls.api.post(at(calls, "/metrics/gpu/used.bytes"), json=body)).json()["data"]
    old = await calls.post("/telemetry/metrics/nobody", {"start_time": 0})  # without query_type, as older clients do

    assert [(one["labels"], len(one["values"])) for one in series] == [
        ([{"name": "host", "value": "a"}], 2), ([{"name": "host", "value": "b"}], 1),
    ]  # fmt: skip
    assert old["data"] == []


DEEP: Json = []
for _ in range(150):
    DEEP = [DEEP]
BAD_TRACES = [
    ({"limit": -1}, "limit"), ({"limit": 1001}, "1000"), ({"offset": -1}, "offset"), ({"limit": "many"}, "limit"),
    ({"offset": 10**30}, "offset"), ({"order_by": ["name"]}, "order_by: unknown field 'name'"),
    ({"order_by": ["--start_time"]}, "order_by"), ({"order_by": ["start_time; DROP TABLE x"]}, "order_by"),
    ({"order_by": ["start_time"] * 10_000}, "order_by"), ({"order_by": ["x" * 100_000]}, "order_by"),
    ({"attribute_filter": []}, "did you mean 'attribute_filters'"),
    ({"attribute_filters": [{"key": "a", "op": "like", "value": 1}]}, "attribute_filters.0.op"),
    ({"attribute_filters": [{"key": "a", "op": "eq"}]}, "attribute_filters.0.value"),
    ({"attribute_filters": [where("a", None, "gt")]}, "attribute_filters.0.value"),
    ({"attribute_filters": [where("a", DEEP, "lt")]}, "attribute_filters.0.value"),
    ({"attribute_filters": [where("a", 10**400)]}, "out of range"),
    ({"attribute_filters": [where("k" * 256, 1)]}, "attribute_filters.0.key"),
    ({"attribute_filters": [where("a", 1)] * 10_000}, "attribute_filters"),
    ({"attribute_filters": {"key": "a"}}, "attribute_filters"), ([], "body"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "named"), BAD_TRACES)
async def test_a_wrong_question_is_refused_by_name(calls: Checked, body: Json, named: str) -> None:
    refused = await calls.post("/telemetry/traces", body, status=400)

    assert named in refused["detail"]
    assert len(refused["detail"]) < 500


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/spans", {"attribute_filters": []}, "attributes_to_return"),
        ("/spans", {"attributes_to_return": []}, "attribute_filters"),
        ("/spans", {"attribute_filters": [], "attributes_to_return": ["a"] * 501}, "attributes_to_return"),
        ("/spans", {"attribute_filters": [], "attributes_to_return": [], "max_depth": -1}, "max_depth"),
        ("/spans", {"attribute_filters": [where("a", [1], "gt")], "attributes_to_return": []}, "value"),
        ("/spans/aa/tree", {"max_depth": -2}, "max_depth"),
        ("/spans/aa/tree", {"attributes_to_return": [1]}, "attributes_to_return"),
        ("/spans/export", {"attribute_filters": [], "attributes_to_save": []}, "dataset_id"),
        ("/metrics/tokens", {}, "start_time"),
        ("/metrics/tokens", {"start_time": 0, "query_type": "last"}, "query_type"),
        ("/metrics/tokens", {"start_time": 10**30}, "start_time"),
        ("/metrics/tokens", {"start_time": 0, "label_matchers": [{"name": "a"}]}, "value"),
        ("/metrics/tokens", {"start_time": 0, "label_matchers": [{"name": "a", "value": "x" * 1001}]}, "value"),
    ],
)
async def test_wrong_bodies_of_the_other_operations_are_refused(
    calls: Checked, path: str, body: Json, named: str
) -> None:
    assert named in (await calls.post(f"/telemetry{path}", body, status=400))["detail"]


async def test_fifty_conditions_with_names_like_sql_find_the_one_span(calls: Checked) -> None:
    hostile = {f"k{number}'\" OR 1=1; -- %s {{}} \\ :{number}": number for number in range(49)} | {"__ttl__": 5}
    one = spans.record(attributes=hostile)
    await db.write(spans.save, one, spans.record(at_ms=1, attributes={**hostile, "__ttl__": 6}))

    body = {"attribute_filters": [where(key, value) for key, value in hostile.items()], "attributes_to_return": []}
    found = (await calls.post("/telemetry/spans", body))["data"]

    assert [span["span_id"] for span in found] == [one.span_id]
    assert found[0]["attributes"] == hostile


async def test_values_come_back_as_they_were_sent(calls: Checked) -> None:
    sent = {
        "big": 12345678901234567890,
        "float": 1.0,
        "text": 'ü\n"</script>\u2028',
        "list": [True, None, {"a": 1}],
        "": 1,
    }
    one = spans.record(attributes=sent, name='"quoted"')
    await db.write(spans.save, one)

    raw = await calls.api.get(at(calls, f"/traces/{one.trace_id}/spans/{one.span_id}"))
    asked = await calls.post(f"/telemetry/spans/{one.span_id}/tree", {"attributes_to_return": ["big", "text"]})

    assert from_json(raw.content)["attributes"] == sent
    assert re.search(rb'"float":1.0\b', raw.content)
    assert asked["data"][one.span_id]["attributes"] == {"big": sent["big"], "text": sent["text"]}
    assert asked["data"][one.span_id]["name"] == '"quoted"'


async def test_a_viewer_reads_and_does_not_export_and_a_stranger_does_nothing(
    client_for: Callable[..., httpx2.AsyncClient],
) -> None:
    root, *_ = await tree_of_five()
    export = ("/telemetry/spans/export", {"attribute_filters": [], "attributes_to_save": [], "dataset_id": "x"})
    reads: list[tuple[str, Json]] = [
        ("/telemetry/traces", {}),
        ("/telemetry/spans", {"attribute_filters": [], "attributes_to_return": []}),
        (f"/telemetry/spans/{root.span_id}/tree", {}),
        ("/telemetry/metrics/total_tokens", {"start_time": 0}),
    ]

    for path, body in reads:
        await Checked(client_for("viewer")).post(path, body)
        await Checked(client_for("")).post(path, body, status=401)
    await Checked(client_for("")).get(f"/telemetry/traces/{root.trace_id}", status=401)
    await Checked(client_for("viewer")).post(*export, status=403)


@pytest.mark.parametrize("path", ["/telemetry/spans", "/telemetry/spans/{span_id}/tree"])
async def test_a_database_that_went_away_is_asked_again(
    calls: Checked, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [root, *_] = await tree_of_five()
    fetch, failures = query.fetch, [OperationalError("the server went away")]

    def fetched(select: Any) -> Any:
        if failures:
            raise failures.pop()
        return fetch(select)

    monkeypatch.setattr(query, "fetch", fetched)
    monkeypatch.setattr(trees, "fetch", fetched)
    body = {"attribute_filters": [], "attributes_to_return": []} if path.endswith("spans") else {}

    found = await calls.post(path.format(span_id=root.span_id), body)

    assert len(found["data"]) == 4 and not failures
