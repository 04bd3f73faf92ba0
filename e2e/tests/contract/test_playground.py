"""The playground as a person has it: a browser, with keys and a mouse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from e2e.clients import browser as browsers
from e2e.clients import cities
from e2e.targets import Target
from e2e.tests.conftest import PATIENCE

PICTURES = Path(__file__).parents[3] / "build/playground"
HOSTILE = '<img src=x onerror="document.title=1">'
PLOT = f"""{cities.SCRIPT}
cities.assign(note='''{HOSTILE}''').to_csv("<b>out.csv", index=False)
print('''{HOSTILE}''')
"""


def busy(route: Route) -> None:
    route.fulfill(status=429, json={"message": "Busy."}, headers={"Retry-After": "7"})


def cut(route: Route) -> None:
    route.fulfill(content_type="text/event-stream", body='event: stdout\ndata: {"text": "half"}\n\n')


def away(route: Route) -> None:
    route.abort()


FAULTS = (
    (busy, "Busy. Try again in 7 s."),
    (cut, "The connection was cut. How the run ended is not known."),
    (away, "The API cannot be reached."),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE * 1000)
    with browsers.chromium() as started:
        yield started


def opened(page: Page, target: Target, path: str = "/playground") -> None:
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(target.url + path)
    expect(page.get_by_role("status").first).to_have_text("Ready.")
    if target.key:
        page.get_by_label("API key").fill(target.key)
        page.get_by_label("API key").press("Tab")


def run(page: Page, program: str) -> None:
    """By keys alone."""
    page.get_by_role("textbox", name="Program").focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(program)
    page.keyboard.press("Control+Enter")


def drop(page: Page, name: str, text: str) -> None:
    made = """([name, text]) => {
        const dropped = new DataTransfer();
        dropped.items.add(new File([text], name));
        return dropped;
    }"""
    # On the editor, which by itself would take the text for a program.
    dropped = {"dataTransfer": page.evaluate_handle(made, [name, text])}
    page.get_by_role("textbox", name="Program").dispatch_event("drop", dropped)


def files(page: Page) -> Locator:
    return page.get_by_label("Files for the program").get_by_role("listitem")


def stdout(page: Page) -> Locator:
    """Of the last run."""
    return page.get_by_role("article").last.locator(".stdout")


def test_a_person_works_with_it(target: Target, browser: Browser) -> None:
    with browsers.page(browser, color_scheme="light") as (page, seen):
        opened(page, target)
        drop(page, cities.NAME, cities.CITIES)
        expect(page.get_by_role("textbox", name="Program")).not_to_contain_text("Oslo")
        expect(files(page)).to_contain_text(f"{cities.NAME}{len(cities.CITIES)} B")
        shows_what_a_run_gives(page)
        keeps_the_session(page, target)
        stops_a_run(page)
        photographed(page, target.name)
    assert seen.faults == []
    elsewhere = {url for url in seen.urls if urlsplit(url).netloc != urlsplit(target.url).netloc}
    assert all(url.startswith(f"blob:{target.url}/") for url in elsewhere), elsewhere


def shows_what_a_run_gives(page: Page) -> None:
    run(page, PLOT)
    done = page.get_by_role("article").last
    expect(done).to_have_class("done")
    expect(stdout(page)).to_have_text(f"{cities.TOTAL}\n{HOSTILE}\n")
    image = done.get_by_role("img")
    expect(image).to_be_visible()
    assert image.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") == 700
    table = done.get_by_role("region", name="Table <b>out.csv")
    expect(table.get_by_role("columnheader")).to_have_text(["city", "people", "note"])
    expect(table.get_by_role("cell")).to_have_text(["Oslo", "709037", HOSTILE, "Bergen", "291940", HOSTILE])
    with page.expect_download() as download:
        done.get_by_role("button", name="Download <b>out.csv").click()
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    saved = Path(download.value.path()).read_text()
    assert saved == f"city,people,note\nOslo,709037,{quoted}\nBergen,291940,{quoted}\n"
    assert page.title() == "CodeSession playground"


def keeps_the_session(page: Page, target: Target) -> None:
    run(page, "print(len(cities), 'again')")
    expect(stdout(page)).to_have_text("2 again\n")
    current = page.get_by_label("Sessions").locator("[aria-current]")
    # A replica of a cluster knows those that it served.
    time = re.compile(r"\d+ (s|min) left" if target.name == "embedded" else r"left|in use")
    expect(current).to_contain_text(time)
    page.get_by_label("Language").select_option("bash")
    run(page, "ls *.png")
    expect(stdout(page)).to_have_text("plot.png\n")
    page.get_by_label("Language").select_option("py")


def stops_a_run(page: Page) -> None:
    run(page, "import time\nprint('begun', flush=True)\ntime.sleep(600)")
    running = page.get_by_role("article").last
    expect(stdout(page)).to_have_text("begun\n")
    expect(running).to_have_class("running")
    page.get_by_role("button", name="Stop").click()
    expect(running).to_have_class("stopped")
    run(page, "print(open('cities.csv').readline())")
    expect(stdout(page)).to_contain_text("city,people")


def photographed(page: Page, name: str) -> None:
    """For people to look at."""
    page.set_viewport_size({"width": 1280, "height": 800})
    page.screenshot(path=PICTURES / f"{name}-light.png")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=PICTURES / f"{name}-dark.png")
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(244, 245, 247)"
    page.set_viewport_size({"width": 390, "height": 844})
    page.screenshot(path=PICTURES / f"{name}-narrow.png", full_page=True)


@pytest.mark.sandbox
def test_a_slow_upload_shows_how_far_it_is_and_a_run_waits_for_it(
    embedded_server: Target, browser: Browser
) -> None:
    with browsers.page(browser) as (page, _):
        opened(page, embedded_server, "/v1/playground/")
        network = page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 500_000}
        network.send("Network.emulateNetworkConditions", slow)
        drop(page, "large.txt", "x" * 2_000_000)
        run(page, "import os; print(os.path.getsize('large.txt'))")
        bar = page.get_by_role("progressbar", name="Upload of large.txt")
        expect(bar).not_to_have_js_property("value", 0)
        assert 0 < bar.evaluate("(bar) => bar.value") < 1
        page.screenshot(path=PICTURES / "upload.png")
        network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
        expect(files(page)).to_contain_text("large.txt1.9 MiB")
        expect(stdout(page)).to_have_text("2000000\n")
        current = page.get_by_label("Sessions").locator("[aria-current]")
        current.get_by_role("button", name="End").click()
        expect(current).to_have_count(0)


@pytest.mark.sandbox
def test_what_goes_wrong_is_said(embedded_server: Target, browser: Browser) -> None:
    with browsers.page(browser) as (page, _):
        opened(page, Target(embedded_server.name, embedded_server.url))
        run(page, "print(1)")
        last = page.get_by_role("article").last
        expect(last).to_contain_text("The API asks for a key")
        expect(page.get_by_label("API key")).to_be_focused()
        page.keyboard.type("wrong")
        run(page, "print(1)")
        expect(last).to_contain_text("The API does not know this key.")
        page.get_by_label("API key").fill(embedded_server.key or "")
        run(page, "1/0")
        expect(last).to_contain_text("ZeroDivisionError")
        for fault, said in FAULTS:
            page.route("**/exec", fault)
            run(page, "print(2)")
            expect(last).to_contain_text(said)
            page.unroute("**/exec")
