"""The pictures of portal and console that README shows, of a house that trades: `make pictures`.

Starts `cambist run` with a new house in a temporary directory, signs in with a real browser (CAMBIST_CHROMIUM, or chromium on the path), trades, and writes
docs/pictures/portal.png (live quotes on a request) and console.png (the dealer's queue at a large request, its price part by part). Prices and times differ
with every run; nothing else does.
"""
import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as TooLate

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
PORTS = ("rest", "websocket", "portal", "console", "venues")    # as --base-port counts them
SIZE = {"width": 1280, "height": 600}           # and taller where a page is
MOST_BYTES = 150_000
OPEN_SECONDS, END_SECONDS, SOON_MS = 180.0, 30.0, 30_000        # the kernel may first have to be compiled
LEARN_SECONDS = 40.0                            # the desk knows its market's volatility after thirty samples, a second each
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-lcd-text", "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync"]


def browser_path() -> str:
    found = os.environ.get("CAMBIST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return found or sys.exit("The pictures are taken with a real browser: install chromium, or name one in CAMBIST_CHROMIUM.")


def free_ports() -> int:
    """The first of as many ports in a row as a house needs."""
    for base in range(21_000, 32_000, len(PORTS)):
        try:
            for port in range(base, base + len(PORTS)):
                with socket.socket() as trial:
                    trial.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    sys.exit("No five free ports in a row were found.")


class House:
    """A running house, as its directory tells of it."""

    def __init__(self, directory: Path, base_port: int, process: subprocess.Popen[bytes]) -> None:
        self.directory, self.base_port, self.process = directory, base_port, process

    def url(self, app: str) -> str:
        return f"http://127.0.0.1:{self.base_port + PORTS.index(app)}"

    def password(self, person: str) -> str:
        words = (line.split() for line in (self.directory / "secrets" / "first-logins.txt").read_text().splitlines())
        return next(told[2] for told in words if told[:2] == ["password", person])

    def states(self) -> set[str]:
        path = self.directory / "processes.json"
        return {part["state"] for part in json.loads(path.read_text())["parts"]} if path.exists() else set()

    def await_ready(self) -> None:
        deadline = time.monotonic() + OPEN_SECONDS
        while self.states() != {"ready"}:
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"The house did not open: {self.directory.with_name('said.txt').read_text()}")
            time.sleep(0.1)


@contextmanager
def running_house() -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="cambist-pictures-") as temporary:
        directory, base_port = Path(temporary) / "house", free_ports()
        words = ["run", "--plain", "--design", ROOT / "desks" / "demo.toml", "--directory", directory, "--base-port", str(base_port)]
        with (Path(temporary) / "said.txt").open("wb") as said:
            process = subprocess.Popen([sys.executable, "-m", "cambist", *words], stdout=said, stderr=subprocess.STDOUT, cwd=ROOT)
            try:
                house = House(directory, base_port, process)
                house.await_ready()
                yield house
            finally:
                process.terminate()
                try:
                    process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()              # its processes see its end and end themselves
                    process.wait()


def sign_in(browser: Browser, house: House, app: str, person: str) -> Page:
    context = browser.new_context(viewport=SIZE, device_scale_factor=1, color_scheme="light")
    context.set_default_timeout(SOON_MS)
    page = context.new_page()
    page.goto(house.url(app))
    page.get_by_label("Name").fill(person)
    page.get_by_label("Password").fill(house.password(person))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=SOON_MS)
    return page


def ask(page: Page, house: House, instrument: str, side: str, size: str) -> str:
    """A request for quotes; the id of it."""
    page.goto(f"{house.url('portal')}/request")
    page.get_by_label("Instrument").select_option(instrument)
    for name, value in (("side", side), ("stands", "60")):
        page.locator(f"input[name={name}][value='{value}']").check(force=True)
    page.get_by_label("Size", exact=True).fill(size)
    page.get_by_role("button", name="Ask for quotes").click()
    expect(page).to_have_url(re.compile("/requests/req_"), timeout=SOON_MS)
    return page.url.rpartition("/")[2]


def trade(page: Page, house: House, instrument: str, side: str, size: str) -> None:
    """Asks until a quote came that could be taken; the house may have opened a moment ago."""
    deadline = time.monotonic() + SOON_MS / 1e3
    while True:
        ask(page, house, instrument, side, size)
        best = page.locator("tr.best .take button").first
        try:
            best.wait_for(timeout=5_000)
            best.click()
            expect(page.locator("#quotes").get_by_role("status")).to_contain_text(re.compile("Bought|Sold"), timeout=5_000)
            return
        except (AssertionError, TooLate) as fault:
            if time.monotonic() > deadline:
                raise AssertionError(f"nobody traded {instrument} with ada") from fault


# The pixels of a picture, four bytes each, as base64.
PIXELS = """async png => {
  const image = await createImageBitmap(await (await fetch("data:image/png;base64," + png)).blob());
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const bytes = context.getImageData(0, 0, image.width, image.height).data;
  const parts = [];
  for (let at = 0; at < bytes.length; at += 32768) parts.push(String.fromCharCode(...bytes.subarray(at, at + 32768)));
  return btoa(parts.join(""));
}"""


def packed(browser: Browser, png: bytes) -> bytes:
    """The same picture in fewer bytes: a page is mostly flat, and flat rows pack best as they are, without the filters that photographs need."""
    page = browser.new_page()
    told = base64.b64decode(page.evaluate(PIXELS, base64.b64encode(png).decode()))
    page.context.close()
    width, height, depth, colours = struct.unpack(">IIBB", png[16:26])
    if (depth, colours) != (8, 2):
        sys.exit("The browser's picture is not of eight bits a colour, without transparency.")
    rows = np.zeros((height, 1 + 3 * width), np.uint8)          # the first byte of a row names its filter: none
    rows[:, 1:] = np.frombuffer(told, np.uint8).reshape(height, width, 4)[:, :, :3].reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png[:33] + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b"")


def keep(browser: Browser, page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    path = PICTURES / f"{name}.png"
    path.write_bytes(packed(browser, page.screenshot(full_page=True)))
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
    if path.stat().st_size > MOST_BYTES:
        sys.exit(f"{path.name} is larger than {MOST_BYTES:,} bytes.")


def main() -> None:
    chromium = browser_path()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with running_house() as house, sync_playwright() as playwright:
        time.sleep(LEARN_SECONDS)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        ada, rhea = sign_in(browser, house, "portal", "ada"), sign_in(browser, house, "console", "rhea")
        for instrument, side, size in (("XRP-USD", "buy", "25000"), ("BTC-USD", "buy", "0.75"), ("XRP-USD", "sell", "10000"), ("BTC-USD", "sell", "1.2")):
            trade(ada, house, instrument, side, size)
        ask(ada, house, "XRP-USD", "two_way", "400000")
        expect(ada.locator("#market")).not_to_contain_text("–", timeout=SOON_MS)        # the outside dealers' orders are in the book
        expect(ada.locator(".quotes-table tbody tr:not(.gone)")).to_have_count(3, timeout=SOON_MS)
        keep(browser, ada, "portal")
        large = ask(ada, house, "BTC-USD", "buy", "30")
        rhea.goto(f"{house.url('console')}/?request={large}")
        expect(rhea.get_by_role("button", name="Approve the engine's price")).to_be_visible(timeout=SOON_MS)
        keep(browser, rhea, "console")
        browser.close()


if __name__ == "__main__":
    main()
