"""What every request must pass before a page sees it, and what a page gets and gives. Without IO.

Decides which hosts and origins are ours, how a form and a query string are read, where a sign-in may lead back to, which headers every answer carries. It must
not know a session, a page or the house. A refusal is a Fault with a status, a stable code and words; a page never shows anything else of what went wrong.
"""
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from cambist.ops.web.sessions import Session

MAX_BODY = 64 * 1024
MAX_FIELDS, MAX_QUERY = 64, 4096
SAFE = frozenset({"GET", "HEAD"})
FORM = "application/x-www-form-urlencoded"
CSRF_FIELD, CSRF_HEADER = "proof", "x-cambist-proof"
POLICY = "; ".join(("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'", "form-action 'self'",
                    "frame-ancestors 'none'", "base-uri 'none'"))
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
           "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
           "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()"}


class Fault(Exception):
    """A refusal of the web itself or of a page: status, stable code, words for a person. `again`: seconds after which to try once more."""

    def __init__(self, status: int, code: str, words: str, again: int = 0) -> None:
        super().__init__(f"{code}: {words}")
        self.status, self.code, self.words, self.again = status, code, words, again


class Ask(NamedTuple):
    """One request as a page sees it. `form` is empty for a GET; values are text as the browser sent it."""
    method: str
    path: str
    values: Mapping[str, str]                           # of the path: {id} and so on
    query: Mapping[str, str]
    form: Mapping[str, str]
    headers: Mapping[str, str]                          # names in lower case
    cookies: Mapping[str, str]
    address: str                                        # of the other end
    now: int                                            # ns, wall clock
    session: Session | None
    proof: str                                          # for the forms of the answer
    query_text: str = ""

    @property
    def signed_in(self) -> Session:
        """The session. Raises Fault SIGN_IN; pages that are not open to all never meet that."""
        if self.session is None:
            raise Fault(401, "SIGN_IN", "You are not signed in.")
        return self.session

    @property
    def partial(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return self.headers.get("hx-request") == "true"


class Reply(NamedTuple):
    """What a page answers. A cookie's value None deletes it. `stream`, if given, is sent as server-sent events instead of the body."""
    body: str = ""
    status: int = 200
    headers: Mapping[str, str] = {}
    cookies: Mapping[str, str | None] = {}
    media_type: str = "text/html"
    stream: Any = None


def see_other(path: str, cookies: Mapping[str, str | None] | None = None) -> Reply:
    """After a POST: the browser fetches `path`, and a reload of that sends nothing twice."""
    return Reply(status=303, headers={"Location": path}, cookies=cookies or {})


def check_host(host: str, ours: Collection[str]) -> None:
    """Raises Fault BAD_HOST: a name we do not serve is another site's script that resolves to this machine."""
    if host.lower() not in ours:
        raise Fault(421, "BAD_HOST", "This server does not answer under that name.")


def check_site(method: str, headers: Mapping[str, str], origins: Collection[str]) -> None:
    """Raises Fault CROSS_SITE: what another site makes a browser send. A plain link from elsewhere may open a page, and nothing more."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if method in SAFE:
        navigates = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site in ("cross-site", "same-site") and not navigates:
            raise Fault(403, "CROSS_SITE", "Another site may not read from here.")
        return
    if site is None and origin is None:
        raise Fault(403, "CROSS_SITE", "A request that changes something must say where it comes from: a header Origin or Sec-Fetch-Site.")
    ours = origin is None or origin.lower() in origins or (origin == "null" and site is not None)      # null: what "no-referrer" makes browsers say
    if (site is not None and site != "same-origin") or not ours:
        raise Fault(403, "CROSS_SITE", "Another site may not send anything here.")


def read_pairs(text: str, what: str) -> dict[str, str]:
    """Names and values, each name once. Raises Fault."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        raise Fault(400, "BAD_TEXT", f"The {what} is not UTF-8.") from None
    except ValueError:
        raise Fault(400, "BAD_FORM", f"The {what} is not made of at most {MAX_FIELDS} names and values.") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Fault(400, "FIELD_TWICE", f"The {what} names a field twice.")
    if any("\0" in value for value in found.values()):
        raise Fault(400, "BAD_TEXT", f"The {what} has a NUL in it.")
    return found


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form. Raises Fault."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise Fault(415, "BAD_CONTENT_TYPE", f"A form is sent here as {FORM}.")
    try:
        return read_pairs(body.decode("ascii"), "form") if body else {}
    except UnicodeDecodeError:
        raise Fault(400, "BAD_TEXT", "The form is not percent-encoded.") from None


def read_query(text: str) -> dict[str, str]:
    """The fields after the question mark. Raises Fault."""
    if len(text) > MAX_QUERY:
        raise Fault(414, "LONG_ADDRESS", f"An address has at most {MAX_QUERY} characters after the question mark.")
    return read_pairs(text, "address") if text else {}


def only(fields: Mapping[str, str], *names: str) -> dict[str, str]:
    """The named fields, "" where missing. Raises Fault UNKNOWN_FIELD for any other: a form of ours has no more."""
    if extra := sorted(fields.keys() - set(names) - {CSRF_FIELD}):
        raise Fault(400, "UNKNOWN_FIELD", f"This form has no field {extra[0][:40]!r}.")
    return {name: fields.get(name, "") for name in names}


def own_path(text: str) -> str:
    """A path of this app to lead on to, or "/" when the text is anything else, such as another site's address."""
    whole = text.startswith("/") and not text.startswith(("//", "/\\")) and len(text) <= 512 and text.isascii() and text.isprintable()
    return text if whole and not any(c in text for c in "\\\"'<> ") and not text.startswith(("/login", "/logout", "/again")) else "/"


def read_cookies(text: str) -> dict[str, str]:
    """Names and values of a Cookie header; the first of a name counts, as browsers send the closest first."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name not in found:
            found[name] = value
    return found


def cookie_header(name: str, value: str | None, secure: bool) -> str:
    """Set-Cookie of a cookie that no script reads and no other site sends along; None deletes it."""
    return f"{name}={value or ''}; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "") + ("; Max-Age=0" if value is None else "")
