"""Starts one official runner for each task, once, and has it work for a registration of the gateway's own."""
