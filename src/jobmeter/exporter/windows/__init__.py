"""Containers of Windows hosts, as the Docker engine of each tells of them over the network."""
