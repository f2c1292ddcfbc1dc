"""Requests against a little app: who is let in, what is refused, what every answer carries, and what a slow or half-open connection gets."""
import asyncio

import httpx
import pytest

from cambist.ops.web import application_shell, assets_shell
from cambist.ops.web.application_shell import bind, is_loopback, own_hosts, serve_site
from cambist.ops.web.assets_shell import NoAssets, node_modules
from cambist.ops.web.guards import HEADERS, MAX_BODY
from cambist.ops.web.sessions import FRESH_NS, IDLE_NS

from tests.ops.web.little_app import MARKUP, ORIGIN, Little, proof, served, sign_in

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def run(test, folder, **made):
    """`test(little, client)` with a client that is signed in."""
    little = Little(folder, **made)

    async def main():
        async with little.client() as client:
            assert (await sign_in(client)).status_code == 303
            await test(little, client)
    try:
        asyncio.run(main())
    finally:
        little.close()


def code(answer: httpx.Response) -> str:
    """The code a page of refusal shows."""
    assert "Traceback" not in answer.text and "little_app" not in answer.text
    return answer.text.split("<code>")[1].split("</code>")[0]


def test_every_answer_carries_the_headers(tmp_path):
    async def test(little, client):
        for path in ("/", "/login", "/static/app.js", "/nowhere", "/broken"):
            answer = await client.get(path)
            for name, value in HEADERS.items():
                if name != "Cache-Control" or not path.startswith("/static"):
                    assert answer.headers[name] == value, (path, name)
            assert "server" not in answer.headers
            assert "style=" not in answer.text or path.startswith("/static")
            assert "<script>" not in answer.text and "onclick" not in answer.text
    run(test, tmp_path)


def test_without_a_session_every_page_leads_to_the_sign_in(tmp_path):
    little = Little(tmp_path)

    async def main():
        async with little.client() as client:
            answer = await client.get("/things/a?x=1&y=2")
            assert answer.status_code == 303 and answer.headers["location"] == "/login?next=/things/a%3Fx=1%26y=2"
            assert (await client.get("/nowhere")).headers["location"].startswith("/login")
            part = await client.get("/", headers={"HX-Request": "true"})
            assert part.status_code == 401 and part.headers["HX-Redirect"] == "/login"
            assert (await client.get("/live", headers={"Accept": "text/event-stream"})).status_code == 204
            assert (await client.post("/say", data={"words": "x", "proof": "0" * 64})).status_code == 303
            assert (await sign_in(client, where="/things/a?x=1&y=2")).headers["location"] == "/things/a?x=1&y=2"
    asyncio.run(main())
    assert little.said == []


def test_the_cookie_is_strict_and_new_at_each_sign_in(tmp_path):
    little = Little(tmp_path)

    async def main():
        async with little.client() as client:
            first = await sign_in(client)
            cookie = next(each for each in first.headers.get_list("set-cookie") if each.startswith("cambist_portal="))
            assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
            old = client.cookies["cambist_portal"]
            await client.post("/logout", data={"proof": await proof(client)})
            client.cookies.set("cambist_portal", old, domain="127.0.0.1", path="/")
            assert (await client.get("/")).status_code == 303       # signed out: the old token opens nothing
    asyncio.run(main())


def test_a_cookie_of_the_other_app_is_unknown(tmp_path):
    portal, console = Little(tmp_path, "portal"), Little(tmp_path, "console", frozenset({"ada", "ines"}))

    async def main():
        async with portal.client() as client:
            await sign_in(client)
            token = client.cookies["cambist_portal"]
            assert (await client.get("/")).status_code == 200
        for name in ("cambist_portal", "cambist_console"):
            async with console.client() as other:
                other.cookies.set(name, token)
                answer = await other.get("/")
                assert answer.status_code == 303 and answer.headers["location"] == "/login"
    asyncio.run(main())


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://127.0.0.1:8603"}])
def test_another_site_cannot_post_even_with_the_cookie_and_the_proof(tmp_path, headers):
    async def test(little, client):
        answer = await client.post("/say", data={"words": "x", "proof": await proof(client)}, headers=headers)
        assert answer.status_code == 403 and code(answer) == "CROSS_SITE" and little.said == []
    run(test, tmp_path)


def test_a_form_needs_the_proof_of_this_session(tmp_path):
    async def test(little, client):
        mine = await proof(client)
        for told in ("", "0" * 64, mine[:-1]):
            answer = await client.post("/say", data={"words": "x", "proof": told})
            assert answer.status_code == 403 and code(answer) == "BAD_PROOF"
        await client.post("/logout", data={"proof": mine})
        await sign_in(client)                           # a new session: the old page's proof is void
        assert (await client.post("/say", data={"words": "x", "proof": mine})).status_code == 403 and little.said == []
        assert (await client.post("/say", data={"words": "by header"}, headers={"X-Cambist-Proof": await proof(client)})).status_code == 303
        assert little.said == ["by header"]
    run(test, tmp_path)


def test_a_get_never_changes_anything(tmp_path):
    async def test(little, client):
        assert (await client.get("/say?words=x")).status_code == 405 and little.said == []
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await client.request(method, "/say", data={"words": "x", "proof": await proof(client)})).status_code == 405
    run(test, tmp_path)


def test_a_foreign_host_is_not_answered(tmp_path):
    async def test(little, client):
        for host in ("evil.example", "127.0.0.1", "127.0.0.1:8603", ""):
            answer = await client.get("/", headers={"Host": host})
            assert answer.status_code == 421 and code(answer) == "BAD_HOST"
        assert (await client.get("/", headers={"Host": "localhost:8602"})).status_code == 200
    run(test, tmp_path)


def test_markup_comes_back_as_text(tmp_path):
    async def test(little, client):
        await client.post("/say", data={"words": MARKUP, "proof": await proof(client)})
        page = (await client.get("/")).text
        assert "<script>alert" not in page and "<img" not in page and "&lt;script&gt;alert" in page and "49" not in page.split("SAID")[0][-300:]
        missing = await client.get("/things/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        assert "<script>alert" not in missing.text
    run(test, tmp_path)


def test_bad_bodies_are_refused_with_a_code(tmp_path):
    async def test(little, client):
        async def post(content: bytes, content_type: str = FORM["Content-Type"], **headers):
            return await client.post("/say", content=content, headers={"Content-Type": content_type, **headers})
        good = f"proof={await proof(client)}&words=".encode()
        assert code(await post(b'{"words": 1}', "application/json")) == "BAD_CONTENT_TYPE"
        assert code(await post(good + b"%ff")) == "BAD_TEXT"
        assert code(await post(good + b"a&words=b")) == "FIELD_TWICE"
        assert code(await post(good + b"a&more=b")) == "UNKNOWN_FIELD"
        assert code(await post(good + b"x" * MAX_BODY)) == "TOO_LARGE"
        assert code(await post(good, **{"Content-Length": "9999999999999999"})) == "TOO_LARGE"
        assert little.said == []
    run(test, tmp_path)


def test_an_error_of_ours_tells_a_number_and_nothing_else(tmp_path):
    async def test(little, client):
        answer = await client.get("/broken")
        assert answer.status_code == 500 and "secret of the program" not in answer.text and code(answer) == "INTERNAL"
        assert "secret of the program" in little.faults[0]
        mark = little.faults[0].split("error ")[1][:8]
        assert mark in answer.text
        assert (await client.get("/")).status_code == 200
    run(test, tmp_path)


def test_a_part_of_a_page_is_refused_as_a_part(tmp_path):
    async def test(little, client):
        answer = await client.get("/things/x", headers={"HX-Request": "true"})
        assert answer.status_code == 404 and "<html" not in answer.text and answer.headers["HX-Retarget"] == "#toasts"
    run(test, tmp_path)


def test_a_dangerous_act_needs_the_password_again(tmp_path):
    clock = [10**18]

    async def test(little, client):
        assert (await client.post("/danger", data={"proof": await proof(client)})).headers["location"] == "/"
        clock[0] += FRESH_NS
        answer = await client.post("/danger", data={"proof": await proof(client)})
        assert answer.headers["location"] == "/again?next=/things/danger" and little.said == ["danger"]
        before = client.cookies["cambist_portal"]
        wrong = await client.post("/again", data={"proof": await proof(client), "password": "no", "next": "/"})
        assert wrong.status_code == 401 and client.cookies["cambist_portal"] == before
        right = await client.post("/again", data={"proof": await proof(client), "password": "amber-basil-1", "next": "/things/danger"})
        assert right.headers["location"] == "/things/danger" and client.cookies["cambist_portal"] != before
        await client.post("/danger", data={"proof": await proof(client)})
        assert little.said == ["danger", "danger"]
        clock[0] += IDLE_NS
        assert (await client.get("/")).status_code == 303
    run(test, tmp_path, clock=clock)


# ------------------------------------------------------------------------------------------------------------------------------------------ static
def test_files_are_kept_for_long_under_an_address_of_their_content(tmp_path):
    async def test(little, client):
        address = little.assets.address("app.js")
        assert "immutable" in (await client.get(address)).headers["Cache-Control"]
        assert (await client.get("/static/app.js?v=old")).headers["Cache-Control"] == "no-cache"
        for name in ("htmx.js", "uplot.js", "uplot.css", "cambist.css"):
            assert (await client.get(little.assets.address(name))).status_code == 200
        for path in ("/static/nothing.js", "/static/..%2f..%2fguards.py", "/static/", "/static/%2e%2e/pages.py"):
            assert (await client.get(path)).status_code in (303, 404)
    run(test, tmp_path)


def test_a_missing_library_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMBIST_NODE_MODULES", str(tmp_path / "none"))
    with pytest.raises(NoAssets, match="make setup"):
        node_modules()
    (tmp_path / "none").mkdir()
    with pytest.raises(NoAssets, match="make setup"):
        assets_shell.Assets()


def test_nothing_of_ours_asks_another_host():
    for path in assets_shell.OWN.iterdir():
        assert "http" not in path.read_text().replace("http://www.w3.org/2000/svg", "").replace('"https:"', ""), path


# ------------------------------------------------------------------------------------------------------------------------------------- on a socket
async def talk(address: str, *parts: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the other end closes."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


def test_half_open_and_slow_connections_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(application_shell, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(application_shell, "BODY_SECONDS", 0.3)
    little = Little(tmp_path)

    async def main():
        async with served(little) as address:
            head = f"POST /login HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nContent-Type: application/x-www-form-urlencoded\r\n".encode()
            assert await talk(address, b"") == b""                                  # nothing said
            assert await talk(address, b"GET / HTTP/1.1\r\nHost: x") == b""         # a head that never ends
            assert await talk(address, b"\r\n", b"\r\n", pause=0.05) == b""          # bytes that begin nothing
            slow = await talk(address, head + b"Content-Length: 100\r\n\r\nproof=")
            assert b"408" in slow.split(b"\r\n")[0] and b"TOO_SLOW" in slow
            assert b"400" in (await talk(address, b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n")).split(b"\r\n")[0]
            assert b"400" in (await talk(address, b"nonsense\r\n\r\n")).split(b"\r\n")[0]
            large = await talk(address, head + b"Content-Length: 70000\r\n\r\n")
            assert b"413" in large.split(b"\r\n")[0]
            twice = await talk(address, f"GET /login HTTP/1.1\r\nHost: {address}\r\nHost: evil\r\nConnection: close\r\n\r\n".encode())
            assert b"400" in twice.split(b"\r\n")[0] and b"HEADER_TWICE" in twice
            async with httpx.AsyncClient(base_url=f"http://{address}") as client:
                assert (await client.get("/login")).status_code == 200
    asyncio.run(main())
    assert little.faults == []


def test_beyond_loopback_there_is_tls_or_nothing():
    assert is_loopback("127.0.0.1") and is_loopback("localhost") and is_loopback("::1") and not is_loopback("0.0.0.0") and not is_loopback("example")

    async def main():
        listening = bind("0.0.0.0", 0)
        with pytest.raises(ValueError, match="TLS"):
            await serve_site(lambda *_: None, listening, None, asyncio.Event(), print)
    asyncio.run(main())


def test_a_taken_port_is_an_error_with_its_address():
    with bind("127.0.0.1", 0) as taken, pytest.raises(OSError, match=f"127.0.0.1:{taken.getsockname()[1]}"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_our_names_are_those_of_the_address():
    assert own_hosts("127.0.0.1", 8602, None) == {"127.0.0.1:8602", "localhost:8602", "[::1]:8602"}
    assert own_hosts("10.0.0.7", 8602, None) == {"10.0.0.7:8602"}
    assert "localhost" in own_hosts("localhost", 80, None)
    assert ORIGIN.removeprefix("http://") in own_hosts("127.0.0.1", 8602, None)
