"""The host's daemon: every container as Prometheus series, from its first moment to a while after its last."""
