"""`/debug/pprof/`: what a daemon is doing, in the form that `go tool pprof` and Pyroscope read.

``routes`` is where HTTP begins; all else here knows nothing of it.
"""
