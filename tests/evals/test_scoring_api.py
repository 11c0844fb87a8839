"""Scoring functions and scoring as clients see them; answers are held against the stable API's schemas."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from pydantic_core import from_json

from apps.accounts.models import AuditLine
from apps.core import db
from apps.evals import functions, scored
from apps.evals.models import ScoringFunction
from apps.evals.scoring.catalog import BUILT_IN
from tests import build

Json = Any
STABLE = json.loads((Path(__file__).parent / "scoring" / "stable_schemas.json").read_text())
ROWS = [
    {"input_query": "1+1?", "expected_answer": "2", "generated_answer": "2"},
    {"input_query": "2+2?", "expected_answer": "4", "generated_answer": "It is 4"},
    {"input_query": "3+3?", "generated_answer": "6"},
]
MINE = {
    "scoring_fn_id": "mine/letters::v1",
    "description": "My letters",
    "return_type": {"type": "number"},
    "params": {"type": "regex_parser", "parsing_regexes": ["Letter (.)"], "aggregation_functions": ["average"]},
}


class Stable:
    """A client whose answers must fit the stable API."""

    def __init__(self, api: httpx2.AsyncClient) -> None:
        self.api = api

    async def call(self, method: str, path: str, schema: str = "", body: Json = None, status: int = 200) -> Json:
        """Return the answer's body, which must fit the schema, or be null without one."""
        options = {"json": body} if body is not None else {}
        response = await self.api.request(method, f"/v1{path}", **options)
        assert response.status_code == status, response.text
        value = from_json(response.content)
        name = schema if status == 200 else "Error"
        if not name:
            assert value is None
            return None
        validator = Draft202012Validator({"$ref": f"#/components/schemas/{name}", **STABLE})
        assert [error.message for error in validator.iter_errors(value)] == []
        return value

    async def score(self, rows: Json, status: int = 200, **functions: Json) -> Json:
        """Score rows by functions whose ids have their ``::`` written as two underscores."""
        wanted = {name.replace("__", "::"): params for name, params in functions.items()}
        body = {"input_rows": rows, "scoring_functions": wanted}
        return await self.call("POST", "/scoring/score", "ScoreResponse", body, status)


@pytest.fixture
def stable(api: httpx2.AsyncClient) -> Stable:
    """The stable API for an operator's program."""
    return Stable(api)


async def test_the_built_in_functions_are_listed_and_read(stable: Stable) -> None:
    listed = await stable.call("GET", "/scoring-functions", "ListScoringFunctionsResponse")

    assert [one["identifier"] for one in listed["data"]] == list(BUILT_IN)
    assert len(listed["data"]) == 18
    for one in listed["data"]:
        assert await stable.call("GET", f"/scoring-functions/{one['identifier']}", "ScoringFn") == one
        assert one["identifier"].startswith(one["provider_id"] + "::")
        assert one["type"] == "scoring_function"
    by_id = {one["identifier"]: one for one in listed["data"]}
    assert by_id["basic::ifeval"]["params"] == {"type": "basic", "aggregation_functions": ["weighted_average"]}
    assert "params" not in by_id["llm-as-judge::base"]


async def test_a_function_is_registered_used_and_deleted(stable: Stable) -> None:
    assert await stable.call("POST", "/scoring-functions", body=MINE) is None
    assert await stable.call("POST", "/scoring-functions", body=MINE) is None  # the same again

    read = await stable.call("GET", "/scoring-functions/mine/letters::v1", "ScoringFn")
    rows = [{"expected_answer": "B", "generated_answer": "Letter B"}, {"expected_answer": "B", "generated_answer": "B"}]
    body = {"input_rows": rows, "scoring_functions": {"mine/letters::v1": None}}
    told = await stable.call("POST", "/scoring/score", "ScoreResponse", body)

    assert read["provider_resource_id"] == "basic::regex_parser_multiple_choice_answer"
    assert (read["provider_id"], read["description"], read["params"]) == ("basic", "My letters", MINE["params"])
    assert told["results"]["mine/letters::v1"] == {
        "score_rows": [{"score": 1.0}, {"score": 0.0}],
        "aggregated_results": {"average": {"average": 0.5}},
    }
    assert await stable.call("DELETE", "/scoring-functions/mine/letters::v1") is None
    await stable.call("GET", "/scoring-functions/mine/letters::v1", status=404)
    await stable.call("DELETE", "/scoring-functions/mine/letters::v1", status=404)
    lines = await db.read(lambda: list(AuditLine.objects.filter(kind="scoring_function").order_by("id")))
    assert [line.action for line in lines] == ["create", "delete"]


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"scoring_fn_id": "basic::equality"}, 409, "built-in"), ({"description": "Other"}, 409, "other content"),
        ({"scoring_fn_id": " "}, 400, "scoring_fn_id"), ({"scoring_fn_id": "x" * 256}, 400, "scoring_fn_id"),
        ({"scoring_fn_id": "a?b"}, 400, "scoring_fn_id"), ({"provider_id": "nobody"}, 400, "provider_id"),
        ({"provider_scoring_fn_id": "basic::equalty"}, 400, "did you mean 'basic::equality'"),
        ({"provider_scoring_fn_id": "basic::equality"}, 400, "takes parameters of type 'basic'"),
        ({"return_type": {"type": "letter"}}, 400, "return_type"), ({"return_type": {}}, 400, "return_type"),
        ({"params": None, "scoring_fn_id": "new"}, 400, "provider_scoring_fn_id"),
        ({"params": {"type": "regex_parser", "parsing_regexes": ["("]}}, 400, "not a regular expression"),
        ({"params": {"type": "other"}}, 400, "params"), ({"colour": "red"}, 400, "colour"),
    ],
)  # fmt: skip
async def test_a_registration_that_does_not_fit_changes_nothing(
    stable: Stable, changed: Json, status: int, words: str
) -> None:
    await stable.call("POST", "/scoring-functions", body=MINE)

    error = await stable.call("POST", "/scoring-functions", body={**MINE, **changed}, status=status)

    assert words in error["detail"]
    assert await db.read(ScoringFunction.objects.count) == 1
    assert (await stable.call("GET", "/scoring-functions/mine/letters::v1", "ScoringFn"))["params"] == MINE["params"]


@pytest.mark.parametrize(
    "wrong", [{"description": "a\0b"}, {"params": {"type": "regex_parser", "parsing_regexes": ["(\0)"]}}]
)
async def test_a_nul_is_refused_as_no_database_can_hold_it(stable: Stable, wrong: Json) -> None:
    refused = await stable.call("POST", "/scoring-functions", body={**MINE, **wrong}, status=400)

    assert "NUL" in refused["detail"] and not await db.read(ScoringFunction.objects.exists)


async def test_built_in_functions_stay(stable: Stable) -> None:
    error = await stable.call("DELETE", "/scoring-functions/basic::equality", status=409)

    assert "built-in" in error["detail"]


async def test_viewers_read_and_do_not_score(client_for: Any) -> None:
    viewer = Stable(client_for("viewer"))

    await viewer.call("GET", "/scoring-functions", "ListScoringFunctionsResponse")
    await viewer.call("POST", "/scoring-functions", body=MINE, status=403)
    await viewer.score(ROWS, 403, basic__equality=None)
    await Stable(client_for("")).call("GET", "/scoring-functions", status=401)


async def test_rows_are_scored_by_several_functions(stable: Stable) -> None:
    told = await stable.score(ROWS, basic__equality=None, basic__subset_of={"type": "basic"})

    equality, subset = told["results"]["basic::equality"], told["results"]["basic::subset_of"]
    assert [row["score"] for row in equality["score_rows"]] == [1.0, 0.0, None]
    assert "'expected_answer'" in equality["score_rows"][2]["error"]
    assert equality["aggregated_results"] == {"accuracy": {"accuracy": 1 / 3, "num_correct": 1.0, "num_total": 3}}
    assert [row["score"] for row in subset["score_rows"]] == [1.0, 1.0, None]


async def test_parameters_of_a_call_hold_for_that_call(stable: Stable) -> None:
    median = {"type": "basic", "aggregation_functions": ["median"]}

    once = await stable.score(ROWS[:2], basic__equality=median)
    none = await stable.score(ROWS[:2], basic__equality={"type": "basic", "aggregation_functions": []})
    again = await stable.score(ROWS[:2], basic__equality=None)

    assert once["results"]["basic::equality"]["aggregated_results"] == {"median": {"median": 0.5}}
    assert none["results"]["basic::equality"]["aggregated_results"] == {}
    assert list(again["results"]["basic::equality"]["aggregated_results"]) == ["accuracy"]


async def test_rows_in_the_forms_of_datasets_are_scored(stable: Stable) -> None:
    rows = [{"question": "1+1?", "answer": "2", "generated_answer": "2"}]

    told = await stable.score(rows, basic__equality=None)

    assert told["results"]["basic::equality"]["score_rows"] == [{"score": 1.0}]


async def test_nothing_to_score_is_an_empty_result(stable: Stable) -> None:
    told = await stable.score([], basic__equality=None)

    assert told["results"]["basic::equality"] == {
        "score_rows": [],
        "aggregated_results": {"accuracy": {"accuracy": None, "num_correct": 0.0, "num_total": 0}},
    }
    assert (await stable.score(ROWS))["results"] == {}


JUDGE = {"type": "llm_as_judge", "judge_model": "scripted/scripted"}
ASKED = {**JUDGE, "prompt_template": "?"}
PARSER = {"type": "regex_parser"}


@pytest.mark.parametrize(
    ("name", "params", "status", "words"),
    [
        ("basic::equalty", None, 404, "did you mean 'basic::equality'"),
        ("basic::equality", JUDGE, 400, "takes parameters of type 'basic', not 'llm_as_judge'"),
        ("basic::regex_parser_math_response", {"type": "basic"}, 400, "regex_parser"),
        ("basic::regex_parser_math_response", {**PARSER, "parsing_regexes": ["(a)", "(b)"]}, 400, "1 at most"),
        ("basic::regex_parser_multiple_choice_answer", {**PARSER, "parsing_regexes": ["a"]}, 400, "group"),
        ("llm-as-judge::base", None, 400, "needs a judge_model"),
        ("llm-as-judge::base", JUDGE, 400, "needs a prompt_template"),
        ("llm-as-judge::base", {"type": "llm_as_judge"}, 400, "judge_model"),
        ("llm-as-judge::base", {**ASKED, "judge_score_regexes": ["[(a"]}, 400, "judge_score_regexes.0"),
        ("llm-as-judge::base", {**ASKED, "judge_model": "no/such"}, 404, "no/such"),
        ("llm-as-judge::405b-simpleqa", None, 404, "405B"), ("basic::equality", {"type": "basic", "x": 1}, 400, "x"),
    ],
)  # fmt: skip
async def test_functions_that_cannot_run_are_refused(
    stable: Stable, model: str, name: str, params: Json, status: int, words: str
) -> None:
    body = {"input_rows": ROWS, "scoring_functions": {name: params}}

    error = await stable.call("POST", "/scoring/score", "ScoreResponse", body, status)

    assert words in error["detail"]


async def test_a_model_judges(stable: Stable, model: str) -> None:
    params = {
        **JUDGE,
        "prompt_template": "Score: {generated_answer}",  # the model says back what it is told
        "judge_score_regexes": [r"Score: (\d)"],
        "aggregation_functions": ["average", "categorical_count"],
    }
    rows = [{**ROWS[0], "generated_answer": answer} for answer in ("7", "none", "8")]

    told = (await stable.score(rows, **{"llm-as-judge__base": params}))["results"]["llm-as-judge::base"]

    assert [row["score"] for row in told["score_rows"]] == ["7", None, "8"]
    assert all("Score: " in row["judge_feedback"] for row in told["score_rows"])
    assert told["aggregated_results"] == {
        "average": {"average": 7.5},
        "categorical_count": {"categorical_count": {"7": 1, "8": 1}},
    }


async def test_only_the_judge_of_simpleqa_is_overridden(stable: Stable, scripted: Any) -> None:
    await asyncio.to_thread(scripted, "A")

    told = await stable.score(ROWS[:1], **{"llm-as-judge__405b-simpleqa": JUDGE})

    result = told["results"]["llm-as-judge::405b-simpleqa"]
    assert result["score_rows"] == [{"score": "A", "judge_feedback": "A"}]
    assert result["aggregated_results"] == {"categorical_count": {"categorical_count": {"A": 1}}}


async def test_a_rubric_takes_the_best_model_unless_told(stable: Stable, scripted: Any) -> None:
    await asyncio.to_thread(scripted, '{"choice": "C", "reason": "same"}')

    default = await stable.score(ROWS[:1], braintrust__factuality=None)
    named = await stable.score(ROWS[:1], braintrust__factuality={**JUDGE, "aggregation_functions": ["median"]})

    assert default["results"]["braintrust::factuality"] == {
        "score_rows": [{"score": 1.0, "metadata": {"choice": "C", "rationale": "same"}}],
        "aggregated_results": {"average": {"average": 1.0}},
    }
    assert named["results"]["braintrust::factuality"]["aggregated_results"] == {"median": {"median": 1.0}}


async def test_a_rubric_without_any_model_is_not_built_in(stable: Stable) -> None:
    error = await stable.score(ROWS, 501, braintrust__factuality=None)

    assert "inference provider" in error["detail"]


async def test_too_many_rows_are_to_be_sent_some_at_a_time(stable: Stable, settings: Any, model: str) -> None:
    settings.SCORE_MAX_ROWS = 20

    error = await stable.score(ROWS * 7, 413, basic__equality=None)
    judged = await stable.score(ROWS, 413, braintrust__factuality=None)
    enough = await stable.score(ROWS[:2] * 10, basic__equality=None)

    assert error["detail"] == (
        "21 rows are more than the 20 a request may have scored. "
        "Send them some at a time, or set SCORE_MAX_ROWS higher."
    )
    assert "than the 2 a request may have scored by functions that ask a model" in judged["detail"]
    assert len(enough["results"]["basic::equality"]["score_rows"]) == 20


async def batch(stable: Stable, status: int = 200, **fields: Json) -> Json:
    body = {"dataset_id": "qa", "scoring_functions": {"basic::equality": None}, "save_results_dataset": False, **fields}
    return await stable.call("POST", "/scoring/score-batch", "ScoreBatchResponse", body, status)


async def register(stable: Stable, rows: Json) -> None:
    body = {"purpose": "eval/question-answer", "dataset_id": "qa", "source": {"type": "rows", "rows": rows}}
    response = await stable.api.post("/v1beta/datasets", json=body)
    assert response.status_code == 200, response.text


async def test_a_dataset_is_scored_and_kept(stable: Stable) -> None:
    await register(stable, ROWS)

    told = await batch(stable)
    kept = await batch(stable, save_results_dataset=True)

    assert "dataset_id" not in told
    assert kept["results"] == told["results"]
    assert [row["score"] for row in told["results"]["basic::equality"]["score_rows"]] == [1.0, 0.0, None]
    made = (await stable.api.get(f"/v1beta/datasets/{kept['dataset_id']}")).json()
    rows = (await stable.api.get(f"/v1beta/datasetio/iterrows/{kept['dataset_id']}")).json()["data"]
    assert made["metadata"]["scored_from"] == "qa"
    assert rows[0] == {**ROWS[0], "basic::equality.score": 1.0}
    assert rows[2]["basic::equality.score"] is None
    assert "'expected_answer'" in rows[2]["basic::equality.error"]


async def test_a_column_of_the_name_of_a_score_stays(stable: Stable) -> None:
    await register(stable, [{**ROWS[0], "basic::equality.score": "mine"}])

    kept = await batch(stable, save_results_dataset=True)

    rows = (await stable.api.get(f"/v1beta/datasetio/iterrows/{kept['dataset_id']}")).json()["data"]
    assert rows == [{**ROWS[0], "basic::equality.score": "mine", "basic::equality.score-2": 1.0}]


async def test_many_rows_are_read_chunk_by_chunk(stable: Stable) -> None:
    rows = [{"expected_answer": str(n % 7), "generated_answer": str(n % 5)} for n in range(4_500)]
    await register(stable, rows)

    told = (await batch(stable))["results"]["basic::equality"]

    wanted = [float(row["expected_answer"] == row["generated_answer"]) for row in rows]
    assert [row["score"] for row in told["score_rows"]] == wanted
    assert told["aggregated_results"]["accuracy"]["num_correct"] == sum(wanted)


async def test_a_dataset_that_cannot_be_scored_is_refused(
    stable: Stable, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await batch(stable, 404)
    await register(stable, ROWS)
    monkeypatch.setattr(scored, "MOST_BYTES", 100)
    large = await batch(stable, 413)
    settings.SCORE_MAX_ROWS = 2

    error = await batch(stable, 413, save_results_dataset=True)

    for detail, words in ((large["detail"], "more than the 100"), (error["detail"], "more than the 2 a request")):
        assert words in detail and "Send its rows to /v1/scoring/score some at a time" in detail
    assert len((await stable.api.get("/v1beta/datasets")).json()["data"]) == 1


def test_parameters_for_a_function_that_is_not_run_are_refused(transactional_db: None) -> None:
    from apps.core.errors import BadRequest
    from apps.evals.schemas import BasicScoringFnParams

    with pytest.raises(BadRequest, match="basic::subset_of"):
        functions.resolved(["basic::equality"], {"basic::subset_of": BasicScoringFnParams()})


def test_what_is_resolved_survives_being_kept_as_json(transactional_db: None) -> None:
    build.scripted_model([])
    found = functions.resolved(list(n for n in BUILT_IN if n.startswith(("basic", "braintrust"))), {})

    kept = json.loads(json.dumps({name: one.model_dump(mode="json") for name, one in found.items()}))

    scorers = functions.scorers(kept)
    assert [scorer.identifier for scorer, _ in scorers.functions.values()] == list(kept)
    assert functions.aggregated(kept, {name: [{"score": 1.0}] for name in kept})["basic::docvqa"]["accuracy"]
    judged = scorers.functions["braintrust::faithfulness"][1]
    assert judged.judge_model == "scripted/scripted"  # type: ignore[union-attr]
