"""One run as text: terminal, Markdown, HTML, CSV, OpenMetrics, and two runs compared. Everything here is pure."""
