"""The page in a real browser: live, usable by hand, keyboard and screen reader, in light and dark, small and large."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from citywatch.alert import Action
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.stores.directory import DataDirectory
from citywatch.stores.gallery import Gallery
from citywatch.triage import Wish
from tests.unit.desk.facts import alert_id, fact, table
from tests.unit.desk.violations import violation
from tests.unit.stores.pictures import picture

from .conftest import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a signed-in page; at the end nothing may have been said on the browser's console.

    Tests ask for it after the console: pages are closed before the process that serves them ends.
    """
    said: list[str] = []
    contexts = []

    def open_page(console: Running, path: str = "/", *, scheme: str = "light", size: dict[str, int] = DESKTOP) -> Page:
        context = browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]  # plain dicts for its typed ones
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        console.told.clear()
        page.goto(console.links[-1])
        console.link()
        page.goto(console.base + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def until(page: Page, condition: Callable[[], Any]) -> None:
    """Wait at most a minute; the page's policy forbids Playwright's own way of waiting."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, page.content()
        page.wait_for_timeout(50)


def moved(page: Page) -> None:
    """Wait until what opens and closes has done so."""
    page.evaluate("() => Promise.all(document.getAnimations().map((one) => one.finished))")


def born(console: Running, name: int, **told: Any) -> None:
    with Desk(console.desk) as desk:
        desk.put_facts(table([fact(name, first_seen=now_us(), **told)]), now=now_us())


def first_row(page: Page) -> str:
    return page.locator(".row").first.inner_text()


def test_alerts_appear_at_the_top_while_one_looks(console: Running, opened: Callable[..., Page]) -> None:
    page = opened(console)
    until(page, lambda: page.locator("#live.on").count())
    born(console, 100, title="Just now")
    until(page, lambda: "Just now" in first_row(page))
    assert page.locator("#count-open").inner_text() == "31"
    born(console, 100, title="Just now", count=4)
    until(page, lambda: "4×" in first_row(page))
    assert page.locator(".row").count() == 31


def test_an_alert_that_somebody_else_takes_leaves_the_list_of_open_ones(
    console: Running, opened: Callable[..., Page]
) -> None:
    page = opened(console, "/?state=open")
    until(page, lambda: page.locator("#live.on").count())
    with Desk(console.desk) as desk:
        desk.act(alert_id(29), Wish(Action.ACK, by="bo", channel="cli"))
    until(page, lambda: page.locator(f"#a-{alert_id(29)}").count() == 0)
    assert page.locator("#count-acknowledged").inner_text() == "1"


def test_work_on_an_alert_by_keyboard_alone(console: Running, opened: Callable[..., Page]) -> None:
    page = opened(console, f"/alerts/{alert_id(7)}")
    page.locator("summary", has_text="Correct the code").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("38")
    page.keyboard.press("Tab")
    page.keyboard.type("it is a hydrant")
    page.keyboard.press("Enter")
    until(page, lambda: "closed: corrected" in page.locator(".standing").inner_text())
    assert "to code 38 by anna: it is a hydrant" in page.locator(".history").inner_text()
    page.locator("button", has_text="Undo").press("Enter")
    until(page, lambda: "open" in page.locator(".standing").inner_text())
    with Desk(console.desk) as desk:
        assert desk.alert(alert_id(7)).alert["state"] == "open"


def test_the_page_of_an_alert_follows_what_others_do_and_lets_one_go_on(
    console: Running, opened: Callable[..., Page]
) -> None:
    page = opened(console, f"/alerts/{alert_id(3)}")
    until(page, lambda: page.locator("#live.on").count())
    page.locator("summary", has_text="Note").click()
    page.locator("input[name=note]:visible").fill("half a word")
    with Desk(console.desk) as desk:
        desk.act(alert_id(3), Wish(Action.ACK, by="bo", channel="cli"))
    until(page, lambda: "ack by bo" in page.locator(".history").inner_text())
    assert page.locator("input[name=note]:visible").input_value() == "half a word"
    page.locator("input[name=note]:visible").press("Enter")
    until(page, lambda: "half a word" in page.locator(".history").inner_text())


def test_closing_asks_for_an_outcome_and_offers_undo(console: Running, opened: Callable[..., Page]) -> None:
    page = opened(console, f"/alerts/{alert_id(3)}")
    page.locator("summary", has_text="Close").click()
    page.locator("button", has_text="Close alert").click()
    assert page.locator(".standing").inner_text().startswith("open")
    page.get_by_label("false positive").check()
    page.locator("button", has_text="Close alert").click()
    until(page, lambda: "closed: false positive" in page.locator(".standing").inner_text())
    page.locator("button", has_text="Undo").click()
    until(page, lambda: page.locator(".standing").inner_text().startswith("open"))


def test_plates_show_after_a_purpose(console: Running, opened: Callable[..., Page]) -> None:
    page = opened(console, f"/alerts/{alert_id(3)}")
    assert "K1234" not in page.content()
    page.locator("summary", has_text="Show plates").click()
    page.get_by_label(re.compile("For which purpose")).fill("answer a complaint")
    page.locator("button", has_text="Show them").click()
    until(page, lambda: "K1234" in page.locator(".evidence").inner_text())


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_auditor_finds_who_looked_up_a_plate(
    console: Running, opened: Callable[..., Page], size: dict[str, int]
) -> None:
    with Desk(console.desk) as desk:
        desk.audit("bo", "reveal", alert=alert_id(3), purpose="answer a complaint")
        desk.audit("carl", "reveal", alert=alert_id(7), purpose="evidence for a case")
    page = opened(console, "/", size=size)
    page.get_by_role("link", name="Audit").click()
    assert page.locator(".audit li").count() == 2
    page.get_by_label("Plate").fill("k-9")
    page.keyboard.press("Enter")
    until(page, lambda: page.locator(".audit li").count() == 1)
    assert "carl: evidence for a case" in page.locator(".audit").inner_text()
    assert page.get_by_label("Plate").input_value() == "k-9"
    assert page.url == f"{console.base}/audit"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize(
    "path",
    ["/?state=open&level=high", f"/alerts/{alert_id(3)}", f"/alerts/{alert_id(7)}", "/audit"],
    ids=["list", "alert", "violation", "audit"],
)
def test_axe_finds_nothing(
    still_console: Running, opened: Callable[..., Page], path: str, size: dict[str, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no types

    page = opened(still_console, path, scheme=scheme, size=size)
    for summary in page.locator("summary").all():
        summary.click()
    moved(page)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("path", ["/", f"/alerts/{alert_id(3)}", "/audit"], ids=["list", "alert", "audit"])
def test_on_a_phone_nothing_is_cut_off_and_everything_is_big_enough_to_hit(
    still_console: Running, opened: Callable[..., Page], path: str
) -> None:
    page = opened(still_console, path, size=PHONE)
    for summary in page.locator("summary").all():
        summary.click()
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
    for target in page.locator("button:visible, summary:visible, .chip:visible, .row a:visible, select:visible").all():
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 44, target.inner_text()


@pytest.mark.parametrize("width", [320, 360])
def test_on_a_small_phone_neither_the_head_nor_a_long_word_is_cut_off(
    console: Running, opened: Callable[..., Page], width: int
) -> None:
    with Desk(console.desk) as desk:
        desk.put_violations([violation("long", address="W" * 180, vehicle_make="W" * 180)])
        proposal = desk.proposals()[0]["id"]
    for path in ("/", f"/alerts/{alert_id(3)}", "/tickets", f"/tickets/{proposal}"):
        page = opened(console, path, size={"width": width, "height": 700})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path
        leave = page.get_by_role("button", name="Sign out").bounding_box()
        assert leave is not None
        assert leave["x"] + leave["width"] <= width, path


def test_without_scripts_the_list_and_the_work_are_there(console: Running, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(console.links[-1])
    page.goto(f"{console.base}/alerts/{alert_id(3)}")
    page.locator("button", has_text="Acknowledge").click()
    assert "acknowledged" in page.locator(".standing").inner_text()
    context.close()


@pytest.fixture
def tickets(console: Running) -> list[str]:
    """Ids of three proposals; the first has an image that is here."""
    Gallery(DataDirectory(console.desk.parent)).receive("i1", picture())
    with Desk(console.desk) as desk:
        seen = [violation(f"v{n}", n, plate=f"K{n}", image_id=f"i{n}", address="907 W 91st St") for n in (1, 2, 3)]
        desk.put_violations(seen)
        return [proposal["id"] for proposal in desk.proposals()]


def test_a_ticket_is_decided_after_a_look_at_its_image(
    console: Running, tickets: list[str], opened: Callable[..., Page]
) -> None:
    page = opened(console, "/tickets")
    page.locator(".ticket-row a").first.click()
    assert page.locator("img").count() == 0
    page.locator("summary", has_text="Show plate").click()
    page.get_by_label("For which purpose?").fill("decide about a ticket")
    page.get_by_role("button", name="Show them").click()
    assert "K1" in page.locator(".reason").inner_text()
    until(page, lambda: page.locator(".shot img").evaluate("image => image.naturalWidth") == 64)
    page.get_by_role("button", name="Approve").click()
    assert page.locator(".state-badge").inner_text() == "approved"
    page.locator("summary", has_text="Refuse").click()
    page.get_by_label("Reason").fill("the plate is not to be read")
    page.get_by_role("button", name="Refuse").click()
    assert page.locator(".state-badge").inner_text() == "refused"
    assert "the plate is not to be read" in page.locator(".history").inner_text()


def test_several_tickets_are_approved_only_by_who_says_that_they_looked(
    console: Running, tickets: list[str], opened: Callable[..., Page]
) -> None:
    page = opened(console, "/tickets")
    for box in page.locator(".choose input").all()[:2]:
        box.check()
    page.get_by_role("button", name="Approve those chosen").click()
    assert "1 without an image" in page.locator(".notice").inner_text()
    page.get_by_role("button", name="Approve all").click()  # the browser asks for the tick first
    assert "Approve 2 proposals?" in page.locator("h1").inner_text()
    page.get_by_label("I have looked at each of them").check()
    page.get_by_role("button", name="Approve all").click()
    assert page.locator(".ticket-row").count() == 1


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_on_the_pages_of_tickets(
    console: Running, tickets: list[str], opened: Callable[..., Page], size: dict[str, int]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(console, "/tickets", size=size)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in ("/tickets", f"/tickets/{tickets[0]}"):
            page.goto(console.base + path)
            for summary in page.locator("summary").all():
                summary.click()
            moved(page)
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert page.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
