"""How names are stored: a repository by its full path, or by its name alone below its organization; none with a NUL.

What is looked for in any case of letters is stored in one case: databases know the letters of some languages only.
"""

import unicodedata


def name_alone(organization: str, repository: str) -> str:
    """The repository without its organization, whichever form it has; a path of another one stays as it is."""
    return repository.removeprefix(f"{organization}/") if organization else repository


def both_forms(organization: str, repository: str) -> tuple[str, str]:
    """Its name alone and its full path."""
    name = name_alone(organization, repository)
    return name, f"{organization}/{name}"


def ref_forms(ref: str) -> tuple[str, ...]:
    """The refs that people may mean: of ``main`` the branch and the tag, too; a whole one is itself alone."""
    return (
        (ref,) if ref.startswith("refs/") else (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}")
    )


def folded(text: str) -> str:
    """The same for texts that differ by the case of their letters alone."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def can_be(*names: str | None) -> bool:
    """Whether something may be stored under these names: no text has a NUL in it, and PostgreSQL takes none."""
    return not any(name and "\0" in name for name in names)
