"""Every call on scoring functions and scoring of the installed client, against the server of BASE_URL."""

import os

import llama_stack_client
from llama_stack_client import LlamaStackClient

client = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])
ROWS = [
    {"input_query": "1+1?", "expected_answer": "2", "generated_answer": "2"},
    {"input_query": "2+2?", "expected_answer": "4", "generated_answer": "It is 4"},
]
MINE = f"client/{llama_stack_client.__version__}"

known = {one.identifier: one for one in client.scoring_functions.list()}
assert {"basic::equality", "basic::ifeval", "llm-as-judge::base", "braintrust::factuality"} <= set(known)
assert client.scoring_functions.retrieve("basic::equality").provider_id == "basic"

told = client.scoring.score(input_rows=ROWS, scoring_functions={"basic::equality": None, "basic::subset_of": None})
assert [row["score"] for row in told.results["basic::equality"].score_rows] == [1.0, 0.0]
assert told.results["basic::subset_of"].aggregated_results["accuracy"]["accuracy"] == 1.0

client.scoring_functions.register(
    scoring_fn_id=MINE,
    provider_id="llm-as-judge",
    description="Says back what it is asked",
    return_type={"type": "string"},
    params={
        "type": "llm_as_judge",
        "judge_model": os.environ["MODEL"],
        "prompt_template": "Any words",
        "judge_score_regexes": [r"(\w+)"],
        "aggregation_functions": ["categorical_count"],
    },
)
mine = client.scoring_functions.retrieve(MINE)
assert (mine.provider_resource_id, mine.params.judge_model) == ("llm-as-judge::base", os.environ["MODEL"])
judged = client.scoring.score(input_rows=ROWS, scoring_functions={MINE: mine.params.to_dict()}).results[MINE]
assert all(row["score"] and row["judge_feedback"] for row in judged.score_rows)
assert sum(judged.aggregated_results["categorical_count"]["categorical_count"].values()) == 2

dataset = client.datasets.register(purpose="eval/question-answer", source={"type": "rows", "rows": ROWS})
batch = client.scoring.score_batch(
    dataset_id=dataset.identifier, scoring_functions={"basic::equality": None}, save_results_dataset=True
)
assert [row["score"] for row in batch.results["basic::equality"].score_rows] == [1.0, 0.0]
assert client.datasets.retrieve(batch.dataset_id).metadata["scored_from"] == dataset.identifier

for wrong, error in (
    ({"basic::no": None}, llama_stack_client.NotFoundError),
    ({"basic::equality": {"type": "regex_parser", "parsing_regexes": [], "aggregation_functions": []}},
     llama_stack_client.BadRequestError),
):  # fmt: skip
    try:
        client.scoring.score(input_rows=ROWS, scoring_functions=wrong)
    except error:
        continue
    raise AssertionError(f"{wrong} was not refused")

print("all scoring calls were answered")
