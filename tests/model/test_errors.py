"""The tree of errors."""

from __future__ import annotations

import inspect
import re

from jobmeter.model import errors


def test_the_drawing_is_the_tree() -> None:
    """Every class is drawn at its depth in the module's docstring, with its exit code."""
    classes = {
        name: cls
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.JobmeterError)
    }
    drawn = re.findall(
        r"^([ │├└─]*)(\w+)(?: +(?:exit code )?(\d+)?)?", inspect.getdoc(errors) or "", re.MULTILINE
    )
    tree = {name: (len(branch) // 4, code) for branch, name, code in drawn if name in classes}
    assert set(tree) == set(classes)
    for name, (depth, code) in tree.items():
        assert depth == len(classes[name].__mro__) - len(errors.JobmeterError.__mro__)
        if code:
            assert classes[name].exit_code == int(code)
