"""What engines say of their containers: names, labels and images, kept up to date by each engine's events."""
