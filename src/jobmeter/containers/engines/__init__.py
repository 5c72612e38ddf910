"""One module per container engine.

Each has ``NAME`` and ``find_id(parts, index)``: the id of the
container whose own cgroup directory is ``parts[index]`` of a path split at its slashes, else None.
They look at names only, never raise, and are asked in the order of ``jobmeter.containers.cgroup_path``.
"""
