"""The pages of `unifiedvisual browse` in Chromium: filter, open, enlarge, page by keyboard. Skipped where the browser
is not installed.
"""

import json
from urllib.parse import urlsplit

import pytest

from tests.browse_site import ALL, serving, write_rows
from tests.test_preview_browser import browser, find, press  # noqa: F401  (browser is a fixture)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(write_rows(tmp_path_factory.mktemp("browse") / "packed")) as address:
        yield address


def query_and_path(driver):
    parts = urlsplit(driver.current_url)
    return parts.path, parts.query


def searching(driver):
    """Whether keys go into the search; if not, "/" is pressed: a page that is being loaded on a busy machine may miss a
    key.
    """
    if driver.switch_to.active_element.get_attribute("type") == "search":
        return True
    press(driver, "/")
    return False


def test_a_reader_filters_opens_enlarges_and_pages_by_keyboard_and_asks_no_other_host(browser, address):  # noqa: F811
    from selenium.webdriver import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    _ = browser.get_log("browser"), browser.get_log("performance")  # of what the browser did before
    browser.get(f"http://{address}/")
    WebDriverWait(browser, 10).until(searching)
    press(browser, "STARS" + Keys.ENTER)
    WebDriverWait(browser, 10).until(lambda driver: "text=STARS" in driver.current_url)
    assert [link.text for link in find(browser, ".entry .link")] == ["ie-00000042"]
    browser.get(f"http://{address}/?task=image_editing")
    ids = [row.id for row in ALL if row.task == "image_editing"]
    assert [link.text for link in find(browser, ".entry .link")] == ids
    find(browser, ".entry .link")[1].click()
    press(browser, Keys.ARROW_RIGHT)
    assert query_and_path(browser) == (f"/row/{ids[2]}", "task=image_editing")
    find(browser, ".zoom")[0].click()
    browser.set_script_timeout(10)
    loaded = (
        "const [done] = arguments, img = document.querySelector('#viewer img'); img.decode().then(() => "
        "done([img.naturalWidth, img.getAttribute('src')]))"
    )
    assert browser.execute_async_script(loaded) == [96, f"/image/{ids[2]}/0"]
    press(browser, Keys.ESCAPE)
    press(browser, "u")
    assert query_and_path(browser) == ("/", "task=image_editing")
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        urlsplit(event["params"]["request"]["url"]).netloc
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked == {address}
