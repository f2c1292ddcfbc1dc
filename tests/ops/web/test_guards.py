"""Hosts, origins, forms, addresses: what is let through and what is refused, by code."""
import pytest

from cambist.ops.web.guards import (
    MAX_FIELDS, MAX_QUERY, POLICY, Fault, check_host, check_site, cookie_header, only, own_path, read_cookies, read_form, read_query,
)

OURS = frozenset({"http://127.0.0.1:8602"})
FORM = "application/x-www-form-urlencoded"


def code(act, *given) -> str:
    with pytest.raises(Fault) as refused:
        act(*given)
    assert refused.value.words and 400 <= refused.value.status < 500
    return refused.value.code


def test_only_our_own_names_are_answered_to():
    check_host("LOCALHOST:8602", {"localhost:8602"})
    for host in ("", "evil.example", "localhost", "localhost:8603"):
        assert code(check_host, host, {"localhost:8602"}) == "BAD_HOST"


@pytest.mark.parametrize("headers", [
    {}, {"origin": "null"}, {"origin": "http://evil.example"}, {"origin": "http://127.0.0.1:8603"}, {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"}, {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8602"}, {"sec-fetch-site": "cross-site", "origin": "null"}])
def test_another_site_changes_nothing(headers):
    assert code(check_site, "POST", headers, OURS) == "CROSS_SITE"


@pytest.mark.parametrize("headers", [
    {"origin": "http://127.0.0.1:8602"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "same-origin", "origin": "null"}])
def test_our_own_pages_may(headers):
    check_site("POST", headers, OURS)


def test_another_site_reads_nothing_but_may_link_to_a_page():
    check_site("GET", {}, OURS)
    check_site("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, OURS)
    for headers in ({"sec-fetch-mode": "cors"}, {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
                    {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}):
        assert code(check_site, "GET", {"sec-fetch-site": "cross-site", **headers}, OURS) == "CROSS_SITE"


def test_a_form_is_read_as_it_was_typed():
    assert read_form(f"{FORM}; charset=UTF-8", b"a=1&b=%3Cscript%3E&c=%C3%A9+x&d=") == {"a": "1", "b": "<script>", "c": "é x", "d": ""}
    assert read_form(FORM, b"") == {}


@pytest.mark.parametrize("body, refused", [
    (b"a=1&a=2", "FIELD_TWICE"), (b"a", "BAD_FORM"), (b"a=%ff", "BAD_TEXT"), ("a=é".encode(), "BAD_TEXT"), (b"a=%00", "BAD_TEXT"), (b"{}", "BAD_FORM"),
    (b"&".join(b"a%d=1" % n for n in range(MAX_FIELDS + 1)), "BAD_FORM"), (b"a=1&&&", "BAD_FORM")])
def test_a_form_that_is_none_is_refused(body, refused):
    assert code(read_form, FORM, body) == refused


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_other_content_types_are_refused(content_type):
    assert code(read_form, content_type, b"a=1") == "BAD_CONTENT_TYPE"


def test_a_query_is_bounded():
    assert read_query("") == {} and read_query("a=1") == {"a": "1"}
    assert code(read_query, "a=" + "x" * MAX_QUERY) == "LONG_ADDRESS"


def test_unknown_fields_are_refused_and_missing_ones_empty():
    assert only({"a": "1", "proof": "p"}, "a", "b") == {"a": "1", "b": ""}
    assert code(lambda: only({"<b>": "1"}, "a")) == "UNKNOWN_FIELD"


@pytest.mark.parametrize("told, goes", [
    ("/orders?instrument=BTC-USD&told=1", "/orders?instrument=BTC-USD&told=1"), ("", "/"), ("//evil.example", "/"), ("/\\evil.example", "/"),
    ("https://evil.example", "/"), ("javascript:alert(1)", "/"), ("/a\nb", "/"), ("/é", "/"), ('/"><script>', "/"), ("/logout", "/"), ("/login", "/"),
    ("/" + "x" * 600, "/")])
def test_a_sign_in_leads_to_our_own_pages_alone(told, goes):
    assert own_path(told) == goes


def test_cookies():
    assert read_cookies("a=1; b=x=y;c ; a=2") == {"a": "1", "b": "x=y"}
    assert cookie_header("n", "v", True) == "n=v; Path=/; HttpOnly; SameSite=Strict; Secure"
    assert cookie_header("n", None, False).endswith("Max-Age=0")


def test_nothing_inline_and_nothing_from_elsewhere_runs():
    assert "unsafe" not in POLICY and "http" not in POLICY and "default-src 'none'" in POLICY and "frame-ancestors 'none'" in POLICY
