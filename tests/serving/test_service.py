"""Limits, keys, changes of models, shutting down: the service as a whole."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from stargan_deploy.presentation.web import page_files
from stargan_deploy.serving.app import KSERVE_ROUTES, ROUTES, own_routes
from stargan_deploy.serving.limits import Limits
from tests.photos import encode, noise

PHOTO = encode(noise(50, 40), "PNG")

ADDRESS = "/v1/translate?attrs=Young"

KEY = {"Authorization": "Bearer sesame"}


def translate(running, **options):
    return running.client.post(ADDRESS, content=PHOTO, **options)


class Held:
    """Keeps the engine of a running service busy until it is let go."""

    def __init__(self, running):
        batcher = running.service.models.find(None).batcher
        self._runtime, self._run = batcher.runtime, batcher.runtime.run
        self.batcher = batcher
        self.is_busy, self._may_go = threading.Event(), threading.Event()

    def __enter__(self):
        self._runtime.run = self._wait
        return self

    def __exit__(self, *_):
        self.let_go()
        self._runtime.run = self._run

    def let_go(self):
        self._may_go.set()

    def _wait(self, inputs, *, entry_point="translate"):
        self.is_busy.set()
        assert self._may_go.wait(30)
        return self._run(inputs, entry_point=entry_point)


def in_background(send, num=1):
    found = []
    threads = [threading.Thread(target=lambda: found.append(send())) for _ in range(num)]
    for thread in threads:
        thread.start()
    return threads, found


def until(condition):
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def post(running):
    return httpx.post(running.url + ADDRESS, content=PHOTO, timeout=60)


def test_a_full_queue_answers_429_and_when_to_come_again(start, artefact):
    running = start(models=(artefact,), limits=Limits(queue=2))
    with Held(running) as held:
        threads, found = in_background(lambda: post(running), 2)
        until(lambda: running.service.admission.num_inside == 2)
        refused = translate(running)
        held.let_go()
        for thread in threads:
            thread.join()
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json()["error"] == "the queue is full"
    assert [response.status_code for response in found] == [200, 200]
    assert translate(running).status_code == 200


def test_a_client_that_leaves_frees_its_place(start, artefact):
    running = start(models=(artefact,), limits=Limits(queue=1))
    with Held(running) as held:
        with socket.create_connection(running.address) as client:
            head = f"POST {ADDRESS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PHOTO)}\r\n\r\n"
            client.sendall(head.encode() + PHOTO)
            assert held.is_busy.wait(30)
            assert translate(running).status_code == 429
        until(lambda: running.service.admission.num_inside == 0)
        held.let_go()
    assert translate(running).status_code == 200


def test_a_request_has_a_deadline(start, artefact):
    running = start(models=(artefact,), limits=Limits(timeout_s=1))
    with Held(running):
        response = translate(running)
    assert (response.status_code, response.json()["error"]) == (
        504,
        "the request took longer than its time limit",
    )
    assert running.service.admission.num_inside == 0


@pytest.mark.parametrize("announced", [True, False])
def test_large_bodies_are_refused(start, artefact, announced):
    running = start(models=(artefact,), limits=Limits(max_body_mib=1))
    body = b"x" * (1 << 21)
    content = body if announced else iter([body[: 1 << 20], body[1 << 20 :]])
    response = running.client.post(ADDRESS, content=content)
    assert (response.status_code, response.json()["error"]) == (
        413,
        "the body is too large; at most 1 MiB",
    )
    assert translate(running).status_code == 200


def test_memory_for_bodies_is_limited(start, artefact):
    running = start(models=(artefact,), limits=Limits(max_held_mib=1))
    refused = running.client.post(ADDRESS, content=b"x" * (1 << 21))
    assert refused.status_code == 429
    assert translate(running).status_code == 200


def test_a_decompression_bomb_is_refused_before_it_is_decoded(start, artefact):
    running = start(models=(artefact,), limits=Limits(max_megapixels=1))
    bomb = encode(noise(1, 1).resize((1200, 1000)), "PNG")
    response = running.client.post(ADDRESS, content=bomb)
    assert response.status_code == 413
    assert "image 1 has 1200x1000 pixels" in response.json()["error"]


def test_the_numbers_of_photos_and_results_are_limited(start, artefact):
    running = start(models=(artefact,), limits=Limits(max_images=2, max_results=3))
    files = [("image", ("a.png", PHOTO))] * 3
    response = running.client.post(ADDRESS, files=files)
    assert response.status_code == 400
    assert "Too many files" in response.json()["error"]
    targets = "&attrs=Male&attrs=-Male&attrs=-Young"
    response = running.client.post(ADDRESS + targets, content=PHOTO)
    assert (response.status_code, response.json()["error"]) == (
        413,
        "4 results are too many; at most 3",
    )


def test_a_body_that_does_not_arrive_ends_with_408(start, artefact):
    running = start(models=(artefact,), limits=Limits(timeout_s=1))
    with socket.create_connection(running.address) as client:
        client.sendall(
            f"POST {ADDRESS} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx".encode()
        )
        client.settimeout(30)
        assert client.recv(200).startswith(b"HTTP/1.1 408")
    assert translate(running).status_code == 200


def test_a_body_that_is_cut_leaves_nothing_behind(served):
    with socket.create_connection(served.address) as client:
        client.sendall(
            f"POST {ADDRESS} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx".encode()
        )
    until(lambda: served.service.admission.num_inside == 0)
    assert translate(served).status_code == 200


def test_without_the_key_nothing_is_served(start, artefact):
    running = start(models=(artefact,), api_key="sesame")
    refused = translate(running)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert translate(running, headers={"Authorization": "Bearer sesam"}).status_code == 401
    assert translate(running, headers={"X-API-Key": "sesame"}).status_code == 200
    assert translate(running, headers=KEY).status_code == 200
    for address in ("/healthz", "/readyz"):
        assert running.client.get(address).status_code == 200


def test_models_are_changed_with_a_key_and_from_the_folder_only(start, artefact, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(artefact.parent, folder)
    outside = tmp_path / "outside.onnx"
    shutil.copy(artefact, outside)
    (folder / "link.onnx").symlink_to(outside)
    running = start(models=(artefact,), model_dir=folder, api_key="sesame")

    def put(name, **body):
        address = f"/v1/models/{name}"
        return running.client.put(address, headers=KEY, content=json.dumps(body) if body else b"")

    assert running.client.put("/v1/models/new").status_code == 401
    for file in ("../outside.onnx", str(outside), "link.onnx", "none.onnx", ".", "a\0b"):
        assert put("new", file=file).status_code == 404, file
    assert put("new", file=7).status_code == 400
    assert put("a%20b").status_code == 400
    assert put("new", file="tiny.onnx").json()["name"] == "new"
    assert put("tiny").status_code == 200
    names = [m["name"] for m in running.client.get("/v1/models", headers=KEY).json()["models"]]
    assert names == ["tiny", "new"]
    assert (
        translate(running, headers=KEY, params={"model": "new", "attrs": "Young"}).status_code
        == 200
    )
    assert running.client.delete("/v1/models/new", headers=KEY).status_code == 204
    assert running.client.delete("/v1/models/new", headers=KEY).status_code == 404
    assert running.client.delete("/v1/models/tiny", headers=KEY).status_code == 409


def test_without_a_key_models_are_not_changed(start, artefact, tmp_path):
    running = start(models=(artefact,), model_dir=artefact.parent)
    response = running.client.put("/v1/models/tiny")
    assert response.status_code == 403
    assert "API key" in response.json()["error"]
    assert running.client.delete("/v1/models/tiny").status_code == 403


def test_a_model_is_swapped_without_losing_a_request(start, artefact, tmp_path):
    running = start(models=(artefact,), model_dir=artefact.parent, api_key="sesame")
    statuses, is_over = [], threading.Event()

    def send():
        with httpx.Client(base_url=running.url, headers=KEY) as client:
            while not is_over.is_set():
                statuses.append(client.post(ADDRESS, content=PHOTO).status_code)

    threads, _ = in_background(send, 3)
    for _ in range(3):
        assert running.client.put("/v1/models/tiny", headers=KEY).status_code == 200
    is_over.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}


def test_figures_are_counted(start, artefact):
    running = start(models=(artefact,))
    translate(running)
    running.client.post(ADDRESS, content=b"nothing")
    found = running.client.get("/metrics").text
    assert 'stargan_images_total{status="200"} 1.0' in found
    assert 'stargan_images_total{status="422"} 1.0' in found
    assert 'stargan_requests_total{route="/v1/translate",status="200"} 1.0' in found
    assert 'stargan_batch_rows_count{entry_point="translate",model="tiny"} 1.0' in found
    for stage in ("receive", "decode", "model", "encode", "total"):
        assert f'stargan_request_stage_seconds_count{{stage="{stage}"}}' in found
    assert "stargan_queue_rows 0.0" in found


def test_answers_have_security_headers_and_no_cors(served):
    for address in ("/docs", "/healthz", "/v1/models", "/nothing"):
        headers = served.client.get(address, headers={"Origin": "https://evil.example"}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert served.client.get("/v1/models").headers["Cache-Control"] == "no-store"


def test_cors_is_for_the_origins_that_were_named(start, artefact):
    running = start(models=(artefact,), cors_origins=("https://good.example",))
    for origin, is_named in (("https://good.example", True), ("https://evil.example", False)):
        headers = running.client.get("/v1/models", headers={"Origin": origin}).headers
        assert ("access-control-allow-origin" in headers) is is_named


def test_the_log_names_neither_photos_nor_targets(served, caplog):
    caplog.set_level("DEBUG")
    with caplog.at_level("INFO", logger="stargan_deploy"):
        served.client.post(
            "/v1/translate",
            files={"image": ("holiday.png", PHOTO)},
            data={"attrs": "Blond_Hair"},
        )
        until(lambda: "/v1/translate 200" in caplog.text)
    own = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("stargan_deploy"))
    assert "holiday" not in own
    assert "Blond_Hair" not in own


def test_a_bug_answers_500_and_the_service_goes_on(start, artefact, monkeypatch, caplog):
    running = start(models=(artefact,))
    framing = running.service.models.find(None).framing
    monkeypatch.setattr(running.service.models.find(None), "framing", lambda *_: 1 / 0)
    response = translate(running)
    assert response.status_code == 500
    assert response.json() == {"error": "an error of the service itself; see its log"}
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    monkeypatch.setattr(running.service.models.find(None), "framing", framing)
    assert translate(running).status_code == 200


def test_while_shutting_down_nothing_new_is_taken(start, artefact):
    running = start(models=(artefact,))
    running.service.admission.is_closed = True
    assert running.client.get("/readyz").status_code == 503
    assert running.client.get("/healthz").status_code == 200
    assert translate(running).status_code == 503


def test_many_clients_at_once_get_their_own_results(served):
    photos = [encode(noise(30 + n, 30), "PNG") for n in range(8)]
    alone = [served.client.post(ADDRESS, content=content).content for content in photos]

    async def together():
        async with httpx.AsyncClient(base_url=served.url) as client:
            sent = [client.post(ADDRESS, content=content) for content in photos * 3]
            return [response.content for response in await asyncio.gather(*sent)]

    assert asyncio.run(together()) == alone * 3


def test_the_description_names_every_route_and_field(served):
    found = served.client.get("/openapi.json").json()
    routes = {route.path for route in (*ROUTES, *KSERVE_ROUTES, *own_routes())}
    files = {"/", "/docs", "/openapi.json", *(f"/{name}" for name in page_files())}
    assert set(found["paths"]) | files == routes
    page = served.client.get("/docs").text
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in page
            for field in operation.get("parameters", []):
                assert f"<code>{field['name']}</code>" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.slow
def test_sigterm_finishes_what_was_taken(artefact, tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "stargan_deploy", "serve", "--model", artefact]
    process = subprocess.Popen(
        [*map(str, command), "--port", str(port)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: is_ready(url))
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        for client in clients:
            client.settimeout(60)
            client.sendall(
                f"POST {ADDRESS} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                f"Content-Length: {len(PHOTO)}\r\n\r\n".encode()
            )
            assert b"100 Continue" in client.recv(1000)
        process.send_signal(signal.SIGTERM)
        until(lambda: not is_ready(url))
        answers = []
        for client in clients:
            client.sendall(PHOTO)
            answers.append(client.recv(1000))
            client.close()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "stopped" in errors
    assert "Traceback" not in errors
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_ready(url):
    try:
        return httpx.get(url + "/readyz").status_code == 200
    except httpx.TransportError:
        return False
