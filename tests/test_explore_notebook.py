"""The explorer in a notebook: what the widget answers, and its page in a frame."""

import base64
import http.server
import json
import queue
import threading
import time

import numpy as np
import pytest

import unweave as uw
from browser import browser, check_browser, wait
from unweave import explore
from unweave.explore._files import one_document, page_files

pytest.importorskip("anywidget", reason="the notebook is an extra: pip install unweave[notebook]")

SOURCE = "zoo:logistic"


@pytest.fixture(scope="module")
def found():
    return uw.explorer([SOURCE])


@pytest.fixture
def kernel(found):
    """A widget, and what it has said, as pairs of content and bytes."""
    from unweave.explore._widget import ExplorerWidget

    widget, said = ExplorerWidget(found), queue.Queue()
    # without a notebook there is nobody to send to
    widget.send = lambda content, buffers=None: said.put((content, buffers or []))
    yield widget, said
    widget.close()


def asked(kernel, call, body=""):
    widget, said = kernel
    widget._asked({"call": call, "view": "v", "id": "i", "body": body})
    return said.get(timeout=120)


def turn(found, z, seq=1):
    return json.dumps({"ask": "turn", "seq": seq, "model": "m1", "on": None, "z": list(z)})


def middle(found):
    return [slider.centre for slider in found.subjects["m1"].sliders(None)]


def test_it_describes_and_answers_as_the_server_does(kernel, found):
    content, _ = asked(kernel, "describe")
    told = content["body"]
    assert told["info"] == json.loads(json.dumps(explore.described(found)))
    assert (content["view"], content["id"], told["fragment"]) == ("v", "i", "")
    z = middle(found)
    _, (frame,) = asked(kernel, "ask", turn(found, z))
    header, arrays = explore.unpacked(frame)
    _, _, message = explore.read(found, turn(found, z))
    np.testing.assert_array_equal(arrays["x"], explore.answer(found, message).arrays["x"])
    assert header["z"] == z


def test_what_is_no_message_is_refused_with_a_sentence(kernel, found):
    for body in ("{", json.dumps({"ask": "turn"}), turn(found, [1e30])):
        content, buffers = asked(kernel, "ask", body)
        assert json.loads(content["body"])["refused"]
        assert not buffers
    content, buffers = asked(kernel, "export", '{"kind": "/etc/passwd"}')
    assert content["body"] == {}
    assert not buffers


def test_other_calls_are_nothing(kernel):
    widget, said = kernel
    for content in ({}, {"call": "eval", "body": "1"}, {"call": "ask", "body": 3}):
        widget._asked(content)
    assert said.empty()


def test_of_fast_moves_the_last_is_answered(kernel, found):
    widget, said = kernel
    z = np.array(middle(found))
    for seq in range(40):
        body = turn(found, z * (1 + seq / 1000), seq)
        widget._asked({"call": "ask", "view": "v", "id": "i", "body": body})
    answered = []
    while not answered or answered[-1]["seq"] != 39:
        _, (frame,) = said.get(timeout=120)
        answered.append(explore.unpacked(frame)[0])
    assert len(answered) < 40, "moves queued up"
    np.testing.assert_allclose(answered[-1]["z"], z * 1.039)


def test_exports_are_files(kernel, found):
    body = json.dumps({"kind": "latents.csv", "on": None, "points": {"m1": middle(found)}})
    content, (made,) = asked(kernel, "export", body)
    assert content["body"]["type"].startswith("text/csv")
    assert made.decode().splitlines()[0].startswith("model")


def test_what_is_shown_is_read_off_the_state(kernel, found):
    widget, _ = kernel
    assert not widget.latents
    widget.state = "#m=m1&z.m1=0.5,2,0.1"
    (shown,) = widget.latents.values()
    np.testing.assert_array_equal(shown, [0.5, 2.0, 0.1])


def test_the_document_asks_nobody_for_anything():
    plotly = page_files()["plotly.min.js"].decode().replace("</script", "<\\/script")
    page = one_document()
    assert plotly in page
    for word in ('src="', "/page/", 'href="/', "http://", "https://"):
        assert word not in page.replace(plotly, "")
    assert 'data-door="kernel"' in page


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr("unweave.explore._extras.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'unweave\[notebook\]'"):
        explore.widget([SOURCE])


HARNESS = """<!doctype html><title>a notebook</title><div id="cell"></div>
<script type="module">
import widget from "/notebook.js";
const hooks = {}, traits = {state: "", height: 700};
const post = (path, body) => fetch(path, {method: "POST", body: JSON.stringify(body)});
const model = {
  get: (name) => traits[name],
  set: (name, value) => { traits[name] = value; },
  save_changes: () => post("/state", traits.state),
  send: (content) => post("/kernel", content),
  on: (name, hook) => { hooks[name] = hook; },
  off: () => {},
};
window.told = (text) => { traits.state = text; hooks["change:state"](); };
widget.render({model, el: document.getElementById("cell")});
for (;;) {
  const { content, buffers } = await (await fetch("/said")).json();
  if (!content) continue;
  const bytes = buffers.map((b) => Uint8Array.from(atob(b), (c) => c.charCodeAt(0)));
  hooks["msg:custom"](content, bytes.map((b) => new DataView(b.buffer)));
}
</script>"""


@pytest.fixture
def notebook(kernel):
    """The address of a page that holds the widget as a notebook does."""
    widget, said = kernel

    class Handler(http.server.BaseHTTPRequestHandler):
        def _give(self, body, kind="application/json"):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self):
            if self.path == "/notebook.js":
                self._give(widget._esm, "text/javascript")
            elif self.path == "/said":
                try:
                    content, buffers = said.get(timeout=1)
                except queue.Empty:
                    content, buffers = None, []
                packed = [base64.b64encode(b).decode() for b in buffers]
                self._give(json.dumps({"content": content, "buffers": packed}))
            else:
                self._give(HARNESS, "text/html")

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/state":
                widget.state = body
            else:
                widget._asked(body)
            self._give("{}")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_the_page_in_a_frame_turns_and_is_turned(kernel, notebook, found, tmp_path):
    check_browser()
    widget, _ = kernel
    name = found.subjects["m1"].name
    with browser(tmp_path) as driver:
        driver.get(notebook)
        frame = driver.find_element("css selector", "iframe")
        driver.switch_to.frame(frame)
        wait(lambda: driver.execute_script("return document.body?.dataset.ready") == "yes")
        driver.execute_script(
            "const s = document.querySelector('#sliders input[type=range]');"
            "s.value = s.max; s.dispatchEvent(new Event('input', {bubbles: true}));"
        )
        wait(lambda: name in widget.latents and widget.latents[name][0] > middle(found)[0])
        turned = widget.latents[name].copy()
        driver.find_element("css selector", "[data-kind='latents.csv']").click()
        wait(lambda: (tmp_path / "latents.csv").exists())
        assert (
            "m1" in (tmp_path / "latents.csv").read_text()
            or name in (tmp_path / "latents.csv").read_text()
        )
        # the other way: the state is set in Python, and the page shows it
        driver.switch_to.default_content()
        half = ",".join(str(float(v)) for v in turned * 0.5)
        driver.execute_script(f"told('#m=m1&z.m1={half}')")
        widget.state = f"#m=m1&z.m1={half}"
        time.sleep(1)
        driver.switch_to.frame(frame)
        wait(lambda: driver.execute_script("return document.body?.dataset.ready") == "yes")
        shown = driver.execute_script(
            "return document.querySelector('#sliders input[type=range]').getAttribute("
            "'aria-valuetext')"
        )
        assert str(f"{turned[0] * 0.5:.3g}")[:3] in shown
        driver.save_screenshot(str(tmp_path / "widget.png"))
        errors = [e for e in driver.get_log("browser") if e["level"] == "SEVERE"]
        assert not errors
