"""The explorer's page in a headless browser: every control, keyboard, fast moves, accessibility."""

import csv
import importlib.util
import io
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

import unweave as uw
from browser import browser, check_browser, opened, settled, wait
from models import fitted
from unweave import explore

pytest.importorskip("selenium", reason="selenium, which drives the browser, is not installed")
pytest.importorskip("plotly", reason="the extra 'explore' is not installed: no plotly")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

check_browser()
# plotly.js brings the styles of its maps, which the page's policy turns away
EXPECTED = "plotly.min.js"


@pytest.fixture(scope="module")
def beats():
    return uw.explorer([fitted("vae"), fitted("pca")])


@pytest.fixture(scope="module")
def address(beats):
    explore.warm(beats)
    with explore.served(beats) as address:
        yield address


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def driver(address, folder):
    with browser(folder) as driver:
        yield driver


@pytest.fixture
def page(driver, address):
    """The page as it is opened first."""
    driver.get("about:blank")
    opened(driver, address)
    return driver


def find(page, id):
    return page.find_element(By.ID, id)


def curve(page, name):
    """What is drawn of a model."""
    script = """
        const traces = document.getElementById("figure").data;
        return Array.from(traces.find(t => t.name === arguments[0]).y)"""
    return np.asarray(page.execute_script(script, name))


def state(page):
    """What the address says."""
    settled(page)
    return {k: v[0] for k, v in parse_qs(urlsplit(page.current_url).fragment).items()}


def latents(page, model="m1"):
    return np.asarray([float(v) for v in state(page)[f"z.{model}"].split(",")])


def test_a_slider_by_keyboard_moves_the_curve(page, beats):
    before = latents(page)
    slider = page.find_element(By.CSS_SELECTOR, "#sliders input[type=range]")
    place = int(slider.get_attribute("id").removeprefix("z-"))
    slider.send_keys(Keys.ARROW_RIGHT * 3)
    after = latents(page)
    low, high = (float(slider.get_attribute(end)) for end in ("min", "max"))
    assert after[place] - before[place] == pytest.approx(3 * (high - low) / 1000, abs=1e-2)
    assert np.delete(after, place) == pytest.approx(np.delete(before, place))
    expected = beats.subjects["m1"].decode(after, None)
    np.testing.assert_allclose(curve(page, "vae"), expected[:, 0], atol=1e-6)
    assert slider.get_attribute("aria-valuetext").replace("−", "-") == f"{after[place]:.4g}"
    assert page.find_element(By.CSS_SELECTOR, f"label[for={slider.get_attribute('id')}]").text
    assert slider.get_attribute("aria-describedby")


def test_fifty_fast_moves_end_on_the_last(page, beats):
    script = """
        const [done] = [arguments[0]];
        const slider = document.querySelector("#sliders input[type=range]");
        const low = Number(slider.min), high = Number(slider.max);
        document.addEventListener("unweave:drawn", function listen(event) {
          if (Math.abs(event.detail.z[Number(slider.id.slice(2))] - Number(slider.value)) < 1e-9) {
            document.removeEventListener("unweave:drawn", listen);
            setTimeout(() => done([event.detail.z, Number(slider.value)]), 500);
          }
        });
        for (let i = 1; i <= 50; i += 1) {
          slider.value = low + (high - low) * i / 50;
          slider.dispatchEvent(new Event("input"));
        }"""
    z, last = page.execute_async_script(script)
    slider = page.find_element(By.CSS_SELECTOR, "#sliders input[type=range]")
    assert last == pytest.approx(float(slider.get_attribute("max")))
    assert latents(page) == pytest.approx(z)
    expected = beats.subjects["m1"].decode(np.asarray(z), None)
    np.testing.assert_allclose(curve(page, "vae"), expected[:, 0], atol=1e-6)


def test_every_control_does_what_it_says(page, beats, folder):
    codes = {
        id: uw.codes(s.model, beats.observations).astype(float) for id, s in beats.subjects.items()
    }
    assert latents(page, "m2") == pytest.approx(codes["m2"][0], abs=1e-4)
    # observations
    find(page, "next").click()
    assert latents(page) == pytest.approx(codes["m1"][1], abs=1e-4)
    find(page, "previous").click()
    assert latents(page) == pytest.approx(codes["m1"][0], abs=1e-4)
    Select(find(page, "on")).select_by_index(5)
    assert latents(page, "m2") == pytest.approx(codes["m2"][5], abs=1e-4)
    np.testing.assert_allclose(curve(page, "observation"), beats.observations[5, :, 0], rtol=1e-5)
    # latents
    typed = page.find_element(By.CSS_SELECTOR, "#sliders input[type=number]")
    place = int(
        page.find_element(By.CSS_SELECTOR, "#sliders input[type=range]").get_attribute("id")[2:]
    )
    typed.send_keys(Keys.CONTROL, "a")
    typed.send_keys("1.25", Keys.TAB)
    assert latents(page)[place] == 1.25
    find(page, "reset").click()
    assert latents(page) == pytest.approx([0, 0])
    find(page, "sample").click()
    drawn = latents(page)
    assert np.abs(drawn).min() > 0
    find(page, "encode").click()
    assert latents(page) == pytest.approx(codes["m1"][5], abs=1e-4)
    page.find_element(By.CSS_SELECTOR, "#models input[value=m2]").find_element(
        By.XPATH, ".."
    ).click()
    assert state(page)["m"] == "m2"
    assert page.find_element(By.CSS_SELECTOR, "#sliders .name").text.startswith("pc")
    # between two observations
    Select(find(page, "b")).select_by_index(2)
    find(page, "t").send_keys(Keys.END)
    assert latents(page, "m2") == pytest.approx(codes["m2"][2], abs=1e-4)
    find(page, "encode").click()
    settled(page)
    place = int(
        page.find_element(By.CSS_SELECTOR, "#sliders input[type=range]").get_attribute("id")[2:]
    )
    page.find_element(By.CSS_SELECTOR, "#sliders .under button").click()
    mixed = codes["m2"][5].copy()
    mixed[place] = codes["m2"][2, place]
    assert latents(page, "m2") == pytest.approx(mixed, abs=1e-4)
    find(page, "exchange").click()
    assert {k: state(page)[k] for k in ("on", "b")} == {"on": "2", "b": "5"}
    # questions
    for word, said in (
        ("strange", "Anomaly score"),
        ("explain", "Attribution"),
        ("attack", "Attack"),
    ):
        find(page, word).click()
        wait(lambda said=said: said in find(page, "answers").text)
    Select(find(page, "target")).select_by_value("latent:pc1")
    wait(lambda: "pc1 goes from" in find(page, "answers").text)
    find(page, "share").send_keys(Keys.HOME)
    wait(lambda: "± 0 mV" in find(page, "share-value").text)
    assert state(page)["show"] == "strange,explain,attack"
    find(page, "strange").click()
    wait(lambda: "Anomaly" not in find(page, "answers").text)
    # the map
    Select(find(page, "map-of")).select_by_value("m2")
    Select(find(page, "map-x")).select_by_index(1)
    Select(find(page, "map-y")).select_by_index(0)
    assert state(page)["map"] == "m2,1,0"
    point = page.find_elements(By.CSS_SELECTOR, "#map .scatterlayer .trace")[0].find_elements(
        By.CSS_SELECTOR, "path.point"
    )[7]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    ActionChains(page).move_to_element(point).click().perform()
    settled(page)
    on = int(state(page)["on"])
    assert latents(page, "m2") == pytest.approx(codes["m2"][on], abs=1e-4)
    # exports
    find(page, "lines-box").find_element(By.TAG_NAME, "summary").click()
    wait(lambda: "uw.decode(" in find(page, "lines").text)
    for button in page.find_elements(By.CSS_SELECTOR, "#exports button"):
        kind = button.get_attribute("data-kind")
        button.click()
        wait(lambda kind=kind: (folder / kind).exists())
    rows = list(csv.DictReader(io.StringIO((folder / "latents.csv").read_text())))
    assert [float(r["value"]) for r in rows if r["model"] == "pca"] == latents(page, "m2").tolist()


def test_the_address_holds_the_state(page, address):
    home = address.partition("?")[0]
    shown = "#on=3&b=4&m=m2&show=strange&z.m1=0.5,-1.5&z.m2=1.25,0.75&map=m1,1,0&share=0.2"
    page.get("about:blank")
    opened(page, home + shown)
    assert latents(page) == pytest.approx([0.5, -1.5])
    assert latents(page, "m2") == pytest.approx([1.25, 0.75])
    now = state(page)
    wanted = {"on": "3", "b": "4", "m": "m2", "show": "strange", "map": "m1,1,0", "share": "0.2"}
    assert {k: now[k] for k in wanted} == wanted
    # what is not a state is left out
    page.get("about:blank")
    opened(page, home + "#on=99&m=m7&z.m1=1&z.m2=x,y&show=rm&share=7&map=../x")
    assert {k: v for k, v in state(page).items() if not k.startswith("z.")} == {
        "on": "0", "b": "1", "m": "m1",
    }  # fmt: skip


def test_nothing_but_its_own_is_loaded(page):
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    home = page.execute_script("return location.origin")
    assert loaded
    assert all(name.startswith((home, "data:", "blob:")) for name in loaded)
    wrong = [
        entry["message"] for entry in page.get_log("browser")
        if entry["level"] == "SEVERE" and EXPECTED not in entry["message"]
    ]  # fmt: skip
    assert not wrong


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (1280, True)])
def test_axe_finds_no_serious_fault(address, tmp_path, width, dark):
    found = importlib.util.find_spec("axe_core_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core-python, which brings axe-core, is not installed")
    source = (Path(found.origin).parent / "axe.min.js").read_text()
    with browser(tmp_path, width=width, height=844, dark=dark) as page:
        opened(page, address)
        for word in ("strange", "explain", "attack"):
            page.execute_script("document.getElementById(arguments[0]).click()", word)
        settled(page)
        page.execute_script(source)
        result = page.execute_async_script("axe.run(document).then(arguments[0])")
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert len(result["passes"]) > 20
    serious = [
        (fault["id"], fault["impact"], [node["target"] for node in fault["nodes"]][:3])
        for fault in result["violations"]
    ]
    assert not serious
