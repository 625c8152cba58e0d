"""A preview in Chromium, driven by Selenium: what a reader sees, filters, pages through and enlarges. Skipped where the
browser is not installed.
"""

import io
import json
import shutil
from urllib.parse import unquote

import pytest
from PIL import Image

from tests.packed_folder import write_packed
from tests.planted import colour, planted_row, text_row
from tests.test_preview import HOSTILE
from toolkit.cli.app import main
from toolkit.schema import EncodedImage, Region

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync "
    "--force-device-scale-factor=1 --force-color-profile=srgb --window-size=1100,900"
)


def rows():
    hostile = "\n".join(text for kind, text in HOSTILE.items() if kind != "surrogate")  # which Parquet cannot hold
    bad = (
        planted_row(3).images[0],
        EncodedImage(b"<svg onload='document.title=1'/>", "x.svg"),
        *planted_row(3).images[2:],
    )
    return {
        "mm_reasoning_mm": [
            *(planted_row(number) for number in range(3)),
            planted_row(
                3, images=bad, rationale="", origin="generated", regions=(Region(0, (0.25, 0.5, 0.75, 1.0), hostile),)
            ),
        ],
        "cot_collection": [text_row(0, "a needle in a haystack"), text_row(1, hostile + "word " * 4000)],
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed; run: pip install selenium")
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed; run: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preview")
    write_packed(folder / "packed", rows())
    with pytest.raises(SystemExit):
        main(["preview", str(folder / "packed"), str(folder / "page.html")])
    return folder / "page.html"


@pytest.fixture
def page(browser, path):
    browser.get(path.as_uri())
    return browser


def find(page, selector):
    return page.find_elements("css selector", selector)


def visible(page):
    return page.execute_script(
        "return [...document.querySelectorAll('.row')].filter(row => row.checkVisibility()).map(row => row.id.slice(4))"
    )


def press(page, keys):
    from selenium.webdriver import ActionChains

    ActionChains(page).send_keys(keys).perform()


def centre(element):
    picture = Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")
    return picture.getpixel((picture.width // 2, picture.height // 2))


def near(found, expected):
    return all(abs(a - b) <= 8 for a, b in zip(found, expected, strict=True))


def test_every_picture_on_the_screen_is_the_right_one(page):
    for number in range(3):
        pictures = find(page, f"#row-mrm-{number} .zoom img")
        assert len(pictures) == 4
        for place, picture in enumerate(pictures):
            page.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
            assert near(centre(picture), colour(number, place)), (number, place)


def test_nothing_runs_nothing_is_asked_for_and_nothing_is_wrong(browser, path):
    browser.get("about:blank")
    _ = browser.get_log("performance"), browser.get_log("browser")  # of what the browser did before
    browser.get(path.as_uri())
    for picture in find(browser, "img"):
        browser.execute_script("arguments[0].scrollIntoView()", picture)
    seen = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {
        message["params"]["request"]["url"].partition(",")[0]
        for message in seen
        if message["method"] == "Network.requestWillBeSent"
    }
    assert {unquote(url) for url in urls} <= {path.as_uri(), "data:image/webp;base64", "data:image/svg+xml;base64"}
    assert path.as_uri() in urls
    assert browser.get_log("browser") == []
    assert "UnifiedVisual preview" in browser.title
    assert (
        browser.execute_script(
            "return document.scripts.length + document.querySelectorAll('main script, main iframe, main "
            'a:not([href^="#"])\').length'
        )
        == 1
    )


def test_the_policy_stops_markup_that_would_get_in(browser, path):
    broken = path.with_name("broken.html")
    intruder = (
        "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'><iframe src='data:text/html,x'></iframe>"
    )
    broken.write_text(path.read_text().replace("</main>", f"{intruder}</main>"))
    browser.get(broken.as_uri())
    assert browser.execute_script("return window.ran") is None
    assert sum("Content Security Policy" in entry["message"] for entry in browser.get_log("browser")) >= 3
    assert browser.execute_script("return document.getElementById('shown').textContent") == "6"


def test_filters_hide_rows_and_say_how_many_are_left(page):
    assert len(visible(page)) == 6
    page.execute_script(
        "const s = document.forms[0].elements.task; s.value = 'cot_collection'; s.dispatchEvent(new Event('input', "
        "{bubbles: true}))"
    )
    assert visible(page) == ["cc-0", "cc-1"]
    find(page, "input[name=text]")[0].send_keys("NEEDLE hay")
    assert (visible(page), find(page, ".count")[0].text) == (["cc-0"], "1 of 6 rows")
    find(page, "input[name=text]")[0].send_keys(" nowhere")
    assert (visible(page), find(page, ".nothing")[0].is_displayed()) == ([], True)


@pytest.mark.parametrize(
    ("name", "value", "left"), [("origin", "generated", ["mrm-3"]), ("quadrant", "text-text", ["cc-0", "cc-1"])]
)
def test_a_filter_keeps_the_rows_of_its_kind(page, name, value, left):
    page.execute_script(
        f"const s = document.forms[0].elements.{name}; s.value = '{value}'; s.dispatchEvent(new Event('input', "
        f"{{bubbles: true}}))"
    )
    assert visible(page) == left


def focused(page):
    return page.execute_script("return document.activeElement.id")


def test_keys_go_from_row_to_row_and_not_while_typing(page):
    press(page, "n")
    assert focused(page) == "row-mrm-0"
    press(page, "nn")
    assert focused(page) == "row-mrm-2"
    press(page, "p")
    assert focused(page) == "row-mrm-1"
    assert 0 <= page.execute_script("return document.activeElement.getBoundingClientRect().top") < 120
    press(page, "/")
    press(page, "n")
    assert find(page, "input[name=text]")[0].get_property("value") == "n"


def test_a_row_is_copied_as_code_and_as_a_link_and_the_keys_are_listed(page, path):
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    copied = "navigator.clipboard.readText().then(arguments[0])"
    page.set_script_timeout(10)
    press(page, "nn")
    press(page, "l")
    assert page.execute_async_script(copied) == path.as_uri() + "#row-mrm-1"
    press(page, "c")
    names = {}
    exec(page.execute_async_script(copied), names)
    assert (names["row"]["id"], len(names["row"]["images"])) == ("mrm-1", 4)
    press(page, "?")
    assert find(page, "#help[open]")[0].is_displayed()


def test_a_click_enlarges_a_picture_with_its_boxes_and_escape_closes_it(page):
    from selenium.webdriver import Keys

    thumbnail = find(page, "#row-mrm-3 .zoom")[0]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", thumbnail)
    thumbnail.click()
    (large,) = find(page, "#viewer[open] img")
    assert (large.size["width"], large.size["height"]) == (128, 96)
    assert near(Image.open(io.BytesIO(large.screenshot_as_png)).convert("RGB").getpixel((10, 10)), colour(3, 0))
    frame, box = (
        page.execute_script("return arguments[0].getBoundingClientRect().toJSON()", each)
        for each in (large, find(page, "#viewer rect")[0])
    )
    assert (box["x"] - frame["x"], box["y"] - frame["y"], box["width"], box["height"]) == pytest.approx(
        (32, 48, 64, 48), abs=0.6
    )
    press(page, Keys.ESCAPE)
    assert find(page, "#viewer[open]") == []
    assert page.execute_script("return document.activeElement.className") == "zoom"  # focus comes back


def test_the_theme_changes_and_keeps_what_is_pressed(page):
    def paper():
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    light = paper()
    press(page, "t")
    assert paper() == "rgb(19, 21, 24)" != light
    assert find(page, "#theme")[0].get_attribute("aria-pressed") == "true"
    assert [image.is_displayed() for image in find(page, ".plots figure:first-child img")] == [False, True]
    press(page, "t")
    assert paper() == light


def test_rationales_fold_together(page):
    assert all(each.get_attribute("open") for each in find(page, ".message .rationale"))
    press(page, "r")
    assert not any(each.get_attribute("open") for each in find(page, ".message .rationale"))


def test_a_long_text_is_folded_until_it_is_asked_for(page):
    (more,) = find(page, "#row-cc-1 .more")
    assert find(page, "#row-cc-1")[0].size["height"] < 900
    page.execute_script("arguments[0].open = true", more)
    assert find(page, "#row-cc-1")[0].size["height"] < 1700


@pytest.mark.parametrize("width", [390, 768])
def test_a_small_screen_needs_no_sideways_scrolling(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") == width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_messages_of_hostile_rows_stay_text(page):
    shown = find(page, "#row-cc-1 .message.user .text")[0].get_property("textContent")
    assert shown.startswith(HOSTILE["script"])
