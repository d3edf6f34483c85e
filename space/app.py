"""Try a model of ordered classes on an image, in a browser.

The model of the drawn faces:             uv run --extra app python space/app.py
Any other, a folder or a name on the Hub: uv run --extra app python space/app.py --model REPO_OR_DIR
On a Space the variable MODEL_ID names the model.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path

import gradio as gr
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from transformers import AutoConfig, Pipeline, pipeline
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

import squared_emd.hub
import squared_emd.vision  # noqa: F401  (as the hub, it registers what loading a model needs)
from squared_emd import load_ground_distance, plot
from squared_emd.data.synthetic.drawn_people import LABELS_FILE, draw_faces
from squared_emd.ground_distance.model_config import class_names_of

DRAWN_FACES = Path(__file__).resolve().parents[1] / "model_cards" / "drawn-faces"
RULES = {
    "argmax": "the likeliest class",
    "median": "the first class at which half of the probability is reached",
    "expected": "the class whose score is nearest to the expected score",
    "min_distance": "the class with the least expected distance under D",
}
LIMITS = """### Its limits
**Do not judge people by it.** The result is a guess from pixels, and often wrong; for some people more often than for
others. It must not decide about anybody, such as whether someone is old enough for something. The expected score and
the median mean something only where the classes have an order. An image is sent to the program that serves this page,
and nowhere else."""
DRAWINGS = """The faces it was trained on, and the examples here, are **drawings** made by a program; they show no
person. Its predictions for a photograph mean nothing."""


def load_model(name: str) -> Pipeline:
    """The pipeline of a saved image classifier, a folder or a name on the Hub; a ValueError says why there is none."""
    try:
        kind = AutoConfig.from_pretrained(name).model_type
        if kind not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES:
            raise ValueError(f"a model of type {kind!r} is not an image classifier")
        return pipeline("ordinal-image-classification", model=name)
    except Exception as error:  # transformers, timm, huggingface_hub and safetensors each raise their own
        reason = str(error).strip().partition("\n")[0].rstrip(".:")
        raise ValueError(
            f"the model {name!r} cannot be loaded: {reason}. Give the folder of a saved image classifier (config.json, "
            "model.safetensors), or the name of one on the Hub."
        ) from error


def draw_distance(name: str, class_names: list[str], row: int | None = None) -> Figure | None:
    """D as a heat map with the row of the predicted class marked; None for a model without D."""
    try:
        matrix = load_ground_distance(name)
    except (OSError, ValueError):
        return None
    figure = plot.heat_map(matrix, class_names=class_names, title="Ground distance D between the classes")
    if row is not None and len(figure.axes[0].texts):  # above 20 classes a row is too thin to be marked
        size = len(class_names)
        figure.axes[0].add_patch(Rectangle((-0.5, row - 0.5), size, 1, fill=False, edgecolor="#D55E00", linewidth=3))
    return figure


def classify(
    model: Pipeline, name: str, image: Image.Image | None
) -> tuple[dict[str, float], str, list[list[str]], Figure | None]:
    """The probabilities, the expected score, the class under each rule, and D."""
    class_names = class_names_of(model.model.config)
    if image is None:
        return {}, "", [], draw_distance(name, class_names)
    rows = []
    for rule, meaning in RULES.items():
        try:
            prediction = model(image, rule=rule)
        except ValueError as error:
            if rule != "min_distance":
                raise gr.Error(str(error)) from error
            rows.append([rule, "needs D, which this model does not have", meaning])
        else:
            rows.append([rule, prediction["label"], meaning])
    shares = {entry["label"]: entry["score"] for entry in prediction["distribution"]}
    score = f"{prediction['expected_score']:.2f} ± {prediction['spread']:.2f} (standard deviation)"
    return shares, score, rows, draw_distance(name, class_names, class_names.index(max(shares, key=shares.get)))


def describe(model: Pipeline, name: str) -> str:
    """What the model is, and where its D comes from, as Markdown."""
    emd = getattr(model.model.config, "emd", None) or {}
    shown = Path(name).name if Path(name).is_dir() else name  # no path of the server
    text = f"### The model\n`{shown}` has {model.model.config.num_labels:,} classes"
    text += f" and was trained with the loss `{emd['loss']}`. " if "loss" in emd else ". "
    if not getattr(model.model.config, "ground_distance", None):
        return f"{text}It has no D. Models trained with the losses `xemd`, `xemd1` and `xemd2` learn one."
    text += "`D[i, j]` is the ground distance between the classes i and j. "
    if emd.get("sdd") is None:  # the spread of learned distances
        return f"{text}It was given to the training, not learned."
    text += "It was learned from the distances between the classes' mean features (Hou et al. 2016, section 3.1)"
    return text + (f", blended with a given one ({emd['geometry']})." if emd.get("geometry") else ".")


def example_faces() -> list[str]:
    """A drawn face of each age group, youngest first, drawn with another seed than those of the training."""
    folder = draw_faces(Path(tempfile.mkdtemp()), num_faces=98, seed=1)
    with open(folder / LABELS_FILE, newline="", encoding="utf-8") as file:
        first = {row["label"]: str(folder / row["image"]) for row in reversed(list(csv.DictReader(file)))}
    return [first[label] for label in sorted(first, key=lambda label: int(label.partition("-")[0]))]


def build_page(name: str) -> gr.Blocks:
    """The page for a model."""
    model = load_model(name)
    with gr.Blocks(title="Classes with distances", analytics_enabled=False) as page:
        gr.Markdown("# Try a model of ordered classes on an image")
        with gr.Row():
            with gr.Column():
                image = gr.Image(type="pil", image_mode=None, label="Image")  # 16 bits stay 16 bits
                if Path(name).resolve() == DRAWN_FACES:
                    gr.Markdown(DRAWINGS)
                    gr.Examples(example_faces(), image, label="Drawn faces, youngest first")
            with gr.Column():
                shares = gr.Label(label="Probability of each class", num_top_classes=10)
                score = gr.Textbox(label="Expected score", interactive=False)
                rules = gr.Dataframe(headers=["rule", "class", "meaning"], label="The class under each rule", wrap=True)
        distance = gr.Plot(draw_distance(name, class_names_of(model.model.config)), label="Ground distance")
        gr.Markdown(describe(model, name))
        gr.Markdown(LIMITS)
        outputs = [shares, score, rules, distance]
        image.change(lambda given: classify(model, name, given), image, outputs, api_name="classify")
    return page


def main() -> None:
    """Serve the page until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=os.environ.get("MODEL_ID"), help="a folder or a name on the Hub")
    parser.add_argument("--port", type=int, help="default: 7860, or the next that is free")
    args = parser.parse_args()
    if not args.model and not (DRAWN_FACES / "model.safetensors").is_file():
        sys.exit(
            "app.py: --model or the variable MODEL_ID must name a model, a folder or a name on the Hub; neither is "
            f"given, and there is no model.safetensors in {DRAWN_FACES}. Train one (python recipes/adience.py) and "
            "give its folder."
        )
    try:
        page = build_page(args.model or str(DRAWN_FACES))
    except ValueError as error:
        sys.exit(f"app.py: {error}")
    page.launch(server_port=args.port)


if __name__ == "__main__":
    main()
