"""Both forms of a repository."""

from __future__ import annotations

import pytest

from jobmeter.receiver.store.forms import both_forms, name_alone


@pytest.mark.parametrize(
    "organization, repository, name",
    [
        ("acme", "engine", "engine"),
        ("acme", "acme/engine", "engine"),
        ("acme", "other/engine", "other/engine"),
        ("acme", "acmeengine", "acmeengine"),
        ("group/sub", "group/sub/engine", "engine"),
        ("", "acme/engine", "acme/engine"),
    ],
)
def test_the_name_alone_is_that_below_its_organization(organization: str, repository: str, name: str) -> None:
    """A path of another organization stays as it is."""
    assert name_alone(organization, repository) == name
    assert both_forms(organization, repository) == (name, f"{organization}/{name}")
