"""The explorer's door: forty requests that are not its page's, each refused and nothing changed;
and of fifty fast moves the last one counts."""

import json
import logging
import signal
import subprocess
import sys

import numpy as np
import pytest

import unweave as uw
from models import fitted, small_beats
from unweave import explore

pytest.importorskip("starlette", reason="the extra 'explore' is not installed: no starlette")
pytest.importorskip("plotly", reason="the extra 'explore' is not installed: no plotly")
pytest.importorskip("httpx2", reason="httpx2, which starlette's TestClient needs, is not there")

from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from unweave.explore._guard import HEADERS
from unweave.explore._server import application

TOKEN, PORT = "a-token-of-the-tests", 8123
HOME = f"http://127.0.0.1:{PORT}"
GOOD = {"cookie": f"unweave-{PORT}={TOKEN}", "host": f"127.0.0.1:{PORT}", "origin": HOME}
TURN = json.dumps({"ask": "turn", "seq": 1, "model": "m1", "z": [0.5, -0.5], "on": 0})
LATENTS = json.dumps({"kind": "latents.csv", "points": {"m1": [0.5, -0.5]}})


@pytest.fixture(scope="module")
def beats():
    return uw.explorer([fitted("pca")])


@pytest.fixture(scope="module")
def client(beats):
    with TestClient(application(beats, token=TOKEN, port=PORT), base_url=HOME) as client:
        yield client


@pytest.fixture
def unchanged(client):
    """What is asked for before and after is answered with the same bytes."""

    def state():
        with client.websocket_connect("/socket", headers=GOOD) as socket:
            socket.send_text(TURN)
            turned = socket.receive_bytes()
        return client.get("/describe", headers=GOOD).content, turned

    before = state()
    yield
    assert state() == before


def changed(**headers):
    """Good headers, but for these; None leaves one out."""
    found = {**GOOD, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {name: value for name, value in found.items() if value is not None}


GETS = [
    ("no token", "/", changed(cookie=None), 403),
    ("a wrong token", "/", changed(cookie=f"unweave-{PORT}=wrong"), 403),
    ("an empty token", "/", changed(cookie=f"unweave-{PORT}="), 403),
    ("the token of another port", "/", changed(cookie=f"unweave-9={TOKEN}"), 403),
    ("a token with more behind it", "/", changed(cookie=f"unweave-{PORT}={TOKEN}x"), 403),
    ("a token that is no ASCII", "/?token=%E2%82%AC", changed(cookie=None), 403),
    ("a wrong token in the address", "/?token=wrong", changed(cookie=None), 403),
    ("cookies that are none", "/", changed(cookie="=;=;\x01"), 403),
    ("no token for a script", "/page/main.js", changed(cookie=None), 403),
    ("no token for the description", "/describe", changed(cookie=None), 403),
    ("a foreign host", "/", changed(host="evil.example"), 400),
    ("a host that was rebound", "/", changed(host=f"evil.example:{PORT}"), 400),
    ("another port", "/", changed(host="127.0.0.1:80"), 400),
    ("a host with more behind it", "/", changed(host=f"127.0.0.1:{PORT}.evil.example"), 400),
    ("the wildcard address", "/", changed(host=f"0.0.0.0:{PORT}"), 400),
    ("an empty host", "/", changed(host=""), 400),
    ("a path upwards", "/page/../_guard.py", GOOD, 404),
    ("an encoded path upwards", "/page/%2e%2e%2f_guard.py", GOOD, 404),
    ("a path upwards, encoded twice", "/page/%252e%252e%252f_guard.py", GOOD, 404),
    ("backslashes", "/page/..%5C..%5C_guard.py", GOOD, 404),
    ("an absolute path", "/page//etc/passwd", GOOD, 404),
    ("a null byte", "/page/main.js%00.html", GOOD, 404),
    ("a folder", "/page/", GOOD, 404),
    ("what is not there", "/page/secrets.txt", GOOD, 404),
]  # fmt: skip
POSTS = [
    ("no token", LATENTS, changed(cookie=None), 403),
    ("no origin", LATENTS, changed(origin=None), 403),
    ("a foreign origin", LATENTS, changed(origin="http://evil.example"), 403),
    ("a null origin", LATENTS, changed(origin="null"), 403),
    ("the origin of another port", LATENTS, changed(origin="http://127.0.0.1:80"), 403),
    ("an origin with another scheme", LATENTS, changed(origin=f"https://127.0.0.1:{PORT}"), 403),
    ("a body that is too long", "x" * 70_000, GOOD, 413),
    ("a length that is a lie", LATENTS, changed(content_length="99999999999999"), 413),
    ("a length that is none", LATENTS, changed(content_length="-1"), 413),
    ("no JSON", "{", GOOD, 400),
    ("bytes that are no text", b"\xff\xfe", GOOD, 400),
    ("an export that is none", LATENTS.replace("latents.csv", "../../x.csv"), GOOD, 400),
    ("a model that is none", LATENTS.replace("m1", "/etc/passwd"), GOOD, 400),
    ("a field too many", LATENTS.replace("{", '{"path": "/etc/passwd", ', 1), GOOD, 400),
]  # fmt: skip
SOCKETS = [
    ("no token", changed(cookie=None)),
    ("a wrong token", changed(cookie=f"unweave-{PORT}=wrong")),
    ("no origin", changed(origin=None)),
    ("a foreign origin", changed(origin="http://evil.example")),
    ("the origin of a file", changed(origin="null")),
    ("a foreign host", changed(host="evil.example", origin="http://evil.example")),
]
FRAMES = [
    ("no JSON", "{"),
    ("bytes", b"\x00\x01"),
    ("a question that is none", TURN.replace("turn", "exec")),
    ("a model that is none", TURN.replace("m1", "../m1")),
    ("a number that is none", TURN.replace("0.5", "NaN")),
    ("nesting", "[" * 60_000),
]


def _rows(table):
    return [row[1:] for row in table]


def _names(table):
    return [row[0] for row in table]


def test_forty_are_tried():
    assert len(GETS) + len(POSTS) + len(SOCKETS) + len(FRAMES) >= 40


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("path", "headers", "status"), [r[1:] for r in GETS], ids=[r[0] for r in GETS]
)
def test_a_hostile_get_is_refused(client, path, headers, status):
    client.cookies.clear()
    answer = client.get(path, headers=headers, follow_redirects=False)
    assert answer.status_code == status
    assert "Guard" not in answer.text
    assert TOKEN not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("body", "headers", "status"), [r[1:] for r in POSTS], ids=[r[0] for r in POSTS]
)
def test_a_hostile_post_is_refused(client, body, headers, status):
    answer = client.post("/export", content=body, headers=headers)
    assert answer.status_code == status
    assert "content-disposition" not in answer.headers


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("headers", [row[1] for row in SOCKETS], ids=_names(SOCKETS))
def test_a_hostile_socket_is_refused(client, headers):
    with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)):  # noqa: SIM117
        with client.websocket_connect("/socket", headers=headers):
            pass


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("frame", [row[1] for row in FRAMES], ids=_names(FRAMES))
def test_a_malformed_frame_is_refused_and_the_next_one_answered(client, frame):
    with client.websocket_connect("/socket", headers=GOOD) as socket:
        if isinstance(frame, bytes):
            socket.send_bytes(frame)
        else:
            socket.send_text(frame)
        assert set(socket.receive_json()) == {"refused"}
        socket.send_text(TURN)
        assert explore.unpacked(socket.receive_bytes())[0]["z"] == [0.5, -0.5]


@pytest.mark.usefixtures("unchanged")
def test_a_frame_that_is_too_long_ends_the_connection(client):
    with client.websocket_connect("/socket", headers=GOOD) as socket:
        socket.send_text("x" * 70_000)
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_bytes()
        assert end.value.code == 1009


@pytest.mark.usefixtures("unchanged")
def test_whoever_sends_nothing_but_nonsense_is_sent_away(client):
    with client.websocket_connect("/socket", headers=GOOD) as socket:
        for _ in range(50):
            socket.send_text("nonsense")
            assert "refused" in socket.receive_json()
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_json()
        assert end.value.code == 1008


def test_other_methods_are_refused(client):
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert client.request(method, "/", headers=GOOD).status_code == 405


def test_the_token_leaves_the_address(client):
    client.cookies.clear()
    answer = client.get(f"/?token={TOKEN}", headers=changed(cookie=None), follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie.lower() for word in ("httponly", "samesite=strict", "path=/"))
    page = client.get("/", headers=GOOD)
    assert page.status_code == 200
    for name, value in HEADERS:
        assert page.headers[name.decode()] == value.decode()
    # nothing of the page's own is inline, and nothing comes from elsewhere
    assert "<style" not in page.text
    assert " onclick" not in page.text
    assert "https://" not in page.text
    assert "http://" not in page.text
    for name in ("main.js", "explorer.css", "plotly.min.js"):
        assert client.get(f"/page/{name}", headers=GOOD).status_code == 200


def test_exports_are_given(client):
    answer = client.post("/export", content=LATENTS, headers=GOOD)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="latents.csv"'
    assert "pca,pc1,0.5" in answer.text


def test_of_fifty_fast_moves_the_last_is_answered(client, beats):
    moves = np.linspace(-2, 2, 50)
    with client.websocket_connect("/socket", headers=GOOD) as socket:
        for seq, z in enumerate(moves):
            frame = {"ask": "turn", "seq": seq, "model": "m1", "z": [float(z), 0.0], "on": 0}
            socket.send_text(json.dumps(frame))
        answers = []
        while not answers or answers[-1][0]["seq"] < 49:
            answers.append(explore.unpacked(socket.receive_bytes()))
    assert len(answers) <= 50
    order = [header["seq"] for header, _ in answers]
    assert order == sorted(order)
    expected = beats.subjects["m1"].decode(np.asarray([2.0, 0.0]), None)
    np.testing.assert_allclose(answers[-1][1]["x"], expected)


def test_what_cannot_be_computed_is_said_in_a_sentence(client, monkeypatch, caplog):
    from unweave.explore import _reply

    def broken(explorer, message):
        raise RuntimeError("of the inside")

    with client.websocket_connect("/socket", headers=GOOD) as socket:
        monkeypatch.setattr(_reply, "answer", broken)
        with caplog.at_level(logging.CRITICAL):
            socket.send_text(TURN)
            refusal = socket.receive_json()
        monkeypatch.undo()
        assert refusal["seq"] == 1
        assert "of the inside" not in refusal["refused"]
        socket.send_text(TURN)
        assert explore.unpacked(socket.receive_bytes())[0]["seq"] == 1


def test_a_real_server_is_on_the_loopback_address_alone(beats):
    import httpx2 as httpx

    with explore.served(beats) as address:
        assert address.startswith("http://127.0.0.1:")
        where, _, token = address.partition("/?token=")
        assert len(token) > 40
        with httpx.Client() as client:
            assert client.get(where).status_code == 403
            page = client.get(address, follow_redirects=True)
            assert "<title>unweave explore</title>" in page.text
            assert page.url == httpx.URL(f"{where}/")
            long = client.post(f"{where}/export", content="x" * 70_000, headers={"origin": where})
            assert long.status_code == 413
    with pytest.raises(httpx.ConnectError):
        httpx.get(where)
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(ValueError, match="give another --port"),
            explore.served(beats, port=taken.getsockname()[1]),
        ):
            pass


def test_the_verb_serves_until_it_is_interrupted(own_folder, tmp_path):
    import httpx2 as httpx

    run = uw.fit(uw.pca(latents=2), small_beats(), out=tmp_path / "pca", quiet=True)
    words = ["explore", str(run.folder), "--no-browser"]
    program = "import sys; from unweave.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.communicate()[1]
        assert "Ctrl-C" in process.stdout.readline()
        assert httpx.get(address, follow_redirects=False).status_code == 303
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert out.strip() == "The explorer of pca has ended."
    assert "Traceback" not in err


def test_the_verb_refuses_in_a_sentence(refused, monkeypatch):
    assert "give a number up to 65535" in refused("explore", "zoo:sir", "--port", "70000")
    from unweave.explore import _extras

    monkeypatch.setattr(_extras, "find_spec", lambda name: None if name == "plotly" else True)
    sentence = refused("explore", "zoo:sir")
    assert "the explorer needs plotly" in sentence
    assert "pip install 'unweave[explore]'" in sentence
