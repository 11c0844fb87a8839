"""The client's own Agent helper: it runs a Python function as the tool, and prints what happens."""

import os
import sys

from llama_stack_client import Agent, AgentEventLogger, LlamaStackClient


def get_weather(city: str) -> str:
    """Tell the weather of a city.

    :param city: where
    """
    seen.append(city)
    return f"sunny in {city}"


seen: list[str] = []
client = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], timeout=60)
agent = Agent(client, model=os.environ["MODEL"], instructions="Be brief.", tools=[get_weather])
session_id = agent.create_session("Helper")
question = {"role": "user", "content": 'call:get_weather {"city": "Porto"}'}

# Streamed: the helper runs the function and resumes the turn by itself.
lines = [str(line) for line in AgentEventLogger().log(agent.create_turn(messages=[question], session_id=session_id))]
printed = "".join(lines)
assert seen == ["Porto"], seen
assert "get_weather" in printed, printed
assert "sunny in Porto" in printed, printed

# Not streamed: the same, and the turn comes back whole.
turn = agent.create_turn(messages=[question], session_id=session_id, stream=False)
assert seen == ["Porto", "Porto"], seen
assert "sunny in Porto" in turn.output_message.content, turn
assert [step.step_type for step in turn.steps][:2] == ["inference", "tool_execution"], turn.steps
sys.stdout.write(f"{printed}\nthe helper drove two turns\n")
