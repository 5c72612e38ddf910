"""Fakes and builders that several tests share: each is small enough to be read whole."""
