"""What metering costs. Each module is one benchmark and says its command; `make bench` runs them all."""
