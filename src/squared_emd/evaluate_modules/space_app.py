"""Try the metric of this folder in a browser: ``python app.py``; needs gradio."""

import json
import re
from pathlib import Path
from typing import Any

import evaluate

NAME = "squared_emd"  # of the metric; write_space puts that of the folder here
FOLDER = Path(__file__).resolve().parent


def build() -> Any:
    """The page: a table of samples, the settings, the results, and the metric card below."""
    import gradio as gr

    metric = evaluate.load(str(FOLDER / f"{NAME}.py"), keep_in_memory=True)
    rows = [[json.dumps(value) for value in pair] for pair in zip(*metric.example.values(), strict=True)]

    def compute(table: list[list[str]], settings: str) -> dict:
        samples = [row for row in table if any(str(cell).strip() for cell in row)]
        try:
            predictions, references = ([json.loads(str(row[column])) for row in samples] for column in (0, 1))
            options = json.loads(settings.strip() or "{}")
            return metric.compute(predictions=predictions, references=references, **dict(options))
        except json.JSONDecodeError as error:
            said = f'Each cell holds a number or a list like [0.1, 0.9], settings an object like {{"x": 1}}: {error}'
            raise gr.Error(said, print_exception=False) from None
        except (RecursionError, ValueError, TypeError, ImportError) as error:
            raise gr.Error(str(error), print_exception=False) from None

    card = re.sub(r"\A---\n.*?\n---\n", "", (FOLDER / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    with gr.Blocks(title=metric.name) as page:
        gr.Markdown("# {}\n\n{}".format(metric.name, metric.description.partition("\n\n")[0]))
        with gr.Row():
            with gr.Column():
                table = gr.Dataframe(
                    rows, headers=["predictions", "references"], type="array", datatype="str", label="One sample a row"
                )
                settings = gr.Textbox(label="Settings (JSON, optional)", placeholder="{}")
                button = gr.Button("Compute", variant="primary")
            results = gr.JSON(label="Results")
        button.click(compute, [table, settings], results)
        gr.Markdown(card)
    return page


if __name__ == "__main__":
    build().launch()
