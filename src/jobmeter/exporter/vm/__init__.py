"""Containers of virtual machines: a stream of their statistics, served within a machine, subscribed to on its host."""
