"""Try a model of ordered classes on a photograph, in a browser.

A model trained on drawn faces, where there is none yet: uv run --extra app python space/app.py
Any other, a folder or a name on the Hub:                uv run --extra app python space/app.py --model REPO_OR_DIR
On a Space the variable MODEL_ID names the model.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from checkpoint import Checkpoint, load_checkpoint
from figures import CSS, bars, decisions, expected_score, heat_map, row_in_words
from squared_emd.data.prepared import cache_folder
from squared_emd.data.synthetic.drawn_faces import LABELS_FILE, draw_faces
from squared_emd.experiments.launch import user_errors

ROOT = Path(__file__).resolve().parents[1]
RECIPE, TABLE = ROOT / "recipes" / "adience.py", ROOT / "outputs" / "drawn_faces"
DRAWN_FACES_RUN = TABLE / "small" / "xemd2" / "fold_0" / "seed_42"  # where the recipe leaves it
RULES = {
    "argmax": "the likeliest class",
    "median": "the first class at which half of the probability is reached",
    "expected": "the class whose score lies nearest the expected score",
    "min_distance": "the class with the least expected distance under D",
}
NO_PICTURE = "This file cannot be read as a picture. Take a JPEG, PNG or WebP file."
LIMITS = (
    "**Do not judge people by it.** What comes out is a guess from pixels, and often wrong; for some people more "
    "often than for others. It must not decide about anybody, such as whether someone is old enough for something."
)
DRAWINGS = (
    "The faces it learned from, and the examples here, are **drawings** made by a program; they show no person. "
    "What it says of a photograph means nothing."
)


def answer(checkpoint: Checkpoint, picture: Image.Image | str | None) -> str:
    """What the page shows of a picture, as HTML.

    Args:
        checkpoint: the model.
        picture: to look at; the message in place of one that cannot be read; None where there is none yet.
    """
    if picture is None or isinstance(picture, str):
        return _shown(_message(picture or "What the model says of a picture will stand here."), _distance(checkpoint))
    try:
        found = checkpoint.classify(picture)
    except ValueError as error:
        return _shown(_message(str(error)), _distance(checkpoint))
    shares, names = [entry["score"] for entry in found["distribution"]], checkpoint.class_names
    chosen = {rule: (checkpoint.decide(shares, rule), what) for rule, what in RULES.items()}
    if chosen["min_distance"][0] is None:
        chosen["min_distance"] = ("needs D", "which this model does not have")
    return _shown(
        bars(shares, names),
        expected_score(found["expected_score"], found["spread"], checkpoint.scores.tolist(), names),
        decisions(chosen),
        _distance(checkpoint, int(np.argmax(shares))),
    )


def _distance(checkpoint: Checkpoint, row: int | None = None) -> str:
    heading, names = "<section><h2>Ground distance D between the classes</h2>", checkpoint.class_names
    if checkpoint.ground_distance is None:
        return f"{heading}{_message('No heat map: ' + checkpoint.without)}</section>"
    matrix = checkpoint.ground_distance.numpy()
    return f"{heading}{heat_map(matrix, names, row)}{'' if row is None else row_in_words(matrix, names, row)}</section>"


def _message(text: str) -> str:
    return f'<section><p class="message" role="status">{escape(text)}</p></section>'


def _shown(*sections: str) -> str:
    return f'<div class="emd">{"".join(sections)}</div>'


def about(checkpoint: Checkpoint) -> tuple[str, str, str]:
    """What the model is, its limits, and where D comes from, as Markdown."""
    results, emd = checkpoint.results, checkpoint.emd
    name = Path(checkpoint.name)
    shown = f"{name.parent.name}/{name.name}" if name.is_dir() else checkpoint.name  # no path of the server
    model = f"`{shown}` tells {len(checkpoint.class_names):,} classes apart"
    model += f"; it was trained with the loss `{emd['loss']}`." if "loss" in emd else "."
    if {"data", "num_train"} <= results.keys():
        model += f" It learned from {results['num_train']:,} pictures: {results['data']}."
    measured = [
        f"{100 * results[key]:.1f} % {what}"
        for key, what in {"eval_aem": "right", "eval_aeo": "right or one class off"}.items()
        if isinstance(results.get(key), float)
    ]
    if measured:
        tested = f"On {results['num_test']:,} others" if "num_test" in results else "When it was tested"
        model += f" {tested}: {', '.join(measured)}."
    else:
        model += " How often it is right was not measured, or was not saved with it."

    if checkpoint.ground_distance is None:
        origin = "This model has no D. Models trained with the losses `xemd1` and `xemd2` learn one."
    else:
        origin = "`D[i, j]` says how far apart the classes i and j are; that of a class to itself is 0. "
        if emd.get("sdd") is None:  # the spread of learned distances
            origin += "It was given to the training, not learned."
        else:
            origin += (
                "Nobody gave it to the model: in training it came out of the model's own features, from how far the "
                "classes' mean features lie apart (Hou et al. 2016, section 3.1)."
            )
    order = "The expected score and the median mean something only where the classes have an order."
    kept = "A picture goes to the program that serves this page, and nowhere else."
    return f"### The model\n{model}", f"### Its limits\n{LIMITS} {order} {kept}", f"### Where D comes from\n{origin}"


def example_faces() -> list[str]:
    """A drawn face of each age group, youngest first, of people drawn with another seed than those trained on."""
    folder = draw_faces(cache_folder("space_examples"), num_faces=98, seed=1)
    with open(folder / LABELS_FILE, newline="", encoding="utf-8") as file:
        first = {row["label"]: str(folder / row["image"]) for row in reversed(list(csv.DictReader(file)))}
    return list(reversed(first.values()))


def readable(preprocess: Callable[[Any], Image.Image | None]) -> Callable[[Any], Image.Image | str | None]:
    """What a gr.Image does with a file, but one that is no picture becomes the message that says so."""

    def picture_or_message(file: Any) -> Image.Image | str | None:
        try:
            picture = preprocess(file)
            if picture is not None:
                picture.load()  # else a file that is cut off is found out later
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, gr.Error):
            return NO_PICTURE
        return picture

    return picture_or_message


def build(checkpoint: Checkpoint) -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="squared-emd: try a model", analytics_enabled=False) as page:
        gr.Markdown("# How likely is each class, and how far apart are they?")
        gr.Markdown(
            DRAWINGS if checkpoint.drawn else "Drop a photograph. Do not judge people by the answer: see below."
        )
        with gr.Row():
            with gr.Column(min_width=300):
                picture = gr.Image(
                    type="pil",
                    image_mode=None,
                    label="Photograph",
                    height=320,
                    buttons=["fullscreen"],
                    elem_id="picture",
                )
                picture.preprocess = readable(picture.preprocess)
                if checkpoint.drawn:
                    gr.Examples(
                        example_faces(), picture, label="Drawn faces, youngest first; none of those it learned from"
                    )
            with gr.Column(min_width=300, scale=2):
                shown = gr.HTML(answer(checkpoint, None), elem_id="answer")
        with gr.Row():
            for text in about(checkpoint):
                with gr.Column(min_width=280):
                    gr.Markdown(text)
        picture.change(lambda given: answer(checkpoint, given), picture, shown, api_name="classify")
    return page


def drawn_faces_checkpoint() -> Path:
    """The model of the drawn faces, trained first where there is none.

    Raises:
        ValueError: there is no recipe to train it with.
        RuntimeError: the training failed.
    """
    if (DRAWN_FACES_RUN / "all_results.json").is_file():
        return DRAWN_FACES_RUN
    if not RECIPE.is_file():
        raise ValueError(
            "--model or the variable MODEL_ID must name a model, a folder or a name on the Hub. Neither is given, and "
            "the recipe that trains one on drawn faces is not here."
        )
    print(f"There is no model in {DRAWN_FACES_RUN} yet: training one on drawn faces, about two minutes.", flush=True)
    status = subprocess.run([sys.executable, str(RECIPE), "--output_dir", str(TABLE)]).returncode
    if status:
        raise RuntimeError(f"the training ended with status {status}; what it said stands above.")
    return DRAWN_FACES_RUN


def main() -> None:
    """Serve the page until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=os.environ.get("MODEL_ID"), help="a folder or a name on the Hub")
    parser.add_argument("--port", type=int, help="default: 7860, or the next that is free")
    args = parser.parse_args()
    with user_errors():
        page = build(load_checkpoint(args.model or str(drawn_faces_checkpoint())))
        theme = gr.themes.Default(primary_hue="sky", font=["system-ui", "sans-serif"], font_mono="monospace")
        page.launch(server_port=args.port, theme=theme, css=CSS, footer_links=[], ssr_mode=False)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
