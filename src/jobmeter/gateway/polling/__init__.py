"""When a forge is asked for a task, and who holds which slot. No sockets here."""
