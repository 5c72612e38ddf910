"""`jobmeter report` of a document of evidence, as `jobmeter referee` writes it."""

from pathlib import Path

import msgspec
from msgspec import Struct

from jobmeter.model.errors import EvidenceError, UsageError
from jobmeter.model.evidence.document import Evidence, decode, encode

_BEGIN_BYTES = 4096
_NAME = b"jobmeter.evidence/"


class _Named(Struct):
    schema: str = ""


def evidence_in(path: str) -> Evidence | None:
    """The document in a file; None where it is something else, or cannot be read. Raises EvidenceError."""
    file = Path(path)
    try:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            text = opened.read(_BEGIN_BYTES)
            if _NAME not in text:
                return None
            text += opened.read()
        if not msgspec.json.decode(text, type=_Named).schema.startswith(_NAME.decode()):
            return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    try:
        return decode(text)
    except EvidenceError as error:
        raise EvidenceError(f"{path} cannot be shown: {error}") from None


def render_evidence(document: Evidence, form: str | None, *, width: int, colour: bool) -> str:
    """It in a form of `jobmeter report`. Raises UsageError for a form of runs alone."""
    match form:
        case None | "terminal":
            from jobmeter.report.evidence_terminal import render_evidence_terminal

            return render_evidence_terminal(document, width=width, colour=colour)
        case "json":
            return encode(document).decode()
        case "markdown":
            from jobmeter.report.evidence import render_evidence_markdown

            return render_evidence_markdown(document)
        case "html":
            from jobmeter.report.evidence_html import render_evidence_html

            return render_evidence_html(document)
    raise UsageError(f"--format {form} shows a run; evidence is shown as terminal, markdown, html or json")
