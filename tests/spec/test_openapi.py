"""Our OpenAPI document against the published one."""

import json

from tests.spec import contract


def test_our_document_is_the_contract_on_what_is_built() -> None:
    from stack_console.api import api

    document = json.loads(json.dumps(api.get_openapi_schema(path_prefix="")))

    assert contract.differences(document) == []


def test_the_comparison_notices_what_changed() -> None:
    changed = json.loads(json.dumps(contract.CONTRACT))
    for path in contract.COVERED:
        changed["paths"][contract.PREFIX.sub("/v1", path)] = {
            method: {**operation, "deprecated": True} for method, operation in contract.CONTRACT["paths"][path].items()
        }
    for method, path in contract.OURS_ALONE:
        changed["paths"].setdefault(path, {})[method] = {}
    assert contract.differences(changed) == []

    del changed["components"]["schemas"]["Turn"]["properties"]["session_id"]

    assert any("session_id" in line for line in contract.differences(changed))
