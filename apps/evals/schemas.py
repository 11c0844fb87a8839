"""Benchmarks, evaluations and scoring, as the specification names them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from apps.agents.schemas import AgentConfig
from apps.core.content import InterleavedContent
from apps.core.spec import Boolean, Integer, SpecModel
from apps.inference.schemas import SamplingParams

AggregationFunctionType = Literal["average", "weighted_average", "median", "categorical_count", "accuracy"]


def _required(*names: str) -> Any:
    """Publish fields as required, as the specification does; left out, they are read as empty."""
    return {"required": list(names)}


class Benchmark(SpecModel):
    """A dataset and the functions its answers are scored by."""

    identifier: str
    provider_resource_id: str | None = None
    provider_id: str
    type: Literal["benchmark"] = "benchmark"
    dataset_id: str
    scoring_functions: list[str]
    metadata: dict[str, Any]


class ListBenchmarksResponse(SpecModel):
    """Every benchmark."""

    data: list[Benchmark]


class RegisterBenchmarkRequest(SpecModel):
    """A new benchmark; its dataset and functions are looked up when it is run."""

    benchmark_id: str
    dataset_id: str
    scoring_functions: list[str]
    provider_benchmark_id: str | None = None
    provider_id: str | None = None
    metadata: dict[str, Any] | None = None


class SystemMessage(SpecModel):
    """What a model is told before everything else."""

    role: Literal["system"] = "system"
    content: InterleavedContent


class ModelCandidate(SpecModel):
    """A model to evaluate."""

    type: Literal["model"] = "model"
    model: str
    sampling_params: SamplingParams
    system_message: SystemMessage | None = None


class AgentCandidate(SpecModel):
    """An agent to evaluate, by its configuration."""

    type: Literal["agent"] = "agent"
    config: AgentConfig


EvalCandidate = Annotated[ModelCandidate | AgentCandidate, Field(discriminator="type")]


class BasicScoringFnParams(SpecModel):
    """Parameters of a function that compares."""

    model_config = ConfigDict(json_schema_extra=_required("aggregation_functions"))

    type: Literal["basic"] = "basic"
    aggregation_functions: list[AggregationFunctionType] = Field(default_factory=list)


class RegexParserScoringFnParams(SpecModel):
    """Parameters of a function that first finds the answer in the text; the first expression that matches counts."""

    model_config = ConfigDict(json_schema_extra=_required("parsing_regexes", "aggregation_functions"))

    type: Literal["regex_parser"] = "regex_parser"
    parsing_regexes: list[str] = Field(default_factory=list)
    aggregation_functions: list[AggregationFunctionType] = Field(default_factory=list)


class LLMAsJudgeScoringFnParams(SpecModel):
    """Parameters of a function that asks a model for its verdict."""

    model_config = ConfigDict(
        json_schema_extra=_required("judge_model", "judge_score_regexes", "aggregation_functions")
    )

    type: Literal["llm_as_judge"] = "llm_as_judge"
    judge_model: str
    prompt_template: str | None = None
    judge_score_regexes: list[str] = Field(default_factory=list)
    aggregation_functions: list[AggregationFunctionType] = Field(default_factory=list)


ScoringFnParams = Annotated[
    LLMAsJudgeScoringFnParams | RegexParserScoringFnParams | BasicScoringFnParams, Field(discriminator="type")
]


class BenchmarkConfig(SpecModel):
    """Who is evaluated, and how: parameters by function id hold for this run only."""

    model_config = ConfigDict(json_schema_extra=_required("eval_candidate", "scoring_params"))

    eval_candidate: EvalCandidate
    scoring_params: dict[str, ScoringFnParams] = Field(default_factory=dict)
    num_examples: Integer | None = None


class RunEvalRequest(SpecModel):
    """Run a benchmark."""

    benchmark_config: BenchmarkConfig


class EvaluateRowsRequest(SpecModel):
    """Evaluate rows that come with the request."""

    input_rows: list[dict[str, Any]]
    scoring_functions: list[str]
    benchmark_config: BenchmarkConfig


class ScoringResult(SpecModel):
    """A score for each row, and what they come to together."""

    score_rows: list[dict[str, Any]]
    aggregated_results: dict[str, Any]


class EvaluateResponse(SpecModel):
    """What was answered to each row, and how it was scored."""

    generations: list[dict[str, Any]]
    scores: dict[str, ScoringResult]


class ReturnType(SpecModel):
    """What kind of value a scoring function's score is."""

    type: Literal[
        "string",
        "number",
        "boolean",
        "array",
        "object",
        "json",
        "union",
        "chat_completion_input",
        "completion_input",
        "agent_turn_input",
    ]


class ScoringFn(SpecModel):
    """A scoring function. A companion type of the stable API."""

    identifier: str
    provider_resource_id: str | None = None
    provider_id: str
    type: Literal["scoring_function"] = "scoring_function"
    description: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    return_type: ReturnType
    params: ScoringFnParams | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether runs may be scored by it; a registered function can be switched off."""
        return self.metadata.get("enabled") is not False


class ListScoringFunctionsResponse(SpecModel):
    """Every scoring function."""

    data: list[ScoringFn]


class RegisterScoringFunctionRequest(SpecModel):
    """A new scoring function: a built-in one under another name with parameters of its own."""

    scoring_fn_id: str
    description: str
    return_type: ReturnType
    provider_scoring_fn_id: str | None = None
    provider_id: str | None = None
    params: ScoringFnParams | None = None


class ScoreRequest(SpecModel):
    """Score rows that come with the request; the parameters of a function may be null."""

    input_rows: list[dict[str, Any]]
    scoring_functions: dict[str, ScoringFnParams | None]


class ScoreResponse(SpecModel):
    """A result for each scoring function."""

    results: dict[str, ScoringResult]


class ScoreBatchRequest(SpecModel):
    """Score the rows of a dataset, and keep them with their scores as a new dataset if asked to."""

    dataset_id: str
    scoring_functions: dict[str, ScoringFnParams | None]
    save_results_dataset: Boolean = False


class ScoreBatchResponse(SpecModel):
    """A result for each scoring function, and the dataset that was made."""

    dataset_id: str | None = None
    results: dict[str, ScoringResult]
