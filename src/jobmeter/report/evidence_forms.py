"""Evidence in the forms that `--format` names."""

from jobmeter.model.evidence import compat
from jobmeter.model.evidence.document import Evidence, encode


def written(document: Evidence, form: str) -> bytes:
    """In ``full``, ``compat``, ``markdown`` or ``html``, for which charts must be installed. Takes a while if large."""
    match form:
        case "compat":
            return compat.encode(document)
        case "markdown":
            from jobmeter.report.evidence import render_evidence_markdown

            return render_evidence_markdown(document).encode()
        case "html":
            from jobmeter.report.evidence_html import render_evidence_html

            return render_evidence_html(document).encode()
    return encode(document)
