"""What every daemon shows of itself over HTTP: health, readiness, metrics."""
