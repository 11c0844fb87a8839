"""The OpenAI client against the companion endpoints."""

import os
import sys

from openai import AuthenticationError, NotFoundError, OpenAI

model = os.environ["MODEL"]
client = OpenAI(base_url=f"{os.environ['BASE_URL']}/v1", api_key=os.environ["API_KEY"], max_retries=0)
messages = [{"role": "user", "content": "say:One two three."}]

whole = client.chat.completions.create(model=model, messages=messages)
assert whole.choices[0].message.content == "One two three.", whole
assert whole.usage.completion_tokens == 3

chunks = list(
    client.chat.completions.create(model=model, messages=messages, stream=True, stream_options={"include_usage": True})
)
assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "One two three."
assert chunks[-1].usage.total_tokens > 0

tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
called = client.chat.completions.create(
    model=model, messages=[{"role": "user", "content": 'call:add {"a": 1}'}], tools=[tool]
)
assert called.choices[0].message.tool_calls[0].function.name == "add"

vectors = client.embeddings.create(model=os.environ["EMBEDDING_MODEL"], input=["one", "two"])
assert [len(row.embedding) for row in vectors.data] == [8, 8]
assert vectors.data[0].embedding != vectors.data[1].embedding

for kind, key, name in ((NotFoundError, client.api_key, "no/where"), (AuthenticationError, "wrong", model)):
    try:
        OpenAI(base_url=client.base_url, api_key=key, max_retries=0).chat.completions.create(
            model=name, messages=messages
        )
    except kind:
        continue
    raise AssertionError(f"{kind.__name__} was not raised")
sys.stdout.write("the OpenAI client was answered\n")
