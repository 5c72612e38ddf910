"""The dashboards of deploy/observability as code."""
