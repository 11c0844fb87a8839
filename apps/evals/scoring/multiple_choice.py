"""Multiple choice: find the letter an answer settles on, in any of twenty languages."""

from apps.evals.schemas import RegexParserScoringFnParams
from apps.evals.scoring import expressions
from apps.evals.scoring.base import Json, Scorer, Task

# A–D as written in Latin, full-width, Arabic and Bengali.
LETTER = "([A-D]|[Ａ-Ｄ]|[أ-د]|[অবডঢ])"
# The word for "answer", by language; languages that write a full-width colon use it beside the plain one.
WORDS = {
    "English": ("Answer",),
    "German": ("Antwort",),
    "French": ("Réponse",),
    "Spanish": ("Respuesta",),
    "Italian": ("Risposta",),
    "Portuguese": ("Resposta",),
    "Indonesian": ("Jawaban",),
    "Swahili": ("Jibu",),
    "Yoruba": ("Idahun", "Ìdáhùn", "Idáhùn", "Àmọ̀nà", "Àdáhùn", "Ànúgọ", "Àṣàyàn"),
    "Hindi": ("उत्तर",),
    "Bengali": ("উত্তর",),
    "Arabic": (
        "الإجابة", "الجواب", "إجابة", "الإجابة النهائية", "الإجابة الصحيحة", "الإجابة الصحيحة هي", "الإجابة هي",
    ),
    "Korean": ("답변", "정답", "답"),
    "Japanese": ("答え", "回答", "解答"),
    "Chinese": ("答案", "答", "答复", "答曰"),
    "Russian": ("Ответ",),
    "Turkish": ("Cevap", "Yanıt"),
    "Vietnamese": ("Đáp án", "Trả lời"),
    "Dutch": ("Antwoord",),
    "Polish": ("Odpowiedź",),
    "Ukrainian": ("Відповідь",),
}  # fmt: skip
OTHERS = ("The best answer is ", "উত্তরঃ")


def _defaults() -> list[str]:
    labels = [OTHERS[0], *(f"{word}\\s*[:：]" for words in WORDS.values() for word in words), OTHERS[1]]
    return [f"(?i){label}\\s*{LETTER}" for label in labels]


async def _chosen(task: Task) -> Json:
    letter = await expressions.first_group(task.params.parsing_regexes, task.text("generated_answer"))
    return {"score": float(letter is not None and letter == task.text("expected_answer"))}


MULTIPLE_CHOICE = Scorer(
    "basic::regex_parser_multiple_choice_answer",
    "1 when the letter found in the answer is the expected one. The first expression that matches finds it.",
    _chosen,
    RegexParserScoringFnParams(parsing_regexes=expressions.trust(_defaults()), aggregation_functions=["accuracy"]),
)
