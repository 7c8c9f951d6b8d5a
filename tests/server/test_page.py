"""The page in a real browser: marks, arcs and facts, the slider, files, images, both languages, keyboard, telephone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kexue.diffusion.checkpoint import save_generator
from tests.server.conftest import tiny_generator
from tests.server.running import running
from tests.training.tiny import sentences

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def address(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    dots = tmp_path_factory.mktemp("served") / "dots"
    save_generator(tiny_generator(), dots)
    with running(f"drugs={fitted}", str(dots), "--latency", "20") as service:  # a busy machine refuses nothing
        yield service.address


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: playwright.Browser, address: str) -> Iterator[playwright.Page]:
    """The page, opened; nothing may be asked elsewhere, and the console stays empty."""
    context = browser.new_context(locale="en-US", accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text) if "ERR_FAILED" not in message.text else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#extraction:not([hidden])")
    yield page
    context.close()
    assert not said
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


GOLD = sentences(1)[0]


def extract(page: playwright.Page, text: str = GOLD.text) -> None:
    page.fill("#text", text)
    page.press("#text", "Control+Enter")
    page.wait_for_selector("#result:not([hidden])")


def facts(page: playwright.Page) -> list[list[str]]:
    return [row.locator("td").all_inner_texts() for row in page.locator("#facts tr").all()]


def keep(page: playwright.Page, name: str) -> None:
    """A picture for people to look at, where a folder is named for them."""
    if folder := os.environ.get("KEXUE_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.slow
def test_entities_are_marked_and_relations_are_arcs_facts_and_a_graph(page: playwright.Page):
    extract(page)
    expected = {(fact.subject.surface(GOLD.text), fact.predicate) for fact in GOLD.relations}
    assert {(subject, predicate) for subject, predicate, _, _ in facts(page)} == expected
    assert page.locator("#marked").inner_text().replace("\n", "").startswith(GOLD.text[:10])
    assert page.locator("mark").count() >= 2
    assert page.locator("#marked .arc-name").count() >= 1
    assert page.locator("#graph circle").count() >= 2
    keep(page, "facts")


def test_the_slider_acts_at_once_and_without_asking_again(page: playwright.Page):
    extract(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.uncheck("#own")
    counts = []
    for threshold in ("0", "0.5", "1"):
        page.fill("#threshold", threshold)
        counts.append(len(facts(page)))
    assert counts[0] >= counts[1] >= counts[2]
    assert counts[0] > counts[2] == 0
    assert page.locator("#none").is_visible()
    assert not asked


def test_the_page_speaks_chinese_and_english(page: playwright.Page):
    assert page.locator("#extract").inner_text() == "Extract"
    page.click("#language")
    assert page.locator("#extract").inner_text() == "抽取"
    assert page.locator("html").get_attribute("lang") == "zh"
    extract(page)
    assert page.locator("th").first.inner_text() == "主体"
    keep(page, "chinese")


def test_json_is_copied_as_it_is_shown(page: playwright.Page):
    extract(page)
    page.click("#copy")
    page.wait_for_selector("#copy:text-is('Copied')")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["text"] == GOLD.text
    assert len(copied["relations"]) == len(facts(page))


@pytest.mark.parametrize("name", ["notes.txt", "notes.jsonl"])
def test_a_file_is_read_and_comes_back_as_jsonl_and_csv(page: playwright.Page, tmp_path: Path, name: str):
    texts = [item.text for item in sentences(10)] * 8
    lines = texts if name.endswith("txt") else [json.dumps({"text": text}) for text in texts]
    (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    page.set_input_files("#file", tmp_path / name)
    page.wait_for_selector("#save-jsonl:not([disabled])")
    assert page.locator("#counted").inner_text().startswith("80 of 80")
    with page.expect_download() as download:
        page.click("#save-jsonl")
    documents = [json.loads(line) for line in Path(download.value.path()).read_text("utf-8").splitlines()]
    assert [document["text"] for document in documents] == texts
    with page.expect_download() as download:
        page.click("#save-csv")
    table = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert table[0].startswith('"text","subject"')
    assert len(table) == 1 + sum(len(document["relations"]) for document in documents)


def test_a_wrong_file_is_told_with_its_line(page: playwright.Page, tmp_path: Path):
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n', encoding="utf-8")
    page.set_input_files("#file", tmp_path / "bad.jsonl")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.locator("#problem").inner_text() == 'bad.jsonl: no JSON with a key "text" in line 2'


def test_images_come_out_of_the_noise(page: playwright.Page):
    page.select_option("#model", "dots")
    page.fill("#num", "9")
    page.fill("#steps", "8")
    page.select_option("#label", "bee")
    page.click("#drawing .main")
    page.wait_for_selector("#image[alt='Step 8 of 8']")
    assert page.locator("#image").get_attribute("src").startswith("data:image/png;base64,")
    keep(page, "images")


def test_markup_in_a_text_is_text(page: playwright.Page):
    extract(page, f"<img src=x onerror=alert(1)><b>{GOLD.text}</b>")
    assert page.locator("#marked img, #marked b").count() == 0
    assert "<img src=x" in page.locator("#marked").inner_text()


def test_everything_is_reached_by_keyboard(page: playwright.Page):
    extract(page)
    page.locator("body").press("Tab")
    reached = []
    for _ in range(40):
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        page.keyboard.press("Tab")
    assert {"model", "language", "text", "extract", "file", "own", "copy", "marked", "TR"} <= set(reached)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone_nothing_is_wider_than_the_screen(page: playwright.Page, scheme: str):
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    extract(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    keep(page, f"telephone-{scheme}")


def test_a_service_that_has_gone_is_told(page: playwright.Page):
    page.route("**/extract", lambda route: route.abort())
    page.fill("#text", "a")
    page.click("#extract")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.locator("#problem").inner_text() == "The service does not answer."
