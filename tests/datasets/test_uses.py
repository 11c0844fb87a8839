"""What a dataset may be used for: yes, or why not and what helps."""

import json
from typing import Any

import pytest

from apps.datasets import registry, rows, schemas, uses
from apps.datasets.models import Dataset, State
from tests import build

QA = {"question": "What?", "answer": "This"}
TALK = {"messages": [{"role": "user", "content": "Hi"}]}
pytestmark = pytest.mark.django_db


def make(given: list[Any], purpose: str = "eval/question-answer", name: str = "it") -> Dataset:
    source = schemas.RowsDataSource(rows=[])
    asked = schemas.RegisterDatasetRequest(purpose=purpose, source=source, dataset_id=name)  # type: ignore[arg-type]
    return registry.register_now(registry.Request(asked, [json.dumps(row) for row in given], given), build.actor())


@pytest.mark.parametrize(
    ("purpose", "row", "fit"),
    [
        ("post-training/messages", TALK, "training"),
        ("eval/question-answer", QA, "evaluation"),
        ("eval/messages-answer", TALK | {"answer": "Hi"}, "evaluation"),
    ],
)
def test_a_purpose_serves_one_use_and_the_other_says_why_not(purpose: str, row: Any, fit: str) -> None:
    told = {use.name: use for use in uses.all_of(make([row], purpose))}

    assert told.pop(fit).is_fit
    [other] = told.values()
    assert not other.is_fit
    assert "not for" in other.why and "new dataset for" in other.way_out
    assert list(uses.fit_for(Dataset.objects.all(), fit)) == [Dataset.objects.get()]
    assert not uses.fit_for(Dataset.objects.all(), other.name).exists()


@pytest.mark.parametrize(
    ("given", "changes", "why"),
    [
        ([], {}, "it has no rows"),
        ([QA], {"state": State.LOADING}, "its rows are still being loaded"),
        ([QA], {"state": State.FAILED}, "its rows could not be loaded"),
    ],
)
def test_what_stands_in_the_way_is_told(given: list[Any], changes: dict[str, Any], why: str) -> None:
    dataset = make(given)
    Dataset.objects.update(**changes)
    dataset.refresh_from_db()

    assert uses.of(dataset, uses.EVALUATION).why == why
    assert not uses.fit_for(Dataset.objects.all(), uses.EVALUATION).exists()


def test_rows_that_do_not_fit_bar_training_and_not_evaluation() -> None:
    asked, taught = make([{"question": "Write a poem."}]), make([QA], "post-training/messages", "talk")

    assert asked.warning and uses.of(asked, uses.EVALUATION).is_fit
    assert uses.of(taught, uses.TRAINING).why == "its rows do not fit its purpose"
    assert [one.dataset_id for one in uses.fit_for(Dataset.objects.all(), uses.EVALUATION)] == ["it"]
    assert not uses.fit_for(Dataset.objects.all(), uses.TRAINING).exists()


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Q", "expected_answer": "A"},
        {"prompt": "P", "chat_completion_input": TALK["messages"], "instruction_id_list": [], "kwargs": []},
        {"id": "simple_1", "question": "Q", "function": [], "ground_truth": []},
    ],
)
def test_whatever_is_asked_and_scored_fits_an_evaluation(row: Any) -> None:
    assert not make([row]).warning


def test_rows_that_were_mended_make_a_dataset_fit() -> None:
    dataset = make([QA, TALK, TALK])
    assert dataset.warning.startswith("Row 2:")

    rows.replace_row("it", 1, json.dumps(QA), build.actor())
    dataset.refresh_from_db()
    assert dataset.warning.startswith("Row 3:")
    rows.delete_rows("it", [0], build.actor())
    dataset.refresh_from_db()
    assert dataset.warning.startswith("Row 3:"), "rows keep their numbers"
    rows.delete_rows("it", [2], build.actor())
    dataset.refresh_from_db()
    assert uses.of(dataset, uses.EVALUATION).is_fit
