"""What the judge is asked, rubric by rubric. Each asks for one JSON object and says what it holds."""

ONLY_JSON = "Reply with this JSON object and nothing else:\n"
QUESTION = "Question:\n{input_query}\n\n"
EXPECTED = "Expected answer:\n{expected_answer}\n\n"
ANSWER = "Answer:\n{generated_answer}\n\n"
CONTEXT = "Context:\n{context}\n\n"

FACTUALITY = (
    "Compare the facts of an answer with those of the expected answer. Ignore style, grammar and punctuation.\n\n"
    + QUESTION
    + EXPECTED
    + ANSWER
    + """Choose the one case that fits:
A: the answer's facts are some of those of the expected answer, and all agree with it.
B: the answer has all facts of the expected answer and more, and all agree with it.
C: the answer has the same facts as the expected answer.
D: the answer contradicts the expected answer.
E: the answers differ, but not in anything that matters for the facts.

"""
    + ONLY_JSON
    + '{"reason": "one sentence", "choice": "A, B, C, D or E"}'
)
CORRECTNESS = (
    "Break an answer and the expected answer into single facts and sort them.\n\n"
    + QUESTION
    + EXPECTED
    + ANSWER
    + ONLY_JSON
    + '{"both": ["facts of the answer that the expected answer supports"], '
    '"only_answer": ["facts of the answer that it does not support"], '
    '"only_expected": ["facts of the expected answer that the answer lacks"]}'
)
SIMILARITY = (
    "Say how alike two answers are in meaning, from 0 (nothing in common) to 1 (they say the same).\n\n"
    + EXPECTED
    + ANSWER
    + ONLY_JSON
    + '{"reason": "one sentence", "score": 0.0}'
)
RELEVANCY = (
    "Say how well an answer keeps to the question asked, whether or not it is true: 1 when it answers the whole "
    "question and nothing else, 0 when it answers another question or evades it.\n\n"
    + QUESTION
    + ANSWER
    + ONLY_JSON
    + '{"reason": "one sentence", "score": 0.0}'
)
QUESTIONS = (
    "Write three questions to which the following text would be the answer, and say whether the text evades: whether "
    "it commits to nothing, as in 'I do not know'.\n\n"
    + ANSWER
    + ONLY_JSON
    + '{"questions": ["first", "second", "third"], "evasive": false}'
)
FAITHFULNESS = (
    "Break the answer into single statements and say of each whether it follows from the context alone: verdict 1 when "
    "it does, 0 when it does not.\n\n"
    + CONTEXT
    + QUESTION
    + ANSWER
    + ONLY_JSON
    + '{"statements": [{"statement": "…", "reason": "…", "verdict": 1}]}'
)
ENTITIES = (
    "List the names, places, dates, numbers and other particular things in two texts. Write a thing that is in both "
    "texts the same way in both lists.\n\n"
    + EXPECTED
    + CONTEXT
    + ONLY_JSON
    + '{"expected": ["things in the expected answer"], "context": ["things in the context"]}'
)
PRECISION = (
    "Say whether the context was useful to arrive at the expected answer: verdict 1 when it was, 0 when it was not.\n\n"
    + QUESTION
    + EXPECTED
    + CONTEXT
    + ONLY_JSON
    + '{"reason": "one sentence", "verdict": 1}'
)
RECALL = (
    "Take the expected answer sentence by sentence and say of each whether the context supports it: verdict 1 when it "
    "does, 0 when it does not.\n\n"
    + QUESTION
    + CONTEXT
    + EXPECTED
    + ONLY_JSON
    + '{"sentences": [{"sentence": "…", "reason": "…", "verdict": 1}]}'
)
RELEVANT = (
    "Copy those sentences of the context that are needed to answer the question, word for word. Copy none when "
    "none is.\n\n" + QUESTION + CONTEXT + ONLY_JSON + '{"sentences": ["…"]}'
)
