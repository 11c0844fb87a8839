"""Who stands where on a benchmark: who is asked another way is another candidate; like is held against like."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from apps.datasets.models import Dataset
from apps.evals import evaluation, schemas, standings
from apps.evals.benchmarks import history
from apps.evals.models import Benchmark, Evaluation
from apps.evals.running import candidates, variants
from tests import build
from tests.evals import made

GREEDY = {"strategy": {"type": "greedy"}}
EXACT, PART = "basic::equality", "basic::subset_of"


@pytest.fixture
def bench(transactional_db: None) -> Benchmark:
    made.dataset()
    return made.benchmark("bench", "qa", EXACT, PART)


def candidate(**fields: Any) -> Any:
    told = {"type": "model", "model": "m", "sampling_params": GREEDY} | fields
    return schemas.BenchmarkConfig.model_validate({"eval_candidate": told}).eval_candidate


def system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


def board(by: str = EXACT, baseline: Evaluation | None = None) -> list[standings.Standing]:
    return standings.leaderboard(standings.completed("bench"), [EXACT, PART], by, baseline)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"system_message": system("Answer in\none word.")}, "“Answer in one word.”"),
        ({"system_message": system("w" * 200)}, f"“{'w' * 79}…”"),
        (
            {"sampling_params": {"strategy": {"type": "top_p", "temperature": 0.7, "top_p": 0.9}, "max_tokens": 2000}},
            "temperature 0.7 · top p 0.9 · at most 2,000 tokens",
        ),
        (
            {"sampling_params": GREEDY | {"repetition_penalty": 1.1, "stop": ["\n"]}},
            "repetition penalty 1.1 · stops early",
        ),
        ({"sampling_params": {"strategy": {"type": "top_k", "top_k": 40}}}, "top k 40"),
        ({"sampling_params": {"strategy": {"type": "top_k", "top_k": 10**400}}}, f"top k {10**400:,}"[:255]),
    ],
)
def test_how_a_model_is_asked_is_told_in_words(fields: dict[str, Any], words: str) -> None:
    assert variants.words_of(candidate(**fields)) == words


def test_an_agent_is_told_by_its_instructions() -> None:
    agent = {"type": "agent", "config": {"model": "m", "name": "ana", "instructions": "Be brief."}}

    assert variants.words_of(schemas.AgentCandidate.model_validate(agent)) == "“Be brief.”"


@pytest.mark.parametrize(("name", "told"), [("ana", "ana · m"), ("a\0na", "ana · m"), (None, "agent · m")])
def test_an_agent_is_named_as_any_database_can_hold_it(name: str | None, told: str) -> None:
    agent = {"type": "agent", "config": {"model": "m", "name": name, "instructions": "Be brief."}}

    assert candidates.name_of(schemas.AgentCandidate.model_validate(agent)) == told


def test_fingerprints_are_of_everything_that_may_change_an_answer() -> None:
    same = {variants.fingerprint_of(candidate(system_message=system("a"))) for _ in range(2)}
    long = {variants.fingerprint_of(candidate(system_message=system("a" * 300 + end))) for end in ("x", "y")}
    others = {variants.fingerprint_of(candidate(model=name)) for name in ("m", "n")}

    assert (len(same), len(long), len(others)) == (1, 2, 2)
    assert all(len(one) == 16 for one in same | long | others)


def test_a_run_keeps_how_its_candidate_is_asked(bench: Benchmark) -> None:
    asked = {
        "eval_candidate": {"type": "model", "model": "m", "sampling_params": GREEDY, "system_message": system("Hi")}
    }
    for number, is_partial in ((1, True), (99, False), (None, False)):
        config = schemas.BenchmarkConfig.model_validate(asked | {"num_examples": number})
        run = evaluation.start("bench", config, build.actor())
        told = (run.asked, run.is_partial, run.fingerprint)
        assert told == ("m · “Hi”", is_partial, variants.fingerprint_of(config.eval_candidate))


def test_one_model_asked_in_two_ways_has_two_places(bench: Benchmark) -> None:
    made.evaluation([1.0, 0.0], fingerprint="plain")
    made.evaluation([1.0, 1.0], fingerprint="pirate", variant="“Talk like a pirate.”")
    first, second = board()

    assert (first.newest.variant, first.runs, second.newest.variant, second.runs) == ("“Talk like a pirate.”", 1, "", 1)


def test_a_run_of_some_rows_does_not_lead_those_of_all(bench: Benchmark, operator: Any) -> None:
    made.evaluation([1.0, 1.0, 0.0, 0.0], candidate="ana")
    made.evaluation([1.0], candidate="ana", is_partial=True)
    made.evaluation([1.0], candidate="bob", is_partial=True)
    made.evaluation([], candidate="cyd")
    ana, *others = board()

    assert (ana.place, ana.newest.row_total, ana.runs, ana.scores[0][2]) == (1, 4, 1, None)
    assert [(one.newest.candidate, one.place) for one in others] == [("cyd", None), ("bob", None)]
    web = Client()
    web.force_login(operator)
    page = web.get("/benchmarks/bench/").content.decode()
    assert page.count('data-ui="partial"') == 2 and "over 1 runs" in page


def test_where_all_ask_some_rows_those_that_ask_as_many_are_ranked(bench: Benchmark) -> None:
    made.evaluation([1.0, 1.0, 0.0], candidate="ana", is_partial=True)
    made.evaluation([1.0, 0.0], candidate="bob", is_partial=True)
    made.evaluation([0.0, 0.0], candidate="cyd", is_partial=True)

    assert [(one.newest.candidate, one.place) for one in board()] == [("bob", 1), ("cyd", 2), ("ana", None)]


def test_equals_share_a_place_and_the_next_function_puts_them_in_order(bench: Benchmark) -> None:
    for name, part in (("ana", 0.5), ("bob", 1.0), ("cyd", 0.0)):
        run = made.evaluation([0.0, 0.0], candidate=name, functions=[EXACT, PART])
        run.aggregated[PART] = {"accuracy": {"accuracy": part, "num_correct": 2 * part, "num_total": 2}}
        run.save(update_fields=["aggregated"])

    assert [(one.newest.candidate, one.place) for one in board()] == [("bob", 1), ("ana", 1), ("cyd", 1)]
    assert [(one.newest.candidate, one.place) for one in board(PART)] == [("bob", 1), ("ana", 2), ("cyd", 3)]


def test_a_benchmark_made_anew_ranks_only_the_runs_of_what_it_is_now(bench: Benchmark, at_work: Client) -> None:
    old = made.evaluation([1.0, 1.0], candidate="old")
    bench.delete()
    made.dataset("other")
    bench = made.benchmark("bench", "other", EXACT)
    new = made.evaluation([0.0, 1.0], candidate="new", dataset_id="other")

    assert [one.newest for one in board()] == [new] and standings.left_out("bench") == 1
    assert [run for run, _ in standings.newest_of([bench])["bench"].scored] == [new]
    page = at_work.get("/benchmarks/bench/").content.decode()
    assert "1 run asked an earlier benchmark or dataset" in page and "1 runs" in page.partition("legend")[0]
    assert page.count('data-ui="run-row"') == 2

    at_work.post(f"/evaluations/{old.job.job_id}/baseline/", {"baseline": "yes"})
    assert not Benchmark.objects.exclude(baseline=None).exists()
    assert 'data-ui="set-baseline"' not in at_work.get(f"/evaluations/{old.job.job_id}/").content.decode()
    assert 'data-ui="set-baseline"' in at_work.get(f"/evaluations/{new.job.job_id}/").content.decode()


def test_a_dataset_made_anew_leaves_out_the_runs_that_asked_the_one_before(bench: Benchmark) -> None:
    made.evaluation([1.0], candidate="old")
    Dataset.objects.get().delete()
    made.dataset()
    new = made.evaluation([0.0], candidate="new")

    assert [one.newest for one in board()] == [new] and standings.left_out("bench") == 1


def test_who_has_no_score_of_the_function_has_no_place(bench: Benchmark, operator: Any) -> None:
    made.evaluation([1.0, 0.0], candidate="ana", functions=[EXACT])
    made.evaluation([0.0, 0.0], candidate="bob", functions=[PART])

    assert [(one.newest.candidate, one.place, one.is_part) for one in board(PART)] == [
        ("bob", 1, False),
        ("ana", None, False),
    ]
    assert [one.newest.candidate for one in board(EXACT) if one.place] == ["ana"]


def test_newest_scores_name_the_function_that_tells_candidates_apart_and_how_each_was_asked(
    bench: Benchmark, reader: Client
) -> None:
    Benchmark.objects.update(scoring_functions=[EXACT, PART])
    for name, part in (("plain", 0.0), ("pirate", 1.0)):
        run = made.evaluation([0.0], fingerprint=name, variant=f"“Be {name}.”", functions=[EXACT, PART])
        run.aggregated[PART] = {"accuracy": {"accuracy": part, "num_correct": part, "num_total": 1}}
        run.save(update_fields=["aggregated"])

    [told] = standings.newest_of(Benchmark.objects.all()).values()

    assert (told.by, [(run.variant, score.value) for run, score in told.scored]) == (
        PART,
        [("“Be pirate.”", 1.0), ("“Be plain.”", 0.0)],
    )
    page = reader.get("/benchmarks/").content.decode()
    assert f'title="{PART}" data-ui="newest-by">' in page and "scripted/scripted · “Be pirate.”</span>" in page


def test_newest_scores_are_of_the_benchmarks_own_function_and_say_how_many_others_there_are(
    bench: Benchmark, reader: Client
) -> None:
    made.dataset("other")
    other = made.benchmark("other", "other", PART)
    made.evaluation([1.0], candidate="old", on="other", dataset_id="other", functions=[EXACT])
    for at in range(5):
        made.evaluation([float(at % 2)], candidate=f"m{at}", functions=[PART, EXACT])

    told = standings.newest_of([bench, other])

    assert [(run.candidate, score.value) for run, score in told["bench"].scored] == [("m4", 0), ("m3", 1), ("m2", 0)]
    assert told["bench"].others == 2
    assert [(run.candidate, score.value) for run, score in told["other"].scored] == [("old", None)]
    assert 'data-ui="others">+2<' in reader.get("/benchmarks/").content.decode()
    assert 'data-ui="not-drawn">+1 more' in reader.get("/benchmarks/bench/").content.decode()


def test_metadata_of_a_benchmark_is_folded(bench: Benchmark, reader: Client) -> None:
    bench.metadata = {f"key{at}": at for at in range(50)}
    bench.save(update_fields=["metadata"])

    page = reader.get("/benchmarks/bench/").content.decode()

    fold = page.partition('data-ui="metadata"')[0].rpartition("<details")[2]
    assert "50 fields" in fold and " open" not in fold.partition(">")[0] and "</details>" not in fold


def test_a_chart_says_how_many_candidates_it_leaves_out(bench: Benchmark) -> None:
    for at in range(6):
        made.evaluation([float(at % 2)], candidate=f"m{at}")

    drawn = history.chart(standings.completed("bench"), EXACT, None)

    assert drawn and len(drawn.lines) == history.DRAWN and drawn.others == 2


def test_the_board_opens_on_a_function_that_tells_runs_apart(bench: Benchmark) -> None:
    for name, part in (("ana", 0.5), ("bob", 1.0)):
        run = made.evaluation([0.0, 0.0], candidate=name, functions=[EXACT, PART])
        run.aggregated[PART] = {"accuracy": {"accuracy": part, "num_correct": 2 * part, "num_total": 2}}
        run.save(update_fields=["aggregated"])

    done = standings.completed("bench")
    assert standings.telling(done, [EXACT, PART]) == PART
    assert standings.telling(done[:1], [EXACT, PART]) == EXACT and standings.telling([], []) == ""


def test_changes_are_only_told_between_runs_of_as_many_rows(bench: Benchmark) -> None:
    base = made.evaluation([0.0, 1.0], candidate="base")
    made.evaluation([0.0, 0.0, 0.0], candidate="ana")
    made.evaluation([1.0, 1.0], candidate="ana")
    [ana] = [one for one in board(baseline=base) if one.newest.candidate == "ana"]

    assert ana.scores[0].change == 0.5
    [ana] = [one for one in board() if one.newest.candidate == "ana"]
    assert ana.scores[0].change is None


def test_earlier_runs_are_told_apart_afterwards(bench: Benchmark) -> None:
    run, whole = made.evaluation([1.0]), made.evaluation([1.0])
    whole.config.num_examples = 100
    whole.save(update_fields=["config"])
    run.config.eval_candidate.system_message = candidate(system_message=system("Short.")).system_message  # type: ignore[union-attr]
    run.config.num_examples = 1
    run.save(update_fields=["config"])

    state = MigrationLoader(connection).project_state(("evals", "0003_ways_of_asking"))
    import_module("apps.evals.migrations.0003_ways_of_asking").tell(state.apps, None)

    run.refresh_from_db()
    whole.refresh_from_db()
    assert run.is_partial and not whole.is_partial
    assert run.fingerprint == variants.fingerprint_of(run.config.eval_candidate)
