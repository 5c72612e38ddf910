"""The daemon between runners and a forge: one poller per runner, runner metrics, bytes passed as they are."""
