"""Small drawn portraits, each a pure function of a seed and of its attributes.

The seed alone gives the *person* (skin, shape, eyes, hair cut, clothes, background, pose, light);
an attribute changes only what it names, so one seed drawn with two hair colours gives two images
that differ in hair and brows. Lengths are in image widths, colours and pixels in 0..255.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from stargan_deploy.data.synthetic.drawing import (
    Canvas,
    Colour,
    Curve,
    Points,
    ellipse,
    mix,
    points,
    ribbon,
    smooth,
    symmetric,
)

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair")
ATTRIBUTES: tuple[str, ...] = (*HAIR_COLOURS, "Male", "Young", "Smiling", "Eyeglasses")


def _palette(codes: str) -> tuple[Colour, ...]:
    return tuple(tuple(bytes.fromhex(code)) for code in codes.split())


_SUPERSAMPLING = 4
_HAIR = dict(zip(HAIR_COLOURS, _palette("262229 e6c06c 7e4e31"), strict=True))
_GREY_HAIR, _WHITE, _INK, _PUPIL = _palette("a8a7ac ffffff 3a282a 18100f")
_ROSE, _MOUTH, _SHADOW, _BEARD = _palette("e8707a 7c2c34 461a24 584446")
_SKINS = _palette("ffe0cc fad3b8 f0c4a4 e2b08c c8946e b07c5e")
_IRISES = _palette("5c3e2c 4678aa 4a8462 6e7480")
_CLOTHES = _palette("569caa e8766c 8a96d0 eeeef0 b078b2 62a478 ce5c7a 5a86b8")
_BACKGROUNDS = _palette("a4cee2 a8d8c8 c4bee4 e8c0d0 bccad6 8ebacc b0b0d6 bedcde")
_FRAMES = _palette("282834 96303c 244a78 1e5c5c")

# Hair lines from the right temple to the left one: x in half widths of the face, y.
_LONG_CUTS: tuple[Curve, ...] = (
    ((0.66, 0.24, 0.02, -0.2, -0.66), (0.32, 0.24, 0.19, 0.24, 0.32)),
    ((0.74, 0.36, 0, -0.36, -0.74), (0.345, 0.352, 0.345, 0.352, 0.345)),
    ((0.7, 0.44, 0.34, -0.1, -0.7), (0.3, 0.23, 0.22, 0.31, 0.385)),
    ((0.74, 0.5, 0.3, 0.05, -0.2, -0.74), (0.34, 0.29, 0.345, 0.295, 0.355, 0.36)),
)
_SHORT_CUTS: tuple[Curve, ...] = (
    ((0.82, 0.5, 0, -0.5, -0.82), (0.3, 0.275, 0.265, 0.275, 0.3)),
    ((0.82, 0.5, 0.42, 0, -0.82), (0.28, 0.24, 0.235, 0.29, 0.32)),
    ((0.78, 0.5, 0.3, 0.05, -0.2, -0.75), (0.33, 0.27, 0.34, 0.27, 0.345, 0.33)),
    ((0.85, 0.5, 0.2, -0.3, -0.85), (0.29, 0.26, 0.24, 0.25, 0.29)),
)


class _Person:
    """All that the seed decides; lengths in image widths."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        def colour(palette: Sequence[Colour], spread: float) -> Colour:
            first, second = rng.integers(len(palette), size=2)
            return mix(palette[first], palette[second], between(0, spread))

        self.skin = colour(_SKINS, 0.3)
        self.iris = colour(_IRISES, 0)
        self.clothes = colour(_CLOTHES, 0.2)
        self.background = colour(_BACKGROUNDS, 0.5)
        self.frame = colour(_FRAMES, 0)
        self.half_width = between(0.222, 0.245)
        self.chin_y = between(0.82, 0.845)
        self.jaw = between(-0.03, 0.03)
        self.eye_x = between(0.098, 0.108)
        self.eye_scale = between(1.02, 1.18)
        self.brow_arch = between(-0.004, 0.008)
        self.nose_scale = between(0.85, 1.2)
        self.mouth_scale = between(0.95, 1.15)
        self.hair_gain = between(0.88, 1.12)
        self.hair_top_y = between(0.085, 0.115)
        self.hair_end_y = float(rng.choice([0.77, 0.84, 1.1, 1.1]))
        self.hair_flare = between(0.01, 0.06)
        self.hair_wave = between(-0.02, 0.02)
        self.hair_curl = float(rng.choice([0, 0, 0.07]))
        self.hair_lift = between(0.0, 0.03)
        self.hair_side = float(rng.choice([-1, 1]))
        self.long_cut = _LONG_CUTS[rng.integers(len(_LONG_CUTS))]
        self.short_cut = _SHORT_CUTS[rng.integers(len(_SHORT_CUTS))]
        self.stubble = between(0.04, 0.26)
        self.round_glasses, self.v_neck = rng.integers(2, size=2).tolist()
        self.tilt_rad = math.radians(between(-4.5, 4.5))
        self.scale = between(0.96, 1.05)
        self.shift = np.array([between(-0.02, 0.02), between(-0.015, 0.015)])
        self.light = between(-0.09, 0.09), between(-0.08, 0.02)


class _Look:
    """All that the attributes decide."""

    def __init__(self, attributes: Mapping[str, bool], hair_gain: float) -> None:
        if unknown := sorted(set(attributes) - set(ATTRIBUTES)):
            known = ", ".join(ATTRIBUTES)
            raise ValueError(f"unknown attribute {unknown[0]!r}; synthetic faces know: {known}")
        hairs = [name for name in _HAIR if attributes.get(name)]
        if len(hairs) > 1:
            raise ValueError(f"a face has one hair colour, not {' and '.join(hairs)}")
        hair = _HAIR[hairs[0]] if hairs else _GREY_HAIR
        self.hair: Colour = tuple(min(255, channel * hair_gain) for channel in hair)
        flags = [bool(attributes.get(name)) for name in ATTRIBUTES[3:]]
        self.male, self.young, self.smiling, self.eyeglasses = flags


def _shade(colour: Colour, share: float) -> Colour:
    return mix(colour, _SHADOW, share)


def _paint_back_hair(canvas: Canvas, person: _Person, look: _Look) -> None:
    wide, end, flare = person.half_width, person.hair_end_y, person.hair_flare
    xs = (0, wide, wide + 0.045, wide + 0.05 + flare, wide + 0.04 + flare, wide - 0.02, 0)
    ys = (person.hair_top_y + 0.03, 0.16, 0.36, 0.62, end, end + 0.02, end - 0.01)
    canvas.fill(_curled(smooth(symmetric(xs, ys)), person), _shade(look.hair, 0.32))


def _paint_body(canvas: Canvas, person: _Person, look: _Look) -> None:
    neck, broad = (0.112, 0.02) if look.male else (0.09, 0.0)
    collar_y = 1.0 if person.v_neck else 0.95
    xs = (neck + 0.02, 0.27 + broad, 0.42 + broad, 0.5, 0.3)
    canvas.fill(smooth(symmetric(xs, (0.87, 0.915, 1.0, 1.25, 1.3))), person.clothes)
    throat = symmetric((neck, neck, neck + 0.025, 0), (0.7, 0.87, 0.9, collar_y))
    canvas.fill(throat, _shade(person.skin, 0.14))
    canvas.glow((0, 0.84, neck, 0.07), _shade(person.skin, 0.5), 0.5)
    hem = (neck + 0.032, neck * 0.6, 0), (0.885, collar_y - 0.02, collar_y + 0.008)
    canvas.stroke(hem, 0.018, mix(person.clothes, _WHITE, 0.4), twice=True)


def _paint_head(canvas: Canvas, person: _Person, look: _Look) -> None:
    wide, skin = person.half_width, person.skin
    canvas.fill(ellipse(wide + 0.004, 0.515, 0.032, 0.052), _shade(skin, 0.07), twice=True)
    canvas.fill(ellipse(wide + 0.008, 0.515, 0.016, 0.03), _shade(skin, 0.2), twice=True)
    face = _face_outline(person, look)
    canvas.fill(face, _shade(skin, 0.13))
    canvas.fill((face - (0, 0.5)) * 0.975 + (0, 0.496), skin)
    canvas.glow((0, 0.36, wide * 0.7, 0.12), mix(skin, _WHITE, 0.6), 0.22)
    if look.male:
        _paint_stubble(canvas, person, face)
    blush = (0.34 if look.young else 0.18) * (0.55 if look.male else 1.0)
    canvas.glow((wide * 0.62, 0.605, 0.062, 0.045), _ROSE, blush, twice=True)


def _face_outline(person: _Person, look: _Look) -> Points:
    wide, chin_y = person.half_width, person.chin_y + (0.012 if look.male else 0)
    jaw = wide * ((0.84 if look.male else 0.72) + person.jaw)
    chin = 0.088 if look.male else 0.06
    sag = 0 if look.young else 0.008
    xs = (0, wide * 0.8, wide * 1.03, wide * 1.03, wide * 0.99 + sag, jaw + sag, chin, 0)
    ys = (0.16, 0.17, 0.34, 0.54, 0.66, 0.76, chin_y + 0.01, chin_y + 0.015)
    return smooth(symmetric(xs, ys))


def _paint_stubble(canvas: Canvas, person: _Person, face: Points) -> None:
    jaw = face[face[:, 1] > 0.56] * (0.985, 0.997)
    across = np.linspace(-1, 1, 17)
    for y in (0.672, 0.66, 0.648):
        cheek = np.stack([0.2 * across, y - 0.07 * across**4], axis=1)
        canvas.fill(np.concatenate([jaw, cheek]), _BEARD, person.stubble / 3)


def _paint_eyes(canvas: Canvas, person: _Person, look: _Look) -> None:
    x, y, size = person.eye_x, 0.478, person.eye_scale * (0.96 if look.male else 1.05)
    half, up = 0.046 * size, 0.034 * size
    low = y + up * (0.45 if look.smiling else 0.8)
    rings = ((half, up, _WHITE), (0.029 * size, up, person.iris), (0.0145 * size, 0.5 * up, _PUPIL))
    for radius_x, radius_y, colour in rings:
        canvas.fill(ellipse(x, y, radius_x, radius_y).clip(max=(1, low)), colour, twice=True)
    for side in (-1, 1):
        canvas.fill(ellipse(side * x - 0.009, y - 0.011, 0.009, 0.009), _WHITE)
    across = (x - half, x, x + half)
    canvas.stroke((across, (y + 0.004, y - 2 * up, y - 0.004)), 0.015, _INK, twice=True)
    lower_lid = across, (y + 0.006, 2 * low - y, y)
    canvas.stroke(lower_lid, 0.006, _shade(person.skin, 0.5), 0.7, twice=True)
    if not look.male:
        lash = (x + 0.018, x + half, x + half + 0.018), (y - 0.85 * up, y - 0.012, y - 0.022)
        canvas.stroke(lash, 0.014, _INK, twice=True)


def _paint_brows(canvas: Canvas, person: _Person, look: _Look) -> None:
    x = person.eye_x
    y, bend, width = (0.4, 0.006, 0.028) if look.male else (0.386, 0.022, 0.016)
    middle_y = y - bend - 2 * person.brow_arch
    brow = (x - 0.048, x + 0.012, x + 0.058), (y + 0.006, middle_y, y + 0.008)
    colour = mix(_shade(look.hair, 0.35), _INK, 0.15)
    canvas.stroke(brow, width if look.young else 0.85 * width, colour, 0.92, twice=True)


def _paint_nose(canvas: Canvas, person: _Person, look: _Look) -> None:
    half, y = 0.03 * person.nose_scale * (1.12 if look.male else 0.95), 0.618
    canvas.glow((0.004, y - 0.03, 0.016, 0.05), mix(person.skin, _WHITE, 0.7), 0.4)
    tip = (-half, 0, half), (y - 0.006, y + 0.026, y - 0.006)
    canvas.stroke(tip, 0.011, _shade(person.skin, 0.38), 0.75)


def _paint_mouth(canvas: Canvas, person: _Person, look: _Look) -> None:
    lip = mix(_shade(person.skin, 0.3), _ROSE, 0.25 if look.male else 0.75)
    if look.smiling:
        _paint_smile(canvas, 0.086 * person.mouth_scale, lip)
        return
    half, y, full = 0.06 * person.mouth_scale, 0.722, 0.013 if look.male else 0.02
    xs = (0, half * 0.3, half, half * 0.5, 0)
    ys = (y - full * 0.7, y - full, y - 0.002, y + full * 1.2, y + full * 1.4)
    canvas.fill(symmetric(xs, ys), lip)
    seam = (-half * 1.12, 0, half * 1.12), (y - 0.006, y + 0.011, y - 0.006)
    canvas.stroke(seam, 0.01, _shade(lip, 0.6))


def _paint_smile(canvas: Canvas, half: float, lip: Colour) -> None:
    y = 0.698
    for scale, sag, colour in ((1.06, 0.08, lip), (0.95, 0.06, _MOUTH), (0.9, 0.04, _WHITE)):
        mouth = ellipse(0, y, half * scale, sag).clip(min=(-1, y))
        mouth[:, 1] += 0.018 * (1 - (mouth[:, 0] / half) ** 2)
        canvas.fill(mouth, colour)
    dimple = (half * 1.1, half * 1.1 + 0.014, half * 1.1), (y - 0.026, y - 0.004, y + 0.016)
    canvas.stroke(dimple, 0.008, _MOUTH, 0.4, twice=True)


def _paint_age(canvas: Canvas, person: _Person) -> None:
    x, dark = person.eye_x, _shade(person.skin, 0.5)
    for half, y in ((0.085, 0.318), (0.1, 0.346)):
        canvas.stroke(((-half, 0, half), (y + 0.004, y - 0.006, y + 0.004)), 0.01, dark, 0.65)
    canvas.stroke(((x - 0.045, x, x + 0.045), (0.52, 0.558, 0.522)), 0.011, dark, 0.6, twice=True)
    canvas.stroke(((0.056, 0.1, 0.108), (0.622, 0.65, 0.705)), 0.012, dark, 0.65, twice=True)
    for dy in (-0.02, 0, 0.02):
        crow_foot = (x + 0.062, x + 0.076, x + 0.092), (0.47 + dy / 2, 0.47 + dy, 0.468 + 1.5 * dy)
        canvas.stroke(crow_foot, 0.009, dark, 0.6, twice=True)


def _paint_glasses(canvas: Canvas, person: _Person) -> None:
    x, y, colour = person.eye_x + 0.004, 0.485, person.frame
    wide, high, power = (0.08, 0.078, 1.0) if person.round_glasses else (0.086, 0.064, 0.55)
    rim = ellipse(x, y, wide, high, power)
    lens = ellipse(x, y, wide - 0.015, high - 0.015, power)
    canvas.fill(lens, _WHITE, 0.12, twice=True)
    canvas.fill(np.concatenate([rim, rim[:1], lens[:1], lens[::-1]]), colour, twice=True)
    for lens_x in (-x, x):
        glint = (lens_x - 0.05, lens_x - 0.03, lens_x - 0.02), (y + 0.025, y, y - 0.035)
        canvas.stroke(glint, 0.011, _WHITE, 0.4)
    arm = (x + wide - 0.006, 0.22, 0.258), (y - 0.022, y - 0.026, y - 0.016)
    canvas.stroke(arm, 0.017, colour, twice=True)
    gap = x - wide + 0.01
    canvas.stroke(((-gap, 0, gap), (y - 0.012, y - 0.03, y - 0.012)), 0.02, colour)


def _paint_hair(canvas: Canvas, person: _Person, look: _Look) -> None:
    wide, top = person.half_width, person.hair_top_y
    line = _hair_line(person, look)
    temples = points((-wide + 0.03, -wide, wide, wide - 0.03), (0.4, 0.2, 0.2, 0.4))
    shadow = np.add(smooth(np.concatenate([line, temples])), (0, 0.016))
    mirror = (person.hair_side, 1)
    canvas.fill(shadow * mirror, _shade(person.skin, 0.5), 0.4)
    hair = smooth(_hair_outline(person, look, line))
    canvas.fill(_curled(hair, person) * mirror, look.hair)
    for x, end in ((0.1, 0.4), (0.3, 0.34)):
        strand = (wide * x, wide * (0.5 + x), wide + 0.01), (top + 0.035, top + 0.05, end)
        canvas.stroke(strand, 0.009, _shade(look.hair, 0.4), 0.3, twice=True)
    for x, width in ((-0.1, 0.036), (0.2, 0.022)):
        shine = (x - 0.75, x - 0.6, x - 0.1), (top + 0.12, top + 0.055, top + 0.05)
        gloss = ribbon(shine, width) * (wide * person.hair_side, 1)
        canvas.fill(gloss, mix(look.hair, _WHITE, 0.5), 0.4)


def _hair_line(person: _Person, look: _Look) -> Points:
    line = points(*(person.short_cut if look.male else person.long_cut)) * (person.half_width, 1)
    if not look.young:  # age lifts the hair off the forehead, and off a man's temples most of all
        recess = 0.12 * np.abs(line[:, 0]) if look.male else 0
        line[:, 1] -= 0.4 * (line[:, 1] - 0.2) + recess
    return line


def _hair_outline(person: _Person, look: _Look, line: Points) -> Points:
    wide, top = person.half_width, person.hair_top_y + (0 if look.young else 0.02)
    side = wide + (0.024 if look.male else 0.05) - (0 if look.young else 0.014)
    if look.male:
        xs = [side, side, wide + 0.01, wide - 0.012, wide - 0.026]
        ys = [top + 0.11, 0.34, 0.465, 0.465, 0.4]
    else:
        end, flare, wave = person.hair_end_y, person.hair_flare, person.hair_wave
        xs = [side, side + wave, side + flare * 0.6 - wave, side + flare + wave, side + flare * 0.7]
        xs += [wide - 0.06, wide - 0.025 + wave, wide - 0.012, wide - 0.026]
        ys = [top + 0.11, 0.36, 0.52, 0.7, end, end + 0.012, 0.66, 0.5, 0.4]
    right = points([wide * 0.66, *xs], [top + 0.014, *ys])
    outline = np.concatenate([points([0], [top]), right, line, right[::-1] * (-1, 1)])
    crown = outline[:, 1] < top + 0.1
    outline[crown, 1] -= person.hair_lift * outline[crown, 0] / wide
    return outline


def _curled(outline: Points, person: _Person) -> Points:
    """Bulges an outline of hair, away from the middle of the face, into curls."""
    away = outline - (0, 0.45)
    bulge = 1 + person.hair_curl * np.abs(np.sin(9 * np.arctan2(*away.T)))
    curled: Points = away * bulge[:, None] + (0, 0.45)
    return curled


def _background(person: _Person, size_px: int) -> Image.Image:
    """A soft gradient, lighter in one upper corner."""
    whiteness = np.array([[0.5, 0.3], [0.1, 0.0]])[:, :: int(person.hair_side), None]
    corners = np.array(person.background) * (1 - whiteness) + 255 * whiteness
    image = Image.fromarray(corners.round().astype(np.uint8))
    return image.resize((size_px, size_px), Image.Resampling.BILINEAR)


def _lit(image: Image.Image, person: _Person, seed: int) -> Image.Image:
    """Adds the light's gradient and a little camera noise."""
    ramp = np.linspace(-1, 1, image.width)
    gain = 1 + person.light[0] * ramp[None, :] + person.light[1] * ramp[:, None]
    noise = np.random.default_rng([seed, 1]).normal(0, 1.0, gain.shape)
    pixels = np.asarray(image) * gain[:, :, None] + noise[:, :, None]
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def draw_face(attributes: Mapping[str, bool], *, seed: int, size: int = 64) -> Image.Image:
    """Draws one face, aligned like a CelebA crop: 8-bit RGB, pixel range 0..255.

    Args:
        attributes: Values by name (see `ATTRIBUTES`); a missing one is false, and a face without
            a hair colour is grey.
        seed: Decides the person; at least 0.
        size: Width and height in pixels.

    Raises:
        ValueError: An attribute is unknown, or two hair colours are asked for.
    """
    person = _Person(seed)
    look = _Look(attributes, person.hair_gain)
    image = _background(person, size * _SUPERSAMPLING)
    canvas = Canvas(image, tilt_rad=person.tilt_rad, scale=person.scale, shift=person.shift)
    if not look.male:
        _paint_back_hair(canvas, person, look)
    for paint in (_paint_body, _paint_head, _paint_eyes, _paint_brows, _paint_nose, _paint_mouth):
        paint(canvas, person, look)
    if not look.young:
        _paint_age(canvas, person)
    if look.eyeglasses:
        _paint_glasses(canvas, person)
    _paint_hair(canvas, person, look)
    return _lit(image.reduce(_SUPERSAMPLING), person, seed)
