"""The page of a run in a real browser: content, filters, sorting, keyboard, themes, narrow."""

import base64
import io

import pytest
from browser import open_browser, scheme
from matplotlib.image import imread

from vaetheory import CLAIMS
from vaetheory._files import write_json
from vaetheory.checking.runner import INCONCLUSIVE, REFUTED, ControlResult, Result
from vaetheory.report import as_json
from vaetheory.report.page import Picture, page

# The smallest picture there is: one grey point.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
PROPOSITIONS = [(c, p) for c in CLAIMS[:3] for p in c.propositions]

# The contrast of every piece of text with what is behind it, by the formula of WCAG 2.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (colour) => {
  const [r, g, b] = rgba(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (rgba(colour)[3] === 255) return colour;
  }
  return 'white';
};
const bad = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !node.checkVisibility()) continue;
  const style = getComputedStyle(node);
  const colour = node.closest('svg') ? style.fill : style.color;
  const [a, b] = [luminance(colour), luminance(behind(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) bad.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${ratio}`);
}
return bad;
"""


def results():
    """The propositions of three claims with made-up ends, one refuted and one undecided."""
    out = []
    for number, (claim, p) in enumerate(PROPOSITIONS):
        verdict = {4: REFUTED, 7: INCONCLUSIVE}.get(number, "confirmed")
        controls = tuple(
            ControlResult(c.name, verdict == "confirmed", 0.5, 1e-12, "Scene(wrong=1)")
            for c in p.controls
        )
        out.append(
            Result(
                label=p.label,
                claim=claim.label,
                title=p.title,
                kind=p.kind,
                verdict=verdict,
                residual=1e-3 if verdict == REFUTED else 10.0 ** -(number + 8),
                bound=10.0 ** -(number % 5 + 6),
                terms={"rounding": 1e-9},
                instance=f"Scene(number={number}, text='<script>document.title=1</script>')",
                instances=7 * number % 50,
                controls=controls,
                findings=(),
                message="" if verdict == "confirmed" else "for a reason",
                seconds=0.1 * number,
            )
        )
    return out


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the page is."""
    target = tmp_path_factory.mktemp("report") / "report.html"
    document = as_json(results(), profile="quick", seed=0)
    write_json(target.with_suffix(".json"), document)
    figures = {"smooth-decoder": Picture(PIXEL, "image/png", "One grey point")}
    target.write_text(page(document, figures), encoding="utf-8")
    return target.as_uri()


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A browser for the whole file: it takes long to start."""
    found = open_browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.quit()


@pytest.fixture
def browser(session, address):
    """The browser at the fresh page, with a reader who likes it light."""
    scheme(session, dark=False)
    session.get("about:blank")
    session.get(address)
    session.execute_script("try { localStorage.clear() } catch {}")
    session.refresh()
    return session


def labels(browser):
    """Labels of the rows that are shown, in order."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#table tbody tr')]"
        ".filter((r) => r.checkVisibility()).map((r) => r.cells[0].innerText.trim())"
    )


def choose(browser, where, value):
    """Choose an option or type into a field, as a reader would."""
    browser.execute_script(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true}));",
        where,
        value,
    )


def test_page_shows_the_run_and_breaks_no_policy(browser):
    text = browser.find_element("tag name", "body").text
    assert f"2 of {len(PROPOSITIONS)} propositions are not confirmed" in text, text[:300]
    assert labels(browser) == [p.label for _, p in PROPOSITIONS], "other rows"
    assert browser.title == "vaetheory: Report of a run", "a script of the data ran"
    width = browser.execute_script("return document.querySelector('figure img').naturalWidth")
    assert width == 1, "the figure is not shown"
    assert browser.execute_script("return document.querySelector('math')?.clientHeight > 5"), (
        "no formula is drawn"
    )
    complaints = [e["message"] for e in browser.get_log("browser")]
    assert not complaints, f"the browser complains: {complaints}"


def test_filters_leave_what_they_name(browser):
    choose(browser, "by-verdict", REFUTED)
    assert labels(browser) == [PROPOSITIONS[4][1].label], "not the refuted ones"
    told = browser.find_element("id", "shown").text
    assert told == f"1 of {len(PROPOSITIONS)} shown", f"the count is not told: {told}"
    shown = browser.execute_script(
        "return [...document.querySelectorAll('article')].filter((a) => !a.hidden).length"
    )
    assert shown == 1, "the details of the others are still there"
    browser.find_element("css selector", "button[type=reset]").click()
    assert len(labels(browser)) == len(PROPOSITIONS), "not all shown again"
    choose(browser, "search", "gap LAW metric")
    assert labels(browser)[0] == "3f", f"the search finds {labels(browser)}"
    choose(browser, "search", "Lambda*(z)")
    assert labels(browser) == ["1b"], f"a title as it is typed finds {labels(browser)}"
    choose(browser, "search", "number=3,")
    assert labels(browser) == [PROPOSITIONS[3][1].label], "instances are not searched"


def test_sorting_by_keyboard_says_so(browser):
    heading = browser.find_elements("css selector", "#table thead th")[3]
    button = heading.find_element("tag name", "button")
    browser.execute_script("arguments[0].focus()", button)
    for expected in ("ascending", "descending"):
        # What a screen reader's user presses.
        browser.switch_to.active_element.send_keys("\ue007")
        assert heading.get_attribute("aria-sort") == expected, f"not said to be {expected}"
        keys = browser.execute_script(
            "return [...document.querySelectorAll('#table tbody tr')]"
            ".map((r) => Number(r.cells[3].dataset.key))"
        )
        assert keys == sorted(keys, reverse=expected == "descending"), f"not {expected}"
    others = browser.find_elements("css selector", "#table thead th[aria-sort]")
    assert len(others) == 1, "two columns say that they are sorted"


def test_the_first_key_skips_to_the_results(browser):
    browser.find_element("tag name", "body").send_keys("\ue004")
    assert browser.switch_to.active_element.get_attribute("href").endswith("#results"), "no skip"
    reached = browser.execute_script(
        "const all = 'a[href], button, select, input, [tabindex], summary';"
        "return [...document.querySelectorAll(all)].every((e) => e.tabIndex >= 0)"
    )
    assert reached, "something cannot be reached by keyboard"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser, dark):
    scheme(browser, dark=dark)
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not dark, f"a ground of {ground}"
    bad = browser.execute_script(CONTRAST)
    assert not bad, f"contrast below 4.5: {bad[:5]}"


def test_the_theme_is_switched_and_kept(browser):
    button = browser.find_element("id", "theme")
    assert button.text == "Dark theme", "the button does not say what it does"
    browser.execute_script("arguments[0].click()", button)
    ground = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(ground) != "rgb(255, 255, 255)", "not dark"
    browser.refresh()
    assert browser.execute_script(ground) != "rgb(255, 255, 255)", "forgotten"


def test_a_narrow_screen_needs_no_scrolling_sideways(browser):
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        wide = browser.execute_script(
            "return [...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, "
            ".statement, dd, .skip') && e.getBoundingClientRect().right > innerWidth + 1)"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert not wide, f"wider than the screen: {wide[:3]}"
        table = "return document.querySelector('#table').getBoundingClientRect().right"
        assert browser.execute_script(table) <= 390, "the table is wider than the screen"
        assert browser.execute_script("return innerWidth") == 390, "the page widens the screen"
        stuck = browser.execute_script(
            "return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && "
            "['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && "
            "e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0)"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert not stuck, f"cannot be scrolled by keyboard: {stuck[:3]}"
        image = "return document.querySelector('figure img').getBoundingClientRect().width"
        assert browser.execute_script(image) >= 56 * 16, "a figure too small to read"
        picture = imread(io.BytesIO(browser.get_screenshot_as_png()))
    finally:
        screen |= {"width": 1300, "height": 900, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    assert picture.shape[:2] == (844, 390), f"a screenshot of {picture.shape}"
    assert picture[..., :3].std() > 0.05, "the screenshot is blank"


def test_without_scripts_everything_is_there(tmp_path, address):
    plain = open_browser(tmp_path, scripts=False)
    try:
        plain.get(address)
        rows = plain.find_elements("css selector", "#table tbody tr")
        assert len(rows) == len(PROPOSITIONS), "rows are missing"
        assert all(row.is_displayed() for row in rows[:5]), "rows are hidden"
        assert not plain.find_element("id", "filters").is_displayed(), "filters that do nothing"
        assert not plain.find_elements("css selector", "thead button"), "buttons that do nothing"
    finally:
        plain.quit()
