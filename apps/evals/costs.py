"""What an evaluation costs: its candidate's tokens and those of the models that scored, at the prices of its start."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from apps.evals import schemas
from apps.evals.functions import Resolved
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running import candidates
from apps.evals.running.spending import Tally
from apps.inference import prices
from apps.inference.prices import Cost, Price

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of the models that scored, and what all tokens cost; ``why`` tells what of it is not known."""

    cost: Cost | None = None
    is_least: bool = False  # some answers came without their count of tokens, or a price is not known
    why: str = ""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def is_told(self) -> bool:
        """Whether there is anything to tell of cost: a price was set for somebody."""
        return self.cost is not None or bool(self.why)

    def __str__(self) -> str:
        """Return the cost in words, empty when it is not known."""
        return "" if self.cost is None else f"{'at least ' if self.is_least else ''}{self.cost}"


def at_start(config: schemas.BenchmarkConfig, scoring: Mapping[str, Resolved]) -> Json:
    """Return the prices of all a run may ask, to be kept with it; reads the database once."""
    asked = {getattr(one.params, "judge_model", None) for one in scoring.values()}
    asked |= {one.embedding_model for one in scoring.values()}
    mine, judges = candidates.model_of(config.eval_candidate), sorted(filter(None, asked))
    return kept(mine, judges, prices.named([mine, *judges]))


def kept(mine: str, judges: Iterable[str], known: Mapping[str, Price]) -> Json:
    """Return what is kept with a run of the known prices, those of the candidate's model and of its judges."""
    told: Json = {"judges": {name: known[name].as_json() for name in judges if name in known}}
    return told | ({"candidate": known[mine].as_json()} if mine in known else {})


def of(run: Evaluation, at: Json | None = None) -> Spent:
    """Return what the rows that are done took and cost, at other prices if told; asks nothing of the database."""
    answered = run.row_count - run.failed_count
    uncounted = run.spread.get("uncounted", 0)
    tokens = (run.input_tokens, run.output_tokens) if answered > 0 else (0, 0)
    return _spent(run.prices if at is None else at, tokens, uncounted, run.judged)


def of_row(run: Evaluation, row: EvaluatedRow) -> Spent:
    """Return what one row took and cost."""
    tokens = (0, 0) if row.error else (row.input_tokens, row.output_tokens)
    return _spent(run.prices, tokens, 0, from_json(row.judged or "{}"))


def who_scored(run: Evaluation, judged: Tally) -> str:
    """Return in words whose tokens a tally tells: those of judges, of the model that made vectors, or both."""
    embedding = {one.get("embedding_model") for one in run.scoring.values()}
    kinds = {"judges": judged.keys() - embedding, "embedding model": judged.keys() & embedding}
    return " and ".join(kind for kind, models in kinds.items() if models)


def _spent(at: Json, tokens: tuple[int | None, int | None], uncounted: int, judged: Tally) -> Spent:
    table = {name: prices.read(one) for name, one in at.get("judges", {}).items()}
    mine = prices.read(at.get("candidate"))
    known = {"the candidate": mine.cost(*tokens) if mine else None}
    known |= {name: _cost(table.get(name), counts) for name, counts in judged.items()}
    cost = known["the candidate"] and prices.total(filter(None, known.values()))
    numbers = {
        name: sum(counts[name] for counts in judged.values()) for name in ("calls", "input_tokens", "output_tokens")
    }
    is_least = uncounted > 0 or None in known.values() or any(counts["uncounted"] for counts in judged.values())
    why = _why(known, {"the candidate": mine, **table}) if None in (cost, *known.values()) and (mine or table) else ""
    return Spent(cost, is_least, why, **numbers)


def _cost(price: Price | None, counts: Mapping[str, int]) -> Cost | None:
    if price is None or counts["uncounted"] == counts["calls"]:
        return None
    return price.cost(counts["input_tokens"], counts["output_tokens"])


def _why(known: Mapping[str, Cost | None], table: Mapping[str, Price | None]) -> str:
    """Return in words why costs do not add up."""
    for name, cost in known.items():
        if cost is None:
            return f"{'tokens' if table.get(name) else 'price'} of {name} not known"
    return "prices in several currencies"
