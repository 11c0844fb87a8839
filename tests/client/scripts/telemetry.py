"""Every telemetry call of the published client on the trace of a real turn, in a process with one version of it."""

import os
import sys
import time

from llama_stack_client import (
    BadRequestError,
    LlamaStackClient,
    NotFoundError,
    PermissionDeniedError,
    __version__,
)

client = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], timeout=60)
reader = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["VIEWER_KEY"], timeout=60)
agents = client.alpha.agents if __version__.startswith("0.3") else client.agents
telemetry = reader.telemetry
began = int(time.time()) - 5


def refused(kind: type[Exception], call, *given, **arguments) -> str:
    try:
        call(*given, **arguments)
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def where(key: str, value, op: str = "eq") -> list:
    return [{"key": key, "op": op, "value": value}]


def a_turn() -> str:
    config = {"model": os.environ["MODEL"], "instructions": "Be brief.", "name": "Traced"}
    agent_id = agents.create(agent_config=config).agent_id
    session_id = agents.session.create(agent_id, session_name="Traced").session_id
    asked = [{"role": "user", "content": "Hello"}]
    for _ in agents.turn.create(session_id, agent_id=agent_id, messages=asked, stream=True):
        pass
    return session_id


def soon(ask):
    """Spans are stored within a second of their end."""
    until = time.monotonic() + 10
    while True:
        found = ask()
        if found or time.monotonic() > until:
            assert found
            return found
        time.sleep(0.1)


session_id = a_turn()
filters = where("session_id", session_id)
trace = soon(lambda: [one for one in telemetry.query_traces(attribute_filters=filters) if one.end_time])[0]
assert telemetry.query_traces(attribute_filters=filters, limit=5, order_by=["-start_time"])[0] == trace
assert telemetry.query_traces(attribute_filters=filters, limit=5, offset=1) == []
assert telemetry.get_trace(trace.trace_id) == trace
root = telemetry.get_span(trace.root_span_id, trace_id=trace.trace_id)
assert (root.name, root.attributes["session_id"]) == ("create_agent_turn", session_id), root
assert root.start_time == trace.start_time

tree = telemetry.get_span_tree(trace.root_span_id)
assert next(iter(tree)) == trace.root_span_id
assert {one.name for one in tree.values()} >= {"create_agent_turn", "inference"}, tree
assert {one.status for one in tree.values()} == {"ok"}
assert len(telemetry.get_span_tree(trace.root_span_id, max_depth=1)) == 1
asked = telemetry.get_span_tree(trace.root_span_id, attributes_to_return=["stop_reason"])
assert {key for one in asked.values() for key in one.attributes} == {"stop_reason"}

found = telemetry.query_spans(attribute_filters=filters, attributes_to_return=["output", "stop_reason"])
assert [one.name for one in found] == ["inference"], found
assert len(telemetry.query_spans(attribute_filters=filters, attributes_to_return=[])) == len(tree)
assert telemetry.query_spans(attribute_filters=where("session_id", "no"), attributes_to_return=[]) == []

dataset = f"spans/{__version__}"
purpose, source = "eval/question-answer", {"type": "rows", "rows": []}
datasets = getattr(client, "datasets", None) or client.beta.datasets
datasets.register(purpose=purpose, source=source, dataset_id=dataset)
export = {"attribute_filters": filters, "attributes_to_save": ["input", "output"], "dataset_id": dataset}
assert client.telemetry.save_spans_to_dataset(**export) is None
rows = (datasets if hasattr(datasets, "iterrows") else client.datasetio).iterrows(dataset).data
assert [(row["trace_id"], row["name"]) for row in rows] == [(trace.trace_id, "inference")], rows
datasets.unregister(dataset)


def metrics_raw(name: str, **body):
    """The oldest of the three has no call for it."""
    return reader.post(f"/v1/telemetry/metrics/{name}", body=body, cast_to=object)["data"]


metrics = getattr(telemetry, "query_metrics", metrics_raw)
series = soon(lambda: metrics("total_tokens", query_type="instant", start_time=began))
point = series[0]["values"][0] if isinstance(series[0], dict) else series[0].values[0].model_dump()
assert (point["unit"], point["value"] > 0) == ("tokens", True), point
refused(BadRequestError, metrics, "total_tokens", query_type="range", start_time=began, granularity="soon")

assert "order_by" in refused(BadRequestError, telemetry.query_traces, order_by=["age"])
refused(BadRequestError, telemetry.query_traces, attribute_filters=where("a", None, "gt"))
refused(NotFoundError, telemetry.get_trace, "f" * 32)
refused(NotFoundError, telemetry.get_span, "f" * 16, trace_id=trace.trace_id)
refused(NotFoundError, telemetry.get_span_tree, "f" * 16)
refused(NotFoundError, client.telemetry.save_spans_to_dataset, **export)
refused(PermissionDeniedError, telemetry.save_spans_to_dataset, **export)
sys.stdout.write("all telemetry calls were answered as a client expects\n")
