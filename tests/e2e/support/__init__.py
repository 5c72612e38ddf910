"""What the end-to-end tests stand on: containers, a virtual machine, cgroups, a browser, workloads."""
