"""The two forms in which a repository is stored: its full path, or its name alone below its organization."""


def name_alone(organization: str, repository: str) -> str:
    """The repository without its organization, whichever form it has; a path of another one stays as it is."""
    return repository.removeprefix(f"{organization}/") if organization else repository


def both_forms(organization: str, repository: str) -> tuple[str, str]:
    """Its name alone and its full path."""
    name = name_alone(organization, repository)
    return name, f"{organization}/{name}"
