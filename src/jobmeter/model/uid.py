"""The key of a run: a UUID of version 7 (RFC 9562), which sorts by time."""


def uuid7(unix_milliseconds: int, random: bytes) -> str:
    """The UUID of a time and 10 random bytes."""
    value = (unix_milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(random[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
