"""The caption of a chart as HTML: its heading, what it shows, its legend."""

from jobmeter.report.charts import Chart
from jobmeter.report.html_parts import text


def caption(chart: Chart) -> str:
    """What stands above the picture; its colours are classes of the style sheet."""
    signs = "".join(
        f'<li><i class="in-{text(sign.colour)} {text(sign.form)}"></i>{text(sign.label)}</li>'
        for sign in chart.legend
    )
    said = f"<p>{text(chart.description)}</p>" if chart.description else ""
    asked = f"<details><summary>query</summary><code>{text(chart.question)}</code></details>"
    return (
        f"<b>{text(chart.title)}</b>{said}{asked if chart.question else ''}"
        f'<ul class="legend" aria-hidden="true">{signs}</ul>'
    )
