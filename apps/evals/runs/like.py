"""A run told as the form of a new evaluation: what its fields begin with, and what of the run is not there any more."""

from typing import Any

from apps.agents import known
from apps.agents.models import Agent
from apps.core.content import text_of
from apps.evals import schemas
from apps.evals.models import Benchmark, Evaluation
from apps.evals.runs.form import OFFERED, prefix_of

Fields = dict[str, Any]
Gone = list[str]
USUAL_SUMS: tuple[list[str], ...] = ([], ["average"])  # how scores are added up by what the form asks for


def filled_in(run: Evaluation, benchmark: Benchmark) -> tuple[Fields, Gone]:
    """Return what the form of a benchmark begins with for another run like this one, and what it has to leave out."""
    candidate = run.config.eval_candidate
    fields, gone = _agent(candidate) if candidate.type == "agent" else _model(candidate)
    if benchmark.benchmark_id != run.benchmark_id:
        gone.append(f"Its benchmark '{run.benchmark_id}' was deleted: choose another one.")
    if (wanted := run.config.num_examples or 0) > 0:
        fields["num_examples"] = wanted
    here = list(benchmark.scoring_functions)
    gone += [f"'{name}', which scored it, is no scorer of this benchmark." for name in run.scoring if name not in here]
    for name, params in run.config.scoring_params.items():
        if name in here:
            said, missing = _scorer(name, params)
            fields |= {f"{prefix_of(here.index(name))}{field}": value for field, value in said.items()}
            gone += missing
    return fields, gone


def _model(candidate: schemas.ModelCandidate) -> tuple[Fields, Gone]:
    sampling, said = candidate.sampling_params, candidate.system_message
    strategy = sampling.strategy.model_dump(exclude_none=True)
    fields = {"strategy": strategy.pop("type"), **strategy, "max_tokens": str(sampling.max_tokens)}
    fields |= {"models": [candidate.model], "system_message": [text_of(said.content) if said else ""]}
    gone = [_no_model("model", candidate.model)] if _is_away(candidate.model) else []
    if sampling.stop or sampling.repetition_penalty != 1:
        gone.append("Its stop words and its repetition penalty have no field here: they are left out.")
    return fields, gone


def _agent(candidate: schemas.AgentCandidate) -> tuple[Fields, Gone]:
    """Return the newest agent that is configured as the run's was."""
    for one in Agent.objects.order_by("-id")[:OFFERED]:
        if one.agent_config == candidate.config:
            return {"agents": [one.agent_id]}, []
    return {}, [f"Its agent '{candidate.config.name or candidate.config.model}' was deleted: choose another one."]


def _scorer(name: str, params: schemas.ScoringFnParams) -> tuple[Fields, Gone]:
    """Return what was said to a scorer in this run, by the names of its fields."""
    said = params.model_dump(exclude_none=True, exclude={"type", "aggregation_functions"})
    fields = {field: "\n".join(value) if isinstance(value, list) else value for field, value in said.items()}
    gone = []
    if _is_away(fields.get("judge_model", "")):
        gone.append(_no_model(f"judge of '{name}',", fields.pop("judge_model")))
    if params.aggregation_functions not in USUAL_SUMS:
        gone.append(f"How '{name}' added up its scores has no field here: it does so as usual.")
    return fields, gone


def _is_away(model: str) -> bool:
    return bool(model) and model not in {one.identifier for one in known.models()}


def _no_model(what: str, name: str) -> str:
    return f"Its {what} '{name}' is not on this server any more: choose another one."
