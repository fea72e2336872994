"""A headless Chromium, from Debian's packages or wherever it is, and the page of an explorer."""

import shutil
import time
from contextlib import contextmanager

import pytest

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-device-scale-factor=1", "--hide-scrollbars",
)  # fmt: skip
PATIENCE = 120.0


def check_browser():
    """Skips where there is no browser."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(
                f"{program} is not there: apt-get install chromium chromium-driver",
                allow_module_level=True,
            )


@contextmanager
def browser(folder, *, width=1280, height=800, dark=False):
    """A browser whose profile and downloads are in `folder`."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        size(driver, width, height)
        if dark:
            feature = {"name": "prefers-color-scheme", "value": "dark"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        downloads = {"behavior": "allow", "downloadPath": str(folder)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
        driver.set_script_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


def size(driver, width, height):
    """Gives the page that many pixels; a narrow one is a phone's."""
    given = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", given)


def opened(driver, address):
    """Opens the address and waits until every model is drawn and no answer is awaited."""
    driver.get(address)
    wait(lambda: driver.execute_script("return document.body?.dataset.ready") == "yes")
    settled(driver)


def settled(driver):
    """Waits until the page says that it is ready, and its last picture is drawn."""
    time.sleep(0.4)
    wait(
        lambda: (
            driver.execute_script("return document.getElementById('status').textContent") == "Ready"
        )
    )
    time.sleep(0.2)


def wait(condition, patience=PATIENCE):
    """Waits until the condition holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "the page did not come to what was waited for"
        time.sleep(0.05)
