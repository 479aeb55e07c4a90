import re
from html.parser import HTMLParser

from PIL import Image

from stargan_deploy.batch.output.gallery import GalleryRow, write_gallery

RED, BLUE = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data.strip())


def write(tmp_path, name="photo.png", headers=("Blond_Hair", "flip:Male")):
    row = GalleryRow(name=name, source=RED, results=(BLUE,) * len(headers))
    write_gallery(tmp_path / "g.html", [row, row], headers, title="<Title>", subtitle="a & b")
    text = (tmp_path / "g.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_needs_nothing_else(tmp_path):
    text, page = write(tmp_path)
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", text)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "prefers-color-scheme: dark" in text
    assert text.count("$") == 0


def test_every_picture_can_be_compared_with_its_photo(tmp_path):
    _, page = write(tmp_path)
    sliders = [attrs for tag, attrs in page.tags if tag == "input"]
    assert [slider["aria-label"] for slider in sliders[:2]] == [
        "photo over Blond_Hair",
        "photo over flip:Male",
    ]
    photos = [attrs["style"] for tag, attrs in page.tags if tag == "section"]
    assert all(style.startswith("--source: url(data:image/png;base64,") for style in photos)


def test_names_are_escaped(tmp_path):
    odd = '"><script>alert(1)</script>&$name.png'
    text, page = write(tmp_path, name=odd, headers=(odd,))
    assert "<script>alert" not in text
    assert "<Title>" in page.words
    assert page.words.count(odd) == 4
    assert [attrs["alt"] for tag, attrs in page.tags if tag == "img"] == [odd, odd]
