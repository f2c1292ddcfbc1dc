"""The house as its people use it: a real browser at the portal and the console of a whole house that `cambist run` started.

One house serves all tests of this file. Every page of both apps is looked at by axe in both themes and in both widths. Screenshots are kept in the temporary
directory of the run (or in CAMBIST_SCREENSHOTS), never beside the source.
"""
import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.ports import free_ports
from tests.process.node_process import ROOT
from tests.process.test_house import HouseProcess

pytestmark = pytest.mark.process
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync"]
WIDTHS = {"wide": {"width": 1280, "height": 860}, "narrow": {"width": 390, "height": 844}}
SOON = 20_000                                           # ms; what a person would wait for before they ask what is wrong
expect.set_options(timeout=SOON)
# Presses a button that is disabled; looked for and pressed in one turn of the page, because what is live may put another one in its place between the two.
GET_ROUND = """words => { const button = [...document.querySelectorAll("button")].find(each => each.textContent.includes(words));
                          button.disabled = false; button.click(); }"""
PORTAL_PAGES = ("/", "/request", "/orders", "/history", "/statement")
CONSOLE_PAGES = ("/", "/approvals", "/blotter", "/positions", "/unknown", "/latency", "/control", "/design")


class People:
    """Who is signed in where: a browser context each, as on machines of their own."""

    def __init__(self, browser: Browser, house: HouseProcess, shots: Path):
        self.browser, self.house, self.shots = browser, house, shots
        told = (house.directory / "secrets" / "first-logins.txt").read_text()
        self.passwords = {line.split()[1]: line.split()[2] for line in told.splitlines() if line.startswith("password")}
        self.complaints: list[str] = []

    def url(self, app: str) -> str:
        return f"http://127.0.0.1:{self.house.base_port + (2 if app == 'portal' else 3)}"

    def sign_in(self, person: str, app: str, **how) -> Page:
        context = self.browser.new_context(viewport=WIDTHS["wide"], **how)
        context.set_default_timeout(SOON)
        page = context.new_page()
        page.on("pageerror", lambda fault: self.complaints.append(f"{app} {page.url}: {fault}"))
        page.on("console", lambda line: self.complaints.append(f"{app} {page.url}: {line.text}") if line.type == "error" and "422" not in line.text else None)
        page.on("request", lambda asked: None if asked.url.startswith((self.url(app), "data:")) else self.complaints.append(f"{app} asked {asked.url}"))
        page.goto(self.url(app))
        page.get_by_label("Name").fill(person)
        page.get_by_label("Password").fill(self.passwords[person])
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Sign out").or_(page.get_by_role("button", name="Sign out"))).to_be_visible()
        return page

    def keep(self, page: Page, name: str) -> None:
        page.screenshot(path=self.shots / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def people(playwright: Playwright, tmp_path_factory):
    chromium = os.environ.get("CAMBIST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "the pages are tested in a real browser: install chromium, or name one in CAMBIST_CHROMIUM"
    shots = Path(os.environ.get("CAMBIST_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    shots.mkdir(parents=True, exist_ok=True)
    with HouseProcess(tmp_path_factory.mktemp("browser") / "house", free_ports()) as house:
        house.wait_ready()
        house.wait_for("Ctrl-C ends it")
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        found = People(browser, house, shots)
        yield found
        browser.close()
        assert house.stop() == 0
    assert not found.complaints, found.complaints


@pytest.fixture
def ada(people):
    page = people.sign_in("ada", "portal")
    yield page
    page.context.close()


def at_home(page: Page) -> str:
    """http://host:port of the page."""
    return "/".join(page.url.split("/")[:3])


def ask(page: Page, instrument: str, side: str, size: str, stands: str = "30", size_in: str = "base") -> str:
    """A request for quotes; the path of its page."""
    page.goto(f"{at_home(page)}/request")
    page.get_by_label("Instrument").select_option(instrument)
    for name, value in (("side", side), ("size_in", size_in), ("stands", stands)):
        page.locator(f"input[name={name}][value='{value}']").check(force=True)
    page.get_by_label("Size", exact=True).fill(size)
    page.get_by_role("button", name="Ask for quotes").click()
    expect(page).to_have_url(re.compile("/requests/req_"))
    return page.url


def take_best(page: Page) -> None:
    """Once more when the quote was replaced between the look and the click, as a person would."""
    for _ in range(5):
        with page.expect_response(lambda answer: answer.request.redirected_from is not None) as answered:
            page.locator("tr.best .take button").first.click()
        if "UNKNOWN_QUOTE" not in answered.value.text():
            break
    expect(page.locator("#quotes").get_by_role("status")).to_contain_text(re.compile("Bought|Sold"))


def in_queue(page: Page, request_url: str) -> None:
    """The dealer's queue, at this request."""
    page.goto(f"{at_home(page)}/?request={request_url.rpartition('/')[2]}")


# ------------------------------------------------------------------------------------------------------------------------------------ the day
def test_a_client_asks_and_takes_the_best_quote(people, ada):
    ask(ada, "XRP-USD", "buy", "1000")
    expect(ada.locator(".quotes-table tbody tr .take button").first).to_be_visible()
    people.keep(ada, "portal-quotes")
    take_best(ada)
    expect(ada.locator("#quotes")).to_contain_text("Bought 1,000")
    expect(ada.locator("#quotes")).to_contain_text("You pay")
    people.keep(ada, "portal-bought")
    ada.goto(people.url("portal") + "/history")
    expect(ada.locator("main")).to_contain_text("1,000")


def test_a_size_in_dollars_is_shown_in_whole_lots_before_it_is_sent(people, ada):
    ada.goto(people.url("portal") + "/request")
    ada.get_by_label("Instrument").select_option("BTC-USD")
    ada.locator("input[name=size_in][value=quote]").check(force=True)
    ada.get_by_label("Size", exact=True).fill("50000")
    expect(ada.locator("#preview")).to_contain_text("BTC")
    url = ask(ada, "BTC-USD", "two_way", "50000", size_in="quote")
    expect(ada.locator(".take button").first).to_be_visible()
    ada.keyboard.press("x")
    expect(ada.locator("#quotes")).to_contain_text("over")
    assert ada.url == url


def test_the_same_form_sent_twice_is_one_request(people, ada):
    ada.goto(people.url("portal") + "/request")
    form = ada.locator("#request-form")
    sent = {field: form.locator(f"[name={field}]").first.input_value() for field in ("id", "proof")}
    answers = [ada.request.post(people.url("portal") + "/request", max_redirects=0, headers={"Origin": people.url("portal"), "Sec-Fetch-Site": "same-origin"},
                                form={**sent, "instrument": "XRP-USD", "side": "buy", "size": "500", "size_in": "base", "stands": "10"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [303, 303], [answer.text() for answer in answers]
    assert len({answer.headers["location"] for answer in answers}) == 1


def test_a_large_one_is_priced_by_hand_and_needs_a_second_person(people, ada):
    rhea, tomas = people.sign_in("rhea", "console"), people.sign_in("tomas", "console")
    url = ask(ada, "BTC-USD", "buy", "30", stands="60")
    in_queue(rhea, url)
    expect(rhea.get_by_role("button", name="Approve the engine's price")).to_be_visible()       # it is above what the engine quotes alone
    people.keep(rhea, "console-queue")
    shown = float(rhea.locator("#ask").input_value().replace(",", ""))
    rhea.locator("#ask").fill(f"{shown + 10:.1f}")
    rhea.locator("#stands").select_option(label="30s")
    rhea.get_by_role("button", name="Send price").click()
    expect(rhea.get_by_text("Not for you to approve")).to_be_visible()
    expect(rhea.get_by_role("button", name="Approve the price of rhea")).to_be_disabled()
    rhea.evaluate(GET_ROUND, "Approve the price of rhea")                                       # whoever gets round the page is refused by the core
    expect(rhea.locator("main")).to_contain_text("SAME_PERSON")
    people.keep(rhea, "console-same-person")
    in_queue(tomas, url)
    tomas.get_by_role("button", name="Approve the price of rhea").click()
    expect(tomas.locator("main")).to_contain_text(re.compile("approved|done", re.IGNORECASE))
    expect(ada.locator(".quotes-table")).to_contain_text(f"{shown + 10:,.1f}")
    ada.get_by_role("button", name=re.compile(rf"Buy at {shown + 10:.1f}")).click()
    expect(ada.locator("#quotes").get_by_role("status")).to_contain_text("Bought")
    for page in (rhea, tomas):
        page.context.close()


def test_a_dealer_approves_the_engine_s_price_and_passes_on_another(people, ada):
    rhea = people.sign_in("rhea", "console")
    url = ask(ada, "BTC-USD", "sell", "25", stands="60")
    in_queue(rhea, url)
    rhea.get_by_role("button", name="Approve the engine's price").click()
    expect(rhea.locator("main")).to_contain_text(re.compile("approved|done", re.IGNORECASE))
    take_best(ada)
    url = ask(ada, "BTC-USD", "sell", "26", stands="60")
    in_queue(rhea, url)
    expect(rhea.get_by_role("button", name="Approve the engine's price")).to_be_visible()
    rhea.keyboard.press("x")
    expect(rhea.locator("main")).to_contain_text(re.compile("denied|passed|leaves it to a person|no price of ours", re.IGNORECASE))
    rhea.context.close()


def test_the_story_of_a_trade_is_told_with_its_waterfall(people, ada):
    url = ask(ada, "XRP-USD", "buy", "2000")
    take_best(ada)
    rhea = people.sign_in("rhea", "console")
    rhea.goto(f"{people.url('console')}/story/{url.rpartition('/')[2]}")
    for words in ("acme", "received", "logged", "quoted"):
        expect(rhea.locator("main")).to_contain_text(words)
    people.keep(rhea, "console-story")
    rhea.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("person", "app", "pages"), [("ada", "portal", PORTAL_PAGES), ("ines", "console", CONSOLE_PAGES)], ids=["portal", "console"])
def test_every_page_is_accessible_in_both_themes_and_widths(people, theme, person, app, pages):
    page = people.sign_in(person, app, color_scheme=theme, bypass_csp=True)
    for path in pages:
        for width, viewport in WIDTHS.items():
            page.set_viewport_size(viewport)
            page.goto(people.url(app) + path)
            page.wait_for_timeout(400)                  # the first live part
            people.keep(page, f"{app}-{theme}-{width}-{path.strip('/') or 'home'}")
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} scrolls sideways at {viewport['width']} pixels"
            page.add_script_tag(path=AXE)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            told = [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"][:3]]
            assert not told, f"{app}{path}, {theme}, {width}:\n" + "\n".join(told)
    page.context.close()


def test_a_cookie_of_one_app_opens_nothing_in_the_other(people, ada):
    portal = {cookie["name"]: cookie["value"] for cookie in ada.context.cookies()}
    assert "cambist_portal" in portal
    stranger = people.browser.new_context()
    stranger.add_cookies([{"name": name, "value": portal["cambist_portal"], "url": people.url("console")} for name in ("cambist_console", "cambist_portal")])
    page = stranger.new_page()
    page.goto(people.url("console") + "/control")
    expect(page).to_have_url(re.compile("/login"))
    stranger.close()


def test_a_client_is_no_staff_and_staff_is_no_client(people):
    for person, app in (("ada", "console"), ("rhea", "portal")):
        context = people.browser.new_context()
        page = context.new_page()
        page.goto(people.url(app))
        page.get_by_label("Name").fill(person)
        page.get_by_label("Password").fill(people.passwords[person])
        page.keyboard.press("Enter")
        expect(page.locator("body")).to_contain_text(re.compile("not|wrong", re.IGNORECASE))
        expect(page).to_have_url(re.compile("/login"))
        context.close()


def test_the_kill_switch_stops_everything_and_two_people_start_it_again(people, ada):
    ines, oskar = people.sign_in("ines", "console"), people.sign_in("oskar", "console")
    ines.goto(people.url("console") + "/control")
    ines.locator("#everything-panel").get_by_role("link").click()
    ines.get_by_label(re.compile("Type .* to go on")).fill("wrong name")
    ines.locator("main form button.bad").click()
    expect(ines.locator("main").get_by_role("alert")).to_be_visible()
    typed = re.search(r"Type (.+) to go on", ines.locator("main").inner_text())
    assert typed
    ines.get_by_label(re.compile("Type .* to go on")).fill(typed[1])
    ines.locator("main form button.bad").click()
    expect(ines.locator(".banner.huge.stopped")).to_be_visible()
    people.keep(ines, "console-stopped")
    ada.goto(people.url("portal") + "/request")
    expect(ada.locator(".banner").first).to_contain_text("stopped")
    ada.get_by_label("Instrument").select_option("XRP-USD")
    ada.get_by_label("Size", exact=True).fill("1000")
    ada.get_by_role("button", name="Ask for quotes").click()
    expect(ada.locator("main")).to_contain_text("KILLED_ALL")
    people.keep(ada, "portal-stopped")
    # and again
    ines.goto(people.url("console") + "/control")
    ines.locator("#everything-panel").get_by_role("link").click()
    typed = re.search(r"Type (.+) to go on", ines.locator("main").inner_text())
    assert typed
    ines.get_by_label(re.compile("Type .* to go on")).fill(typed[1])
    ines.locator("main form button.big").click()
    expect(ines.locator(".banner.huge.stopped")).to_be_visible()                                 # it waits for oskar
    oskar.goto(people.url("console") + "/approvals")
    oskar.locator("#held-panel").get_by_role("link", name=re.compile("revive", re.IGNORECASE)).click()
    oskar.get_by_role("button", name="Approve these bytes").click()
    expect(oskar.locator(".banner.huge.stopped")).to_have_count(0)
    ask(ada, "XRP-USD", "buy", "1000")
    take_best(ada)
    for page in (ines, oskar):
        page.context.close()
