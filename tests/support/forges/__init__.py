"""Small forges on loopback that keep the recorded wire, and misbehave when they are told to."""
