"""What people give rows: 1 to 5 and a note, each person their own; a row's human score is the mean of them."""

from django.db import transaction
from django.db.models import Avg, Count, OuterRef, QuerySet, Subquery
from django.utils.timezone import now

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core import live
from apps.core.errors import BadRequest
from apps.evals import spread
from apps.evals.models import EvaluatedRow, Evaluation, HumanScore
from apps.evals.spread import Json

SCORES = (1, 2, 3, 4, 5)
LONGEST_NOTE = 2_000


def give(evaluation: Evaluation, position: int, score: int, note: str, actor: Principal) -> None:
    """Keep what a person gives a row, in the place of what they gave it before; tells watchers.

    Raises BadRequest for a score that is none of 1 to 5, a note that is too long, and one who is no person.
    """
    if score not in SCORES:
        raise BadRequest(f"score: must be 1, 2, 3, 4 or 5, not {score}")
    if len(note) > LONGEST_NOTE:
        raise BadRequest(f"note: must have at most {LONGEST_NOTE:,} characters, not {len(note):,}")
    if actor.user_id is None:
        raise BadRequest("Human scores are given by people: sign in.")
    given: Json = {"score": score, "note": note.replace("\0", ""), "given_at": now()}
    with transaction.atomic():
        row = _locked(evaluation, position)
        HumanScore.objects.update_or_create(
            evaluation=evaluation, position=position, given_by_id=actor.user_id, defaults=given
        )
        _add_up(row)
        audit.note(actor, "score", "evaluation", evaluation.job.job_id, row=position + 1, score=score)
    _tell(evaluation, position)


def take_back(evaluation: Evaluation, position: int, actor: Principal) -> None:
    """Remove what a person gave a row, if they gave it anything; tells watchers."""
    with transaction.atomic():
        row = _locked(evaluation, position)
        theirs = HumanScore.objects.filter(evaluation=evaluation, position=position, given_by=actor.user_id)
        if not theirs.delete()[0]:
            return
        _add_up(row)
        audit.note(actor, "unscore", "evaluation", evaluation.job.job_id, row=position + 1)
    _tell(evaluation, position)


def _locked(evaluation: Evaluation, position: int) -> EvaluatedRow:
    """Return the row, held until the mean is written: two who score it at once must see each other."""
    rows = EvaluatedRow.objects.select_for_update().only("evaluation_id", "position", "human")
    return rows.get(evaluation=evaluation, position=position)


def _add_up(row: EvaluatedRow) -> None:
    given = HumanScore.objects.filter(evaluation=row.evaluation_id, position=row.position)
    row.human = given.aggregate(mean=Avg("score"))["mean"]
    row.save(update_fields=["human"])


def _tell(evaluation: Evaluation, position: int) -> None:
    live.tell(f"evaluation:{evaluation.job.job_id}", {"event_type": "row_scored", "positions": [position]})


def copy(before: int, after: int, rows: QuerySet[EvaluatedRow]) -> None:
    """Give rows of an evaluation what people gave them in another; called inside a write."""
    given = list(HumanScore.objects.filter(evaluation=before, position__in=rows.values("position")))
    for one in given:
        one.pk, one.evaluation_id = None, after
    HumanScore.objects.bulk_create(given)
    means = EvaluatedRow.objects.filter(evaluation=before, position=OuterRef("position")).values("human")
    rows.filter(position__in={one.position for one in given}).update(human=Subquery(means))


def distribution(evaluation: Evaluation) -> Json | None:
    """Return how the human scores of an evaluation are distributed, as ``spread.of`` does; None while there are none.

    A row counts once, with its mean: the bars are rows by it, rounded.
    """
    rows = EvaluatedRow.objects.filter(evaluation=evaluation.pk, human__isnull=False).order_by()
    counts = dict(rows.values_list("human").annotate(Count("pk")))
    if not counts:
        return None
    told = spread.of([{"score": mean} for mean, count in counts.items() for _ in range(count)])
    bars = {score: 0 for score in SCORES}
    for mean, count in counts.items():
        bars[int(mean + 0.5)] += count
    unscored = evaluation.row_count - int(told["scored"])
    return told | {"unscored": max(0, unscored), "bars": [[str(score), count] for score, count in bars.items()]}
