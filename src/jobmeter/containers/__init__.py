"""Whose cgroup is this? Paths of cgroups, and the names of the containers that own them."""
