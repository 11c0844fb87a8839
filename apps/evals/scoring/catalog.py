"""Every built-in scoring function, by its id."""

from apps.evals.scoring.base import Scorer
from apps.evals.scoring.bfcl import BFCL
from apps.evals.scoring.docvqa import DOCVQA
from apps.evals.scoring.equality import EQUALITY, SUBSET_OF
from apps.evals.scoring.ifeval import IFEVAL
from apps.evals.scoring.judging import BASE, SIMPLEQA
from apps.evals.scoring.math_response import MATH_RESPONSE
from apps.evals.scoring.multiple_choice import MULTIPLE_CHOICE
from apps.evals.scoring.rubrics import RUBRICS

BUILT_IN: dict[str, Scorer] = {
    scorer.identifier: scorer
    for scorer in (
        EQUALITY, SUBSET_OF, MULTIPLE_CHOICE, MATH_RESPONSE, IFEVAL, DOCVQA, BFCL, BASE, SIMPLEQA, *RUBRICS,
    )
}  # fmt: skip
