"""How pages are drawn: templates that escape everything, and how numbers and times are written in them.

Decides the look of a number, a time and an age, and what every template knows: the person, the form's proof, the addresses of style and script. It must not
know what a page shows. A name a template misses is an error, never an empty place.
"""
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cambist.ops.web.guards import CSRF_FIELD, Ask, Fault
from cambist.ops.web.sessions import SECOND

SHOWN_DECIMALS = 2                                      # zeros after these are drawn paler, so that columns stay aligned and amounts readable
THEMES = ("light", "dark")


class Place(NamedTuple):
    """A page of the menu: its path, its name, and the letter that leads there after `g`."""
    path: str
    name: str
    key: str


class Pages:
    """The templates of one app. `package` holds its own; `title` is its name; `address(name)` gives the address of a file."""

    def __init__(self, app: str, title: str, package: str, menu: tuple[Place, ...], address: Callable[[str], str],
                 extra: Mapping[str, Any] | None = None) -> None:
        self._jinja = Environment(loader=ChoiceLoader([PackageLoader(package), PackageLoader("cambist.ops.web")]), autoescape=True,
                                  undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        self._jinja.filters |= {"number": number, "signed": signed, "clock": clock, "date": date, "words": words}
        self._jinja.globals |= {"app": app, "title": title, "menu": menu, "asset": address, "proof_field": CSRF_FIELD, **(extra or {})}

    def draw(self, template: str, ask: Ask, **values: Any) -> str:
        """A whole page or a fragment; `ask` gives who is signed in, the proof and the theme."""
        theme = ask.cookies.get("cambist_theme", "")
        return self._jinja.get_template(template).render(ask=ask, session=ask.session, proof=ask.proof, now=ask.now, here=ask.path,
                                                         theme=theme if theme in THEMES else "", **values)

    def fault(self, ask: Ask, fault: Fault) -> str:
        """A refusal: a toast for a part of a page, else a page."""
        return self.draw("fault_part.html" if ask.partial else "fault.html", ask, fault=fault)


# ------------------------------------------------------------------------------------------------------------------------------------------ filters
def number(text: str | int | None) -> Markup | str:
    """A decimal with its thousands apart: "1234.500000" is 1,234.50 and four paler zeros. None and "" are a dash."""
    if text is None or text == "":
        return "–"
    whole, point, decimals = str(text).partition(".")
    sign, digits = ("−", whole[1:]) if whole.startswith("-") else ("", whole)
    if not digits.isdigit():
        return str(text)
    kept = max(len(decimals.rstrip("0")), min(SHOWN_DECIMALS, len(decimals)))
    pale = Markup('<span class="pale">{}</span>').format(decimals[kept:]) if decimals[kept:] else ""
    return Markup("{}{}{}{}{}").format(sign, f"{int(digits):,}", point, decimals[:kept], pale)


def signed(text: str | None) -> Markup | str:
    """The same with a plus before what is more than nothing."""
    shown = number(text)
    positive = text and not str(text).startswith("-") and str(text).strip("0.") != ""
    return Markup("+") + shown if positive else shown


def clock(ns: int | None, parts: int = 3) -> Markup | str:
    """The time of day in UTC with `parts` digits after the second."""
    if not ns:
        return "–"
    at = datetime.fromtimestamp(ns // SECOND, UTC)
    fraction = f".{ns % SECOND:09d}"[:parts + 1] if parts else ""
    return Markup('<time datetime="{}{}Z" title="{} UTC">{}{}</time>').format(at.strftime("%Y-%m-%dT%H:%M:%S"), fraction, at.strftime("%Y-%m-%d %H:%M:%S"),
                                                                          at.strftime("%H:%M:%S"), fraction)


def date(ns: int | None) -> Markup | str:
    """Day and time of day in UTC."""
    if not ns:
        return "–"
    at = datetime.fromtimestamp(ns // SECOND, UTC)
    return Markup('<time datetime="{}Z">{}</time>').format(at.strftime("%Y-%m-%dT%H:%M:%S"), at.strftime("%Y-%m-%d %H:%M:%S"))


def words(name: str) -> Markup:
    """A name of the program for people: "order_cancelled" is Order cancelled."""
    plain = str(name).replace("_", " ").lower()
    return escape(plain[:1].upper() + plain[1:])
