"""The service that stores runs and answers questions about them."""
