"""The main job as a program does it: an agent on the embedded model, streamed; and vectors from the embedded one."""

import os
import sys

from llama_stack_client import LlamaStackClient
from openai import OpenAI

client = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], timeout=120)
config = {
    "model": "embedded/smollm2-135m",
    "instructions": "You are a friendly storyteller.",
    "sampling_params": {"strategy": {"type": "greedy"}, "max_tokens": 40},
}
agents = client.alpha.agents
agent_id = agents.create(agent_config=config).agent_id
session_id = agents.session.create(agent_id, session_name="Embedded").session_id
message = {"role": "user", "content": "Tell me about a cat in two sentences."}
chunks = agents.turn.create(agent_id=agent_id, session_id=session_id, messages=[message], stream=True)
payloads = [chunk.event.payload for chunk in chunks]
deltas = [p.delta.text for p in payloads if p.event_type == "step_progress"]
turn = payloads[-1].turn
assert len(deltas) > 5, deltas
assert "".join(deltas) == turn.output_message.content
assert turn.output_message.stop_reason in ("end_of_turn", "out_of_tokens")

vectors = OpenAI(base_url=f"{os.environ['BASE_URL']}/v1", api_key=os.environ["API_KEY"]).embeddings.create(
    model="embedded/all-minilm-l6-v2", input=["a cat", "a kitten", "a tax form"], encoding_format="float"
)
cat, kitten, form = (row.embedding for row in vectors.data)
assert len(cat) == 384


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


assert likeness(cat, kitten) > likeness(cat, form)
sys.stdout.write(f"{turn.output_message.content}\nthe embedded models answered\n")
