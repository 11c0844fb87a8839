"""Who is evaluated: a model asked to go on with a text, an agent with tools that run on this server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from apps.agents import preparation
from apps.core import db
from apps.core.errors import BadRequest, NotFound, ProviderError
from apps.evals import direct, schemas
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running import candidates
from apps.evals.running.evaluating import Row, Run
from apps.inference import chat
from apps.inference.schemas import ToolDef
from apps.jobs.models import Job
from apps.tools.runtime import ServerTool, ToolResult
from stack_console import tracing
from tests import build
from tests.evals.conftest import config
from tests.processes import ModelServer

pytestmark = pytest.mark.django_db(transaction=True)
Json = dict[str, Any]
SHAPE = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


class Asked:
    """What models were asked, by each of the two ways."""

    def __init__(self) -> None:
        self.prompts: list[Json] = []
        self.talks: list[Json] = []


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Hear what goes through the door to models."""
    asked, go_on, complete = Asked(), chat.text_completion, chat.complete

    async def text_completion(target: Any, body: Json) -> Json:
        asked.prompts.append(body)
        return await go_on(target, body)

    async def talk(target: Any, body: Json) -> Json:
        asked.talks.append(body)
        return await complete(target, body)

    monkeypatch.setattr(chat, "text_completion", text_completion)
    monkeypatch.setattr(chat, "complete", talk)
    return asked


@pytest.fixture
def ended() -> Any:
    """The spans that ended."""
    tracing.start()
    provider: Any = trace.get_tracer_provider()
    exporter = InMemorySpanExporter()
    before = provider._active_span_processor._span_processors
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    provider._active_span_processor._span_processors = before


def candidate(model: str, **fields: Any) -> schemas.ModelCandidate:
    """Return a model that is asked without randomness."""
    sampling = {"strategy": {"type": "greedy"}, **fields.pop("sampling", {})}
    return schemas.ModelCandidate.model_validate({"model": model, "sampling_params": sampling, **fields})


async def test_a_completion_input_is_continued_and_the_rest_is_chatted(model: str, heard: Asked, ended: Any) -> None:
    ask = await candidates.ready(candidate(model, sampling={"max_tokens": 3, "stop": ["z"]}))

    answer = await ask({"completion_input": json.dumps("one two three four"), "question": "no"})
    await ask({"question": "Why?"})

    assert heard.prompts == [{"prompt": "one two three four", "temperature": 0, "max_tokens": 3, "stop": ["z"]}]
    assert [one["messages"] for one in heard.talks] == [[{"role": "user", "content": "Why?"}]]
    assert answer.generation == {"generated_answer": "one two three "}
    assert (answer.input_tokens, answer.output_tokens) == (4, 3)
    [span] = [one for one in ended.get_finished_spans() if one.name == f"text_completion {model}"]
    assert span.attributes["gen_ai.operation.name"] == "text_completion"
    assert span.attributes["gen_ai.usage.output_tokens"] == 3
    assert span.attributes["output"] == '"one two three "'


async def test_an_answer_that_stopped_at_its_limit_of_tokens_says_so(model: str) -> None:
    short = {"strategy": {"type": "greedy"}, "max_tokens": 2}

    for one in (candidate(model, sampling=short), agent(model, sampling_params=short)):
        ask = await candidates.ready(one)
        cut = [(await ask(row)).is_cut for row in ({"question": "one two three"}, {"question": "one two"})]
        assert cut == [True, False]
        assert (await ask({"completion_input": "one two three"})).is_cut


async def test_what_a_system_message_says_stands_before_the_text(model: str, heard: Asked) -> None:
    told = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    ask = await candidates.ready(candidate(model, system_message=told))

    await ask({"completion_input": "Once"})

    assert heard.prompts[0]["prompt"] == "Be brief.\n\nOnce"


async def test_that_top_k_is_no_common_parameter_is_told_in_the_trace_of_each_row(model: str, ended: Any) -> None:
    ask = await candidates.ready(candidate(model, sampling={"strategy": {"type": "top_k", "top_k": 3}}))

    run = Run(ask, nothing, [], 2)
    count = len([one async for one in run.results(rows(2))])

    told = [span for span in ended.get_finished_spans() if span.name == "evaluate_row"]
    assert [len(span.events) for span in told] == [1] * count and count == 2
    assert "top_k is an extension" in told[0].events[0].name


async def nothing(row: Json) -> dict[str, Json]:
    """Score nothing."""
    return {}


async def test_rows_of_a_request_are_continued_too(model: str, heard: Asked) -> None:
    request = schemas.EvaluateRowsRequest.model_validate(
        {"input_rows": [{"completion_input": "a b", "answer": "a b"}], "scoring_functions": ["basic::equality"]}
        | config(model)
    )

    told = await direct.evaluate(request)

    assert told.scores["basic::equality"].score_rows == [{"score": 1.0}] and len(heard.prompts) == 1


async def test_a_server_that_only_chats_is_told_how_to_be_asked(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nowhere(target: Any, body: Json) -> Json:
        raise ProviderError("Provider 'far' answers 404: Not Found", status=404)

    monkeypatch.setattr(chat, "text_completion", nowhere)
    ask = await candidates.ready(candidate(model))

    with pytest.raises(ProviderError, match=r"answers 404: Not Found 'completion_input' needs .* 'messages'") as caught:
        await ask({"completion_input": "x"})
    assert caught.value.status == 404


async def test_a_model_that_calls_tools_nobody_offered_gave_no_answer(scripted: Callable[..., str]) -> None:
    call = {"name": "look", "arguments": {}}
    silent = await candidates.ready(candidate(await db.write(scripted, {"tool_calls": [call]})))
    with pytest.raises(ProviderError, match="called tools, and none was offered"):
        await silent({"question": "x"})

    speaking = await candidates.ready(candidate(await db.write(scripted, {"text": "It is x.", "tool_calls": [call]})))
    assert (await speaking({"question": "x"})).generation == {"generated_answer": "It is x."}


async def test_an_agent_is_asked_a_completion_input_as_a_message(model: str, heard: Asked) -> None:
    ask = await candidates.ready(agent(model))

    assert (await ask({"completion_input": "Once"})).generation == {"generated_answer": "Once"}
    assert heard.prompts == []


def agent(model: str, **fields: Any) -> schemas.AgentCandidate:
    """Return an agent on a model."""
    return schemas.AgentCandidate.model_validate({"config": build.config(model=model, **fields)})


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Json]:
    """A tool group with a search that takes a moment; what it was asked."""
    given: list[Json] = []

    async def run(arguments: Json) -> ToolResult:
        given.append(arguments)
        await asyncio.sleep(0.01 * (int(arguments["query"]) % 3))
        return ToolResult([{"type": "text", "text": f"Fact {arguments['query']}."}], {})  # type: ignore[arg-type]

    async def collect(groups: dict[str, Json]) -> list[ServerTool]:
        definition = ToolDef(name="knowledge_search", description="Search", input_schema=SHAPE)
        return [ServerTool(definition, run, args) for name, args in groups.items() if name == "builtin::rag"]

    monkeypatch.setattr(preparation.tools, "collect", collect)
    return given


@pytest.fixture
async def far(transactional_db: None, model_server: ModelServer) -> AsyncIterator[str]:
    """A model that calls the tool its question names, and then says what it returned."""

    def make() -> str:
        row = build.provider("far", "remote::openai", config={"base_url": f"{model_server.url}/v1"})
        name = str(build.model(row, "fake-n1").identifier)
        build.forget()
        return name

    name = await db.write(make)
    provider = (await chat.find(name)).provider
    yield name
    await provider.close()


async def score(row: Json) -> dict[str, Json]:
    """Score by whether the context of the answer holds what was expected."""
    return {"f": {"score": float(row["expected_answer"] in row["context"])}}


async def rows(count: int) -> AsyncIterator[Row]:
    """Give rows that make the model search for their number, twice."""
    for number in range(count):
        question = f'call:knowledge_search {{"query": "{number}"}}'
        yield Row(number, json.dumps({"question": question, "answer": f"Fact {number}."}))


async def test_many_rows_search_at_once_and_keep_what_they_found_apart(
    far: str, searches: list[Json], ended: Any
) -> None:
    groups = [{"name": "builtin::rag", "args": {"vector_db_ids": ["v"]}}]
    ask = await candidates.ready(agent(far, toolgroups=groups))

    results = [one async for one in Run(ask, score, ["f"], 8).results(rows(24))]

    assert len(searches) == 24 and all(one["vector_db_ids"] == ["v"] for one in searches)
    assert len({one["session_id"] for one in searches}) == 24
    for one in results:
        assert one.generation["context"] == f"Fact {one.position}." and one.scores == {"f": {"score": 1.0}}
        assert one.generation["generated_answer"] == f"knowledge_search returned: Fact {one.position}."
        assert one.input_tokens and one.output_tokens
    tools = [span for span in ended.get_finished_spans() if span.name == "tool_execution"]
    assert {trace_of(span) for span in tools} == {one.trace_id for one in results} and len(tools) == 24


def trace_of(span: ReadableSpan) -> str:
    """Return the id of a span's trace."""
    assert span.context is not None
    return format(span.context.trace_id, "032x")


async def test_an_evaluation_keeps_the_context_of_each_row(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], far: str, searches: list[Json], worker: Any
) -> None:
    question = 'call:knowledge_search {"query": "7"}'
    await benchmark("bench", [{"question": question, "answer": "Fact 7."}], "basic::subset_of")
    body = config(far, candidate={"type": "agent", "config": build.config(model=far, toolgroups=["builtin::rag"])})

    await api.post("/v1alpha/eval/benchmarks/bench/jobs", json=body, headers={"Prefer": "wait=15"})

    row = await db.read(EvaluatedRow.objects.get)
    assert json.loads(row.generation)["context"] == "Fact 7."
    assert json.loads(row.scores) == {"basic::subset_of": {"score": 1.0}}


async def test_a_tool_of_the_caller_is_waited_for_by_nobody(far: str, searches: list[Json]) -> None:
    ask = await candidates.ready(agent(far, toolgroups=["builtin::rag"], client_tools=[build.tool()]))

    found = await ask({"question": 'call:knowledge_search {"query": "1"}'})

    assert found.generation["context"] == "Fact 1."
    with pytest.raises(Exception, match="get_weather") as caught:
        await ask({"question": 'call:get_weather {"city": "Oslo"}'})
    assert getattr(caught.value, "status", 0) == 400


@pytest.mark.parametrize("status", [400, 502, 504])
async def test_an_agent_whose_model_fails_fails_its_row_as_a_model_does(transactional_db: None, status: int) -> None:
    name = await db.write(build.scripted_model, [{"text": "So", "error": "It is gone.", "status": status}])
    for one in (agent(name), candidate(name)):
        ask = await candidates.ready(one)
        with pytest.raises(ProviderError, match="It is gone") as caught:
            await ask({"question": "Why?"})
        assert caught.value.status == status


async def test_an_agent_with_an_unknown_tool_group_is_refused_before_anything_is_stored(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str
) -> None:
    await benchmark()
    body = config(model, candidate={"type": "agent", "config": build.config(model=model, toolgroups=["nope"])})

    for path in ("jobs", "evaluations"):
        given = body if path == "jobs" else body | {"input_rows": [{"question": "x"}], "scoring_functions": []}
        refused = await api.post(f"/v1alpha/eval/benchmarks/bench/{path}", json=given)
        assert refused.status_code == 404 and "Tool group 'nope' not found" in refused.json()["detail"]

    assert not await db.read(Job.objects.exists) and not await db.read(Evaluation.objects.exists)
    with pytest.raises((NotFound, BadRequest)):
        await candidates.ready(agent(model, toolgroups=["nope/one"]))


async def test_a_provider_is_not_asked_more_at_once_than_it_works_on(model: str, settings: Any) -> None:
    target = await chat.find(model)
    config = schemas.ModelCandidate.model_validate(
        {"model": model, "sampling_params": {"strategy": {"type": "greedy"}}}
    )
    assert await candidates.asked_at_once(config) == settings.EVAL_AT_ONCE
    target.provider.at_once = 2
    assert await candidates.asked_at_once(config) == 2
    settings.EVAL_AT_ONCE = 1
    assert await candidates.asked_at_once(config) == 1
