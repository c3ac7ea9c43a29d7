"""A headless browser, where there is one."""

import shutil

import pytest
from frameworks import framework


def open_browser(profile, *, width=1300, height=900, dark=False, scripts=True):
    """A headless Chromium that asks nothing of the network; skips where there is none.

    Parameters
    ----------
    profile : path
        An empty folder for what it keeps.
    width, height : int
        Of the screen.
    dark, scripts : bool
        The reader's colour scheme, and whether scripts run.
    """
    framework("selenium")
    from selenium import webdriver

    found = [shutil.which("chromium") or shutil.which("chromium-browser")]
    found += [shutil.which("chromedriver")]
    if not all(found):
        pytest.skip("no chromium or no chromedriver on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", f"--window-size={width},{height}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        wanted = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", wanted)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(found[1]))
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme(browser, dark=dark)
    return browser


def scheme(browser, *, dark):
    """Set the reader's colour scheme."""
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
