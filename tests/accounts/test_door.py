"""The door on the real ASGI application, and the sockets it leaves open when somebody's role changes."""

import asyncio
from typing import Any

import httpx2
import pytest
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import AsyncClient, Client
from pydantic_core import from_json, to_json

from apps.accounts import people
from apps.accounts.models import AuditLine, User
from apps.core import db, live
from tests import build
from tests.accounts.cookies import cookie_of


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> str:
    """A topic only operators may watch."""

    async def may_watch(user: Any, topic: str) -> bool:
        return bool(user.can("operator"))

    async def frames(topic: str, number: int, event: live.Event) -> list[dict[str, Any]]:
        return [{"k": "state", "v": event}]

    monkeypatch.setitem(live._kinds, "trial", live.Topic(may_watch, frames))
    return "trial:1"


async def socket_of(user: User, cookie: str = "") -> WebsocketCommunicator:
    from stack_console.asgi import application

    cookie = cookie or await db.write(cookie_of, user)
    headers = [
        (b"origin", b"http://testserver"),
        (b"host", b"testserver"),
        (b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()),
    ]
    socket = WebsocketCommunicator(application, "/ws/live/", headers=headers)
    connected, _ = await socket.connect()
    assert connected
    return socket


async def test_a_stranger_is_led_to_set_up_and_later_to_sign_in(client_for: Any) -> None:
    client: httpx2.AsyncClient = client_for("")
    assert (await client.get("/settings/keys/")).headers["Location"] == "/setup/"

    await db.write(build.user, "admin")

    assert (await client.get("/settings/keys/")).headers["Location"] == "/login/?next=/settings/keys/"


async def test_a_session_opens_pages(client_for: Any, viewer: User) -> None:
    client: httpx2.AsyncClient = client_for("")
    client.cookies.set(settings.SESSION_COOKIE_NAME, await db.write(cookie_of, viewer))

    assert (await client.get("/settings/profile/")).status_code == 200
    assert (await client.get("/settings/users/")).status_code == 403


async def test_the_api_document_is_for_those_who_may_call_the_api(client_for: Any, viewer: User) -> None:
    stranger: httpx2.AsyncClient = client_for("")
    assert (await stranger.get("/openapi.json")).status_code == 401

    program: httpx2.AsyncClient = client_for("viewer")
    answer = await program.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["paths"]["/v1/models"]
    assert "/openapi.json" not in answer.json()["paths"]

    stranger.cookies.set(settings.SESSION_COOKIE_NAME, await db.write(cookie_of, viewer))
    assert (await stranger.get("/openapi.json")).content == answer.content


async def test_a_demoted_person_no_longer_hears_what_the_role_may_not(operator: User, topic: str) -> None:
    socket = await socket_of(operator)
    await socket.send_to(text_data=to_json({"sub": {topic: 0}}).decode())
    assert from_json(await socket.receive_from())["k"] == "watching"

    await db.write(people.change_role, build.actor(), operator.pk, "viewer")

    assert from_json(await socket.receive_from()) == {"t": topic, "k": "gone"}
    await live.publish(topic, {"n": 1})
    assert await socket.receive_nothing()
    await socket.disconnect()


async def test_a_disabled_person_is_put_out(operator: User, topic: str) -> None:
    socket = await socket_of(operator)

    await db.write(people.set_active, build.actor(), operator.pk, active=False)

    assert (await socket.receive_output())["code"] == 4401


def sent(cookie: str, path: str, **form: str) -> int:
    """Send a form as the browser that holds this cookie; return the status."""
    browser = Client()
    browser.cookies[settings.SESSION_COOKIE_NAME] = cookie
    return browser.post(path, form).status_code


async def test_a_socket_ends_with_the_sign_out_of_its_session_alone(operator: User, topic: str) -> None:
    here = await db.write(cookie_of, operator)
    socket, elsewhere = await socket_of(operator, here), await socket_of(operator)

    assert await asyncio.to_thread(sent, here, "/logout/") == 302

    assert (await socket.receive_output())["code"] == 4401
    assert await elsewhere.receive_nothing()
    await elsewhere.disconnect()


async def test_a_new_password_ends_the_sockets_of_other_browsers(operator: User, topic: str) -> None:
    here = await db.write(cookie_of, operator)
    socket, elsewhere = await socket_of(operator, here), await socket_of(operator)
    form = {"old_password": build.PASSWORD, "password": "harbour-lamp-49"}

    assert await asyncio.to_thread(lambda: sent(here, "/settings/profile/password/", **form)) == 302

    assert (await elsewhere.receive_output())["code"] == 4401
    assert (await socket.receive_output())["code"] == 4408  # its browser has a new cookie to come back with


async def test_a_password_set_by_a_link_ends_every_socket(operator: User, topic: str) -> None:
    socket = await socket_of(operator)

    await db.write(people.set_password, build.actor(), operator, "harbour-lamp-49")

    assert (await socket.receive_output())["code"] == 4401


async def test_a_password_set_in_the_admin_site_ends_every_socket(operator: User, admin: User, topic: str) -> None:
    socket = await socket_of(operator)
    browser = AsyncClient()
    browser.cookies[settings.SESSION_COOKIE_NAME] = await db.write(cookie_of, admin)
    form = {"usable_password": "true", "password1": "harbour-lamp-49", "password2": "harbour-lamp-49"}

    answer = await browser.post(f"/admin/accounts/user/{operator.pk}/password/", form)

    assert answer.status_code == 302
    assert (await socket.receive_output())["code"] == 4401
    line = await db.read(AuditLine.objects.latest, "pk")
    assert (line.action, line.object_id, line.address) == ("update", str(operator.pk), "127.0.0.1")
    assert line.request_id


@pytest.mark.parametrize("name", ["trial:é", "trial:" + "x" * 200, "trial: ", "trial", "", "trial:1\n"])
async def test_a_topic_that_cannot_be_is_gone(operator: User, topic: str, name: str) -> None:
    socket = await socket_of(operator)

    await socket.send_to(text_data=to_json({"sub": {name: 0}}).decode())
    answer = from_json(await socket.receive_from())

    assert answer["t"] == name
    assert answer["k"] == ("watching" if name == "trial" else "gone")
    await socket.disconnect()


@pytest.mark.parametrize("text", ["[]", "{", '{"ack": 1, "' + "x" * 20_000 + '": 1}'])
async def test_garbage_closes_the_socket(operator: User, topic: str, text: str) -> None:
    socket = await socket_of(operator)

    await socket.send_to(text_data=text)

    assert (await socket.receive_output())["code"] == 4400


async def test_a_socket_without_a_session_is_refused(transactional_db: None) -> None:
    from stack_console.asgi import application

    headers = [(b"origin", b"http://testserver"), (b"host", b"testserver")]
    connected, code = await WebsocketCommunicator(application, "/ws/live/", headers=headers).connect()

    assert not connected
    assert code == 4401
