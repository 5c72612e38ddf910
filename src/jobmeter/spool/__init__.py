"""Bounded, ordered, durable hand-over of records; a journal record is a stream part."""
