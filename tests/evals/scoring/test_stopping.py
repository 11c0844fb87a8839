"""What burns time or memory ends, costs only its own row, and leaves nothing behind."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from apps.core.errors import BadRequest
from apps.evals import functions
from apps.evals.schemas import RegexParserScoringFnParams
from apps.evals.scoring import bfcl_calls, expressions, pool
from tests.evals.scoring.scoring_rows import score

CHOICE = "basic::regex_parser_multiple_choice_answer"
MATH = "basic::regex_parser_math_response"
BAD = r"(x+x+)+y"
LARGE = "(?i)(" + "".join(f"[{chr(48 + at % 70)}-\U0010ffff]" for at in range(980)) + ")"  # takes seconds to compile
ROW = {"expected_answer": "B", "generated_answer": "x" * 60}
CALLS = {"id": "simple_1", "function": [{"name": "f"}], "ground_truth": [{"f": {}}]}


@pytest.fixture(autouse=True)
def nothing_given_up() -> Iterator[None]:
    """Forget which expressions were slow."""
    expressions._slow.clear()
    yield
    expressions._slow.clear()


def by(*patterns: str) -> Any:
    return RegexParserScoringFnParams(parsing_regexes=list(patterns), aggregation_functions=["accuracy"])


def children() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [one for one in found if "apps.evals.scoring.child" in " ".join(one.cmdline())]


async def test_a_catastrophic_expression_costs_its_row_and_no_more(settings: Any) -> None:
    settings.REGEX_TIMEOUT_S = 0.3
    began = time.monotonic()

    slow, quick = await asyncio.gather(
        score(CHOICE, ROW, by(BAD)), score(CHOICE, {**ROW, "generated_answer": "I say: B"}, by("say: (.)"))
    )

    assert time.monotonic() - began < 10
    assert slow["score"] is None
    assert "longer than 0.3 s" in slow["error"]
    assert quick == {"score": 1.0}


async def test_rows_after_several_slow_ones_are_not_tried(settings: Any) -> None:
    settings.REGEX_TIMEOUT_S = 0.2
    for _ in range(expressions.GIVEN_UP_AFTER):
        await score(CHOICE, ROW, by(BAD))
    began = time.monotonic()

    rows = [await score(CHOICE, ROW, by(BAD)) for _ in range(100)]

    assert time.monotonic() - began < 0.5
    assert all(row["score"] is None and "Not tried" in row["error"] for row in rows)


async def test_a_row_that_is_quick_again_clears_the_count(settings: Any) -> None:
    settings.REGEX_TIMEOUT_S = 0.2
    for _ in range(expressions.GIVEN_UP_AFTER - 1):
        await score(CHOICE, ROW, by(BAD))

    quick = await score(CHOICE, {**ROW, "generated_answer": "nothing"}, by(BAD))

    assert quick == {"score": 0.0}
    assert tuple([BAD]) not in expressions._slow


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "not a regular expression"), ("Answer: .*", "needs a group"), ("(?P<a>x)(?P<a>y)", "not a regular"),
        ("(a)" * 3000, "at most"), ("(" * 900 + ")" * 900, ""),
    ],
)  # fmt: skip
async def test_an_expression_that_cannot_be_used_is_refused(pattern: str, words: str) -> None:
    if not words:
        await expressions.check(["(a)"], "params.parsing_regexes")
        return
    with pytest.raises(BadRequest, match=f"params.parsing_regexes.1: .*{words}"):
        await expressions.check(["(a)", pattern], "params.parsing_regexes")


def test_too_many_expressions_are_refused() -> None:
    with pytest.raises(BadRequest, match="at most"):
        expressions.check_size(["(a)"] * 500, "params.parsing_regexes")


async def test_expressions_that_take_long_to_compile_are_refused_in_time(settings: Any) -> None:
    settings.REGEX_TIMEOUT_S = 0.3
    began = time.monotonic()

    with pytest.raises(BadRequest, match="takes longer than"):
        await expressions.check(["(.)", LARGE], "params.parsing_regexes")

    assert time.monotonic() - began < 5
    await expressions.check(["(.)"], "params.parsing_regexes")  # the next one finds a child that works


def test_a_run_is_made_out_without_compiling_anything(transactional_db: None) -> None:
    began = time.monotonic()

    functions.resolved([CHOICE], {CHOICE: by(LARGE, LARGE + "x")})

    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "answer",
    [
        r"9^{9^{9^{9}}}",
        r"10000000!!",
        r"\frac{" * 200,
        "(" * 1000,
        r"x^{99999999}-1",
        "{" * 5000,
        r"\sqrt" * 90,
        "-" * 400,
    ],
)
async def test_mathematics_that_explodes_is_merely_wrong(answer: str, settings: Any) -> None:
    settings.SCORING_TIMEOUT_S = 2
    began = time.monotonic()

    found = await score(MATH, {"expected_answer": "x+1", "generated_answer": answer})

    assert found == {"score": 0.0}
    assert time.monotonic() - began < 15


JSON_CALL = '{"name": "f", "arguments": {"a": %s}}'
BREAKING = {
    "brackets": "[" * 50_000,
    "parentheses": f"f(a={'(' * 5_000}{')' * 5_000})", "lists": f"f(a={'[' * 150}{']' * 150})",
    "signs": f"f(a={'-' * 50_000}1)", "sums": f"f(a={'1+' * 50_000}1)", "some sums": f"f(a={'1+' * 1_500}1)",
    "names": f"f(a={'b.' * 50_000}c)", "some names": f"f(a={'b.' * 1_500}c)", "a power": "f(a=2**2**99)",
    "digits": f"f(a={'9' * 5_000})", "hexadecimal digits": f"f(a=0x{'f' * 5_000})",
    "a product": f"f(a={'9' * 400} * 1.5)", "a quotient": f"f(a={'9' * 400} / 3)",
    "JSON": JSON_CALL % ("[" * 900 + "]" * 900), "JSON digits": JSON_CALL % ("9" * 4_000),
    "a number that is none": JSON_CALL % "NaN", "half a character": 'f(a="\ud800")', "NUL": 'f(a="\0")',
    "an open fence": "```" + "a" * 100_000, "blanks": f"f(a=1){' ' * 100_000}x",
}  # fmt: skip


@pytest.mark.parametrize("answer", BREAKING.values(), ids=BREAKING.keys())
@pytest.mark.parametrize("language", ["python", "java", "javascript"])
async def test_calls_that_break_a_parser_are_merely_wrong(answer: str, language: str) -> None:
    declared = {"name": "f", "parameters": {"properties": {"a": {"type": "float"}}, "required": ["a"]}}
    row = {**CALLS, "function": [declared], "ground_truth": [{"f": {"a": [1.25]}}], "language": language}

    found = await score("basic::bfcl", {**row, "generated_answer": answer})

    assert found["score"] == 0.0 and found["reason"]


@pytest.mark.parametrize("failure", [SystemError("AST constructor recursion depth mismatch"), RecursionError()])
def test_a_parser_that_fails_by_itself_found_no_call(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: Any, **__: Any) -> Any:
        raise failure

    monkeypatch.setattr(bfcl_calls.ast, "parse", parse)

    assert bfcl_calls.calls_in("f(a=1)", "python") == []


@pytest.mark.parametrize("text", ["\n", "[", "<", "*", ".(", "- ", ". ", '"'])
async def test_an_answer_that_says_the_same_for_ever_is_checked_like_another(text: str) -> None:
    kwargs = {
        "detectable_format:number_bullet_lists": {"num_bullets": 1}, "detectable_format:title": {},
        "detectable_content:number_placeholders": {"num_placeholders": 1}, "punctuation:no_comma": {},
        "length_constraints:number_sentences": {"num_sentences": 1, "relation": "at least"},
        "detectable_format:number_highlighted_sections": {"num_highlights": 1},
        "length_constraints:number_paragraphs": {"num_paragraphs": 1},
    }  # fmt: skip
    row = {"prompt": "Say it.", "instruction_id_list": list(kwargs), "kwargs": list(kwargs.values())}

    found = await score("basic::ifeval", {**row, "generated_answer": f"a{text * 100_000}z"})

    assert found["score"] > 0 and found["weight"] == len(kwargs)


async def test_calls_that_end_the_child_are_merely_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    run = pool.run

    async def instead(name: str, payload: Any, seconds: float) -> Any:
        return await run("search", {"patterns": [BAD], "text": "x" * 60}, 0.3)

    monkeypatch.setattr(pool, "run", instead)

    found = await score("basic::bfcl", {**CALLS, "generated_answer": "f()"})

    assert found["score"] == 0.0 and "longer than 0.3 s" in found["reason"]


async def test_a_child_that_is_killed_costs_one_row(settings: Any) -> None:
    settings.SCORING_TIMEOUT_S = 20
    before = {one.pid for one in children()}
    waiting = asyncio.create_task(pool.run("search", {"patterns": [BAD], "text": "x" * 60}, 20))
    async with asyncio.timeout(20):
        while not (busy := [one for one in children() if one.cpu_percent(0.1) > 20]):
            await asyncio.sleep(0.05)

    os.kill(busy[0].pid, signal.SIGKILL)

    with pytest.raises(pool.RowError):
        await waiting
    assert await pool.run("search", {"patterns": ["(a)"], "text": "a"}, 5) == "a"
    assert len(children()) <= max(settings.SCORING_PROCESSES, len(before))


async def test_two_hundred_rows_cost_little_and_few_processes(settings: Any) -> None:
    await pool.run("search", {"patterns": ["(a)"], "text": "a"}, 5)
    began = time.monotonic()

    rows = await asyncio.gather(
        *(score(CHOICE, {**ROW, "generated_answer": f"{n}: B"}, by(r"\d+: (.)")) for n in range(200))
    )

    assert rows == [{"score": 1.0}] * 200
    assert time.monotonic() - began < 3
    assert 1 <= len(children()) <= settings.SCORING_PROCESSES


async def test_a_child_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    child = pool.Child()
    try:
        assert child.ask("search", {"patterns": ["(a)"], "text": "a"}, 5) == "a"
        environment = Path(f"/proc/{child._process.pid}/environ").read_text()
    finally:
        child.end()

    assert "secret" not in environment
    assert not child.is_alive


async def test_a_child_without_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_S", 0.2)
    own = pool._Pool()
    assert own.submit("search", {"patterns": ["(a)"], "text": "a"}, 5).result(timeout=30) == "a"
    started = children()

    async with asyncio.timeout(20):
        while own._threads:
            await asyncio.sleep(0.05)

    assert own.submit("search", {"patterns": ["(b)"], "text": "b"}, 5).result(timeout=30) == "b"
    assert started


async def test_an_order_that_cannot_be_given_is_told_and_costs_no_thread(settings: Any) -> None:
    settings.SCORING_PROCESSES = 1
    own = pool._Pool()

    with pytest.raises(pool.RowError, match="TypeError"):
        own.submit("search", object(), 5).result(timeout=20)

    assert own.submit("search", {"patterns": ["(a)"], "text": "a"}, 5).result(timeout=25) == "a"


async def test_work_nobody_waits_for_any_more_is_not_begun(settings: Any) -> None:
    settings.SCORING_PROCESSES = 1
    own = pool._Pool()
    first = own.submit("search", {"patterns": [BAD], "text": "x" * 60}, 0.5)
    second = own.submit("search", {"patterns": [BAD], "text": "x" * 60}, 30)

    assert second.cancel()
    third = own.submit("search", {"patterns": ["(a)"], "text": "a"}, 5)

    assert third.result(timeout=25) == "a"
    with pytest.raises(pool.TooSlow):
        first.result(timeout=1)


async def test_a_server_with_many_open_handles_scores_as_well() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 3_000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(3_000, hard), hard))
    handles: list[int] = []
    pool._pool = pool._Pool()  # children whose pipes come behind those handles
    try:
        while not handles or handles[-1] < 1_100:
            handles.append(os.open(os.devnull, os.O_RDONLY))
        assert await score(CHOICE, {**ROW, "generated_answer": "I say: B"}, by("say: (.)")) == {"score": 1.0}
    finally:
        for handle in handles:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
