"""A cartoon of a face, drawn from an age and random numbers."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from squared_emd.data.synthetic.drawing import COS, SIN, Color, Pen, shrink, side_of_canvas, to_image

# How a face looks at the edges of the eight age groups, youngest first. Lengths are in halves of the head's height.
LOOKS = {
    "width": (0.92, 0.88, 0.84, 0.79, 0.76, 0.76, 0.77, 0.78, 0.77),
    "taper": (0.10, 0.16, 0.22, 0.26, 0.26, 0.24, 0.22, 0.20, 0.20),
    "jowl": (0.08, 0.05, 0.02, 0.00, 0.00, 0.01, 0.03, 0.05, 0.07),
    "size": (0.88, 0.92, 0.96, 0.99, 1.00, 1.00, 1.00, 1.00, 0.99),
    "eye_line": (0.24, 0.18, 0.12, 0.06, 0.02, 0.00, 0.00, -0.01, -0.01),
    "eye": (0.180, 0.168, 0.154, 0.142, 0.132, 0.126, 0.120, 0.112, 0.102),
    "opening": (0.86, 0.80, 0.72, 0.66, 0.62, 0.58, 0.54, 0.49, 0.43),
    "nose": (0.17, 0.21, 0.26, 0.32, 0.36, 0.38, 0.40, 0.42, 0.45),
    "brow": (0.030, 0.036, 0.044, 0.054, 0.062, 0.064, 0.066, 0.064, 0.058),
    "lip": (0.060, 0.062, 0.066, 0.074, 0.078, 0.072, 0.064, 0.054, 0.042),
    "neck": (0.28, 0.29, 0.32, 0.36, 0.41, 0.43, 0.44, 0.43, 0.40),
    "shoulders": (0.95, 1.05, 1.20, 1.40, 1.55, 1.60, 1.62, 1.60, 1.52),
    "hair": (0.25, 0.80, 1.00, 1.00, 1.00, 1.00, 0.95, 0.90, 0.80),
    "blush": (0.45, 0.40, 0.28, 0.16, 0.10, 0.06, 0.05, 0.05, 0.05),
    "lines": (0.00, 0.00, 0.00, 0.00, 0.05, 0.22, 0.48, 0.75, 1.00),
    "gray": (0.00, 0.00, 0.00, 0.00, 0.00, 0.10, 0.35, 0.70, 0.98),
    "bald": (0.00, 0.00, 0.00, 0.00, 0.05, 0.25, 0.45, 0.60, 0.75),
}
SKIN = ((255, 224, 202), (241, 200, 168), (226, 178, 140), (203, 149, 108), (170, 116, 78), (132, 86, 58), (95, 61, 44))
HAIR = ((28, 23, 22), (52, 35, 26), (92, 60, 36), (132, 84, 46), (196, 156, 98), (150, 72, 38))
EYES = ((58, 36, 24), (92, 66, 38), (84, 104, 70), (84, 116, 146))
SHOULDERS = 1.95  # where they are broadest, below the head's center
LIPS, GRAY, WHITE, DARK = (172, 78, 82), (208, 208, 210), (247, 245, 241), (34, 24, 24)


@dataclass
class Person:
    """What is the same in every image of one person. `looks` has the values of `LOOKS` at the person's age."""

    woman: bool
    looks: dict[str, float]
    skin: Color
    hair: Color
    eyes: Color
    style: str
    fringe: float
    beard: float
    glasses: bool


def draw_person(rng: np.random.Generator, age: float) -> Person:
    """A person who looks `age`, in widths of an age group: 0..1 is the youngest group, 7..8 the oldest."""
    woman = bool(rng.random() < 0.5)
    looks = {name: float(np.interp(age, range(9), values)) for name, values in LOOKS.items()}
    for name in ("width", "eye", "opening", "nose", "brow", "lip", "neck", "shoulders"):
        looks[name] *= rng.normal(1, 0.05)
    looks["eye_line"] += rng.normal(0, 0.02)
    looks["lines"] *= rng.uniform(0.6, 1.3)
    looks["gray"] = float(np.clip(looks["gray"] * rng.uniform(0.5, 1.5), 0, 1))
    looks["bald"] = 0.0 if woman or rng.random() < 0.4 else float(np.clip(looks["bald"] * rng.uniform(0.6, 1.6), 0, 1))
    if woman:
        for name, factor in (("brow", 0.75), ("lip", 1.2), ("shoulders", 0.92), ("neck", 0.9)):
            looks[name] *= factor
    tone = rng.uniform(0, len(SKIN) - 1)
    skin = _mix(SKIN[int(tone)], SKIN[int(tone) + 1], tone % 1)
    hair = HAIR[rng.integers(len(HAIR))] if tone < 2.5 else HAIR[rng.integers(2)]
    style = rng.choice(["long", "bob", "bun", "short"] if woman else ["short", "short", "full"])
    return Person(
        woman=woman,
        looks=looks,
        skin=skin,
        hair=_mix(hair, GRAY, looks["gray"]),
        eyes=EYES[rng.integers(len(EYES))] if tone < 2.5 else EYES[rng.integers(2)],
        style="short" if age < 0.8 else str(style),
        fringe=float(rng.uniform(0, 1)),
        beard=0.0 if woman or age < 3.8 or rng.random() < 0.55 else float(rng.uniform(0.2, 0.65)),
        glasses=bool(rng.random() < 0.06 + 0.035 * age),
    )


def draw_image(person: Person, rng: np.random.Generator, size: int) -> Image.Image:
    """An image of a person, `size` x `size` pixels; `rng` gives pose, expression, background, light, blur and noise."""
    side = side_of_canvas(size)
    canvas = Image.new("RGB", (side, side), background(rng))
    roll = rng.normal(0, 0.07)
    unit = 0.36 * side * person.looks["size"] * rng.uniform(0.93, 1.07)
    center = side * (np.array([0.5, 0.49]) + rng.normal(0, 0.02, 2))
    draw_into(canvas, person, rng, center, unit, roll)
    return develop(canvas, rng, size)


def background(rng: np.random.Generator) -> Color:
    """A dull color."""
    return _mix(tuple(rng.integers(50, 235, 3)), (150, 150, 150), 0.5)


def draw_into(
    canvas: Image.Image,
    person: Person,
    rng: np.random.Generator,
    center: np.ndarray,
    unit: float,
    roll: float,
    waist: float = SHOULDERS,
) -> np.ndarray:
    """Draws a person over what a canvas shows; gives the middles of the eyes, (2, 2) x and y, the left one first.

    `center` is that of the head, in pixels from the upper left corner, `unit` half of its height; the person leans by
    `roll` radians, and the body ends `waist` units below the center. Pose, expression and clothes come from `rng`.
    """
    pen = _HeadPen(canvas, unit, center, roll, yaw=float(rng.uniform(-0.14, 0.14)))
    _draw_behind(pen, person, rng, waist)
    _draw_head(pen, person)
    _draw_features(pen, person, rng)
    _draw_hair(pen, person)
    return np.array(pen.points(np.array([(_eye_x(pen, person, side), person.looks["eye_line"]) for side in (-1, 1)])))


def develop(canvas: Image.Image, rng: np.random.Generator, face: int) -> Image.Image:
    """A canvas at half its size with light, blur and noise, for a face with its surroundings of so many pixels."""
    blur = rng.uniform(0, 0.008) * face if rng.random() < 0.5 else 0
    pixels = shrink(canvas, blur)  # (height, width, 3)
    slope, turn = rng.uniform(0, 0.35), rng.uniform(0, 2 * np.pi)
    down, across = (np.linspace(-1, 1, length, dtype=np.float32) for length in pixels.shape[:2])
    light = 1 + slope * (np.cos(turn) * across[None, :] + np.sin(turn) * down[:, None])  # (height, width)
    pixels = pixels ** rng.uniform(0.8, 1.25) * light[..., None] * rng.uniform(0.75, 1.1) * rng.normal(1, 0.04, 3)
    pixels += rng.normal(0, rng.uniform(0.005, 0.04), pixels.shape)
    return to_image(pixels)


class _HeadPen(Pen):
    """Its center is the head's, and the chin is at (0, 1); `yaw` says how far the face is turned to the right."""

    def __init__(self, canvas: Image.Image, unit: float, center: np.ndarray, roll: float, yaw: float):
        super().__init__(canvas, unit, center, roll)
        self.yaw = yaw


def _eye_x(pen: _HeadPen, person: Person, side: int) -> float:
    """Where the middle of an eye is, `side` -1 for the left one of the image."""
    return side * person.looks["width"] * 0.42 + pen.yaw


def _mix(first: Color, second: Color, part: float) -> Color:
    return tuple(round(a + (b - a) * part) for a, b in zip(first, second, strict=True))


def _outline(looks: dict[str, float], grow: float = 1.0) -> np.ndarray:
    """The edge of the head, (33, 2); the first half of the points is below its center."""
    low = np.clip(SIN, 0, None)
    width = looks["width"] * (1 - looks["taper"] * low**2) + looks["jowl"] * np.exp(-(((SIN - 0.65) / 0.25) ** 2))
    return np.stack([grow * width * COS, grow * SIN], axis=1)


def _draw_behind(pen: _HeadPen, person: Person, rng: np.random.Generator, waist: float) -> None:
    looks, width = person.looks, person.looks["width"]
    if person.style == "long":
        pen.oval(0, 0.25, width * 1.25, 1.3, person.hair)
    elif person.style == "bob":
        pen.oval(0, -0.05, width * 1.28, 1.0, person.hair)
    elif person.style == "bun":
        pen.oval(0, -1.08, 0.34, 0.3, person.hair)
    broad = looks["shoulders"]
    cloth = _mix(tuple(rng.integers(20, 235, 3)), (110, 110, 110), 0.3)
    pen.oval(0, SHOULDERS, broad, 0.72, cloth)
    if waist > SHOULDERS:
        pen.shape([(-broad, SHOULDERS), (broad, SHOULDERS), (broad, waist), (-broad, waist)], cloth)
    neck = looks["neck"]
    shade = _mix(person.skin, DARK, 0.16)
    pen.shape([(-neck, 0.5), (neck, 0.5), (neck, 1.3), (0, 1.45), (-neck, 1.3)], shade)


def _draw_head(pen: _HeadPen, person: Person) -> None:
    looks, skin, yaw = person.looks, person.skin, pen.yaw
    width, eye_line = looks["width"], looks["eye_line"]
    for side in (-1, 1):
        pen.oval(side * width * 0.99 - yaw * 0.3, eye_line + 0.14, 0.11, 0.2, _mix(skin, DARK, 0.08))
    pen.shape(_outline(looks), skin)
    for side in (-1, 1):
        pen.oval(side * width * 0.55 + yaw, eye_line + 0.36, 0.17, 0.12, _mix(skin, LIPS, looks["blush"] * 0.4))
    if person.beard:
        edge = _outline(looks, 1.01)[1:16]  # the lower half, from the right ear to the left one
        x = np.linspace(-0.9, 0.9, 11)
        upper = 0.44 - 0.08 * np.cos(4 * x) - 0.3 * x**4  # highest below the nose and before the ears
        inner = np.stack([x * width + yaw * (1 - x**2), upper], axis=1)
        pen.shape(np.concatenate([edge, inner]), _mix(skin, person.hair, person.beard))


def _draw_features(pen: _HeadPen, person: Person, rng: np.random.Generator) -> None:
    looks, skin, yaw = person.looks, person.skin, pen.yaw
    eye, lines, y = looks["eye"], looks["lines"], looks["eye_line"]
    crease = _mix(skin, DARK, min(0.42, 0.38 * lines))
    nose_y = y + looks["nose"]
    mouth_y = nose_y + (1 - nose_y) * 0.42
    smile, look = rng.normal(0.06, 0.04), rng.normal(0, 0.25) * eye
    wide = eye * looks["opening"] * rng.uniform(0.85, 1.1)
    for k in range(3 if lines > 0.08 else 0):
        pen.curve((-0.36 + yaw, y - 0.42 - 0.1 * k), (0.36 + yaw, y - 0.42 - 0.1 * k), -0.03, 0.022, crease)
    for side in (-1, 1):
        x = _eye_x(pen, person, side)
        if lines > 0.08:
            pen.oval(x, y + 0.08, eye * 1.05, eye * 0.85, _mix(skin, DARK, 0.12 * lines))
            pen.curve((x - eye, y + 0.13), (x + eye, y + 0.13), 0.05, 0.018, crease)
            for dy in (-0.05, 0.03, 0.1):
                outer = x + side * eye * 1.3
                pen.curve((outer, y + 0.3 * dy), (outer + side * 0.13 * lines**0.5, y + 1.4 * dy), 0, 0.018, crease)
            start, end = (x - side * 0.14, nose_y - 0.02), (x, nose_y + 0.04 if person.beard else mouth_y + 0.02)
            pen.curve(start, end, 0.02, 0.026, crease)
        pen.oval(x, y, eye, wide, WHITE)
        iris = min(eye * 0.56, wide * 1.02)
        pen.oval(x + look, y, iris, iris, person.eyes)
        pen.oval(x + look, y, iris * 0.5, iris * 0.5, DARK)
        pen.oval(x + look - 0.3 * iris, y - 0.35 * iris, iris * 0.25, iris * 0.25, WHITE)
        droop = 0.05 * lines * side
        lid = _mix(skin, DARK, 0.75)
        pen.curve((x - eye, y - droop), (x + eye, y + droop), -wide * 1.15, 0.03 if person.woman else 0.022, lid)
        brow_y = y - eye * 1.15 - 0.06
        brow = _mix(skin, _mix(person.hair, DARK, 0.2), min(1.0, 0.35 + looks["hair"] * 0.6))
        pen.curve((x - eye * 1.15, brow_y), (x + eye * 1.15, brow_y), -0.05, looks["brow"], brow)
    _draw_nose_and_mouth(pen, person, nose_y, mouth_y, smile)


def _draw_nose_and_mouth(pen: _HeadPen, person: Person, nose_y: float, mouth_y: float, smile: float) -> None:
    looks, skin, x = person.looks, person.skin, pen.yaw * 1.25
    wing = 0.1 + 0.16 * looks["nose"]
    pen.curve((x + 0.05, looks["eye_line"] + 0.08), (x + wing * 0.6, nose_y - 0.06), 0, 0.025, _mix(skin, DARK, 0.13))
    pen.oval(x, nose_y - 0.03, wing * 0.75, 0.07, _mix(skin, WHITE, 0.08))
    pen.curve((x - wing, nose_y - 0.03), (x + wing, nose_y - 0.03), 0.08, 0.03, _mix(skin, DARK, 0.35))
    x = pen.yaw * 1.1
    half = 0.2 + 0.35 * (looks["nose"] - 0.17)
    lip = _mix(skin, LIPS, 0.65 if person.woman else 0.4)
    pen.oval(x, mouth_y + smile * 0.7, half * 0.8, looks["lip"] + abs(smile) * 0.3, lip)
    pen.curve((x - half, mouth_y), (x + half, mouth_y), smile, 0.026, _mix(lip, DARK, 0.55))


def _draw_hair(pen: _HeadPen, person: Person) -> None:
    looks, yaw, width, bald = person.looks, pen.yaw, person.looks["width"], person.looks["bald"]
    color = _mix(person.skin, person.hair, min(1.0, 0.2 + 0.8 * looks["hair"]))
    volume = 1.02 + 0.1 * looks["hair"] + (0.06 if person.style == "full" else 0)
    if bald > 0.55:
        for side in (-1, 1):
            pen.oval(side * width * 0.99, -0.12, 0.11, 0.34, color)
    else:
        over = _outline(looks, volume)[17:32]  # from the left ear over the top to the right one
        x = np.linspace(1, -1, 13)  # and back along the hairline
        height = (0.62 - 0.3 * person.fringe * (bald == 0)) * (1 - x**4) + bald * 0.75 * np.abs(x) ** 0.5 * (1 - x**8)
        height = np.minimum(height + 0.12 * (looks["hair"] < 0.7), 0.98 * np.sqrt(1 - x**2) + 0.1)
        pen.shape(np.concatenate([over, np.stack([x * width * 0.98 + yaw * 0.4, -height], axis=1)]), color)
    if person.glasses:
        y = looks["eye_line"]
        for side in (-1, 1):
            x = _eye_x(pen, person, side)
            ring = np.stack([x + 0.24 * COS, y + 0.02 + 0.2 * SIN], axis=1)
            pen.line(ring, 0.026, DARK)
        pen.curve((-width * 0.42 + 0.24 + yaw, y), (width * 0.42 - 0.24 + yaw, y), -0.03, 0.026, DARK)
