"""One run as text: terminal, Markdown, HTML, CSV, OpenMetrics, and two runs compared. All of it is pure."""
