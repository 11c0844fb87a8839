"""Filters with as many words as an address holds are answered, and soon."""

import pytest
from django.test import Client

from apps.accounts.models import User

LISTS = (
    "/agents/", "/benchmarks/", "/datasets/", "/evaluations/", "/models/", "/scorers/", "/system/jobs/", "/traces/",
)  # fmt: skip


@pytest.mark.timeout(20)  # a condition that doubles with each word would take for ever
@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_filtered_by_many_words(client: Client, viewer: User, path: str) -> None:
    client.force_login(viewer)

    assert client.get(f"{path}?q={'+'.join('a' * 1_500)}").status_code == 200
