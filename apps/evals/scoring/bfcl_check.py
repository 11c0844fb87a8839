"""Whether the calls of an answer are allowed ones. Runs in a child process: answers are parsed as code.

An argument must have the type its function declares, or be a variable where the allowed values name one; its value
must be among the allowed ones, where ``""`` means that it may be left out.
"""

import json
import re
from typing import Any

from apps.evals.scoring.bfcl_calls import UNREADABLE, Call, calls_in
from apps.evals.scoring.bfcl_values import JAVA, JAVASCRIPT, PYTHON, converted, typed
from apps.evals.scoring.refusal import Refused

Json = dict[str, Any]
LANGUAGES = {"python": PYTHON, "java": JAVA, "javascript": JAVASCRIPT, "js": JAVASCRIPT}
NOT_COMPARED = re.compile(r"[ ,./\-_*^]")


def verdict(order: Any) -> str:
    """Return why the answer is wrong, "" when it is right; raises Refused for a row that cannot be checked."""
    category = order["id"].rpartition("_")[0] or order["id"]
    language = _language(order["language"], category)
    calls = calls_in(order["answer"], language)
    if "irrelevance" in category:
        return f"It calls {calls[0].name} where no function fits." if calls else ""
    if "relevance" in category:
        return "" if calls else "It calls no function."
    functions = _functions(order["function"])
    allowed = _allowed(order["ground_truth"])
    if not calls:
        return "No call of a function could be read from the answer."
    if len(calls) != len(allowed):
        return f"It calls {len(calls)} functions, not {len(allowed)}."
    try:
        return _matched(calls, allowed, functions, language)
    except UNREADABLE:
        return "Its calls hold numbers or nestings beyond all bounds."


def _matched(calls: list[Call], allowed: list[tuple[str, Json]], functions: dict[str, Json], language: str) -> str:
    """Give each allowed call one that was made, in any order."""
    left = list(calls)
    for name, arguments in allowed:
        declared = functions.get(_plain(name)) or (next(iter(functions.values())) if len(functions) == 1 else None)
        if declared is None:
            raise Refused(f"'ground_truth' calls {name}, which 'function' does not declare.")
        wrong = ""
        for call in left:
            fault = _fault(call, declared, arguments, language)
            if not fault:
                left.remove(call)
                break
            wrong = wrong or fault
        else:
            return wrong
    return ""


def _fault(call: Call, declared: Json, allowed: Json, language: str) -> str:
    """Return what is wrong with one call, "" when it is allowed."""
    name = str(declared["name"])
    if _plain(call.name) != _plain(name):
        return f"It calls {call.name}, not {name}."
    parameters = declared.get("parameters") or {}
    properties = parameters.get("properties") or {}
    lacking = [one for one in parameters.get("required") or [] if one not in call.arguments]
    lacking += [one for one, values in allowed.items() if one not in call.arguments and "" not in values]
    if lacking:
        return f"{name} is called without '{lacking[0]}'."
    for argument, value in call.arguments.items():
        if argument not in properties or argument not in allowed:
            return f"{name} takes no '{argument}' here."
        if wrong := _wrong(value, properties[argument], allowed[argument], language):
            return f"{name}: '{argument}' {wrong}"
    return ""


def _wrong(value: Any, declared: Json, allowed: list[Any], language: str) -> str:
    value = converted(value, declared, language)
    wanted = typed(declared.get("type"), language)
    example = next((one for one in allowed if one != ""), None)
    if wanted is float and language == PYTHON and type(value) is int:
        value = float(value)
    is_variable = example is not None and type(example) is not wanted and type(value) is type(example)
    if type(value) is not wanted and not is_variable:
        return f"must be of type {declared.get('type')}."
    if wanted is list and not is_variable and not _items_fit(value, declared, allowed, language):
        return f"must hold items of type {(declared.get('items') or {}).get('type')}."
    if is_variable:
        fits = value in allowed  # a name is written as it is
    elif wanted is dict:
        fits = any(_same_dict(value, one) for one in allowed if isinstance(one, dict))
    else:
        fits = any(_same(value, one) for one in allowed)
    return "" if fits else f"is {_short(value)}, which is none of {_short(allowed)}."


def _items_fit(value: list[Any], declared: Json, allowed: list[Any], language: str) -> bool:
    inner = declared.get("items") or {}
    wanted = typed(inner.get("type"), language) if inner.get("type") else None
    if wanted is None:
        return True
    examples = {type(item) for one in allowed if isinstance(one, list) for item in one}
    return all(type(item) is wanted or type(item) in examples for item in value)


def _same(value: Any, allowed: Any) -> bool:
    """Return whether two values are the same; texts apart from case, blanks and light punctuation."""
    if isinstance(value, str) and isinstance(allowed, str):
        return _even(value) == _even(allowed)
    if isinstance(value, list) and isinstance(allowed, list):
        return len(value) == len(allowed) and all(map(_same_item, value, allowed))
    return not isinstance(allowed, str) and bool(value == allowed)


def _same_item(value: Any, allowed: Any) -> bool:
    return (
        _same_dict(value, allowed) if isinstance(value, dict) and isinstance(allowed, dict) else _same(value, allowed)
    )


def _same_dict(value: Json, allowed: Json) -> bool:
    """Compare with an object whose values are lists of allowed ones."""
    lists = {key: one if isinstance(one, list) else [one] for key, one in allowed.items()}
    if any(key not in lists for key in value):
        return False
    if any(key not in value and "" not in one for key, one in lists.items()):
        return False
    return all(any(_same_item(item, one) for one in lists[key]) for key, item in value.items())


def _even(text: str) -> str:
    return NOT_COMPARED.sub("", text).lower().replace("'", '"')


def _plain(name: str) -> str:
    """Even out what servers without dots in names write instead."""
    return name.replace(".", "_")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _language(given: Any, category: str) -> str:
    if isinstance(given, str) and given.lower() in LANGUAGES:
        return LANGUAGES[given.lower()]
    if given not in (None, ""):
        raise Refused(f"'language' is one of {', '.join(LANGUAGES)}.")
    return JAVASCRIPT if "javascript" in category else JAVA if "java" in category else PYTHON


def _functions(value: Any) -> dict[str, Json]:
    value = _read(value, "function")
    listed = value if isinstance(value, list) else [value]
    if not listed or any(not isinstance(one, dict) or not isinstance(one.get("name"), str) for one in listed):
        raise Refused("'function' must declare functions with a name and parameters.")
    return {_plain(one["name"]): one for one in listed}


def _allowed(value: Any) -> list[tuple[str, Json]]:
    value = _read(value, "ground_truth")
    listed = value if isinstance(value, list) else [value]
    pairs = [pair for one in listed if isinstance(one, dict) for pair in list(one.items())[:1]]
    if not pairs or len(pairs) != len(listed) or any(not isinstance(one, dict) for _, one in pairs):
        raise Refused("'ground_truth' must be a list of {name: {argument: [allowed values]}}.")
    return [
        (name, {key: one if isinstance(one, list) else [one] for key, one in arguments.items()})
        for name, arguments in pairs
    ]


def _read(value: Any, column: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Refused(f"'{column}' is not valid JSON: {error}") from error
