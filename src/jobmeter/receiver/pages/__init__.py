"""Pages for people: plain HTML made on the server, nothing loaded from elsewhere."""
