"""What a referee is told: whom it asks, what, and how much at once."""

from msgspec import Struct

from jobmeter.model.job import Job
from jobmeter.referee.queries import NamedQuery
from jobmeter.referee.selectors import Executor, fill, selector_of, values_of
from jobmeter.referee.spans import MAX_POINTS, MAX_RANGE_SECONDS


class PrometheusOptions(Struct, frozen=True, kw_only=True):
    """One Prometheus below a URL, which may hold a path, a user name and a password. Durations in seconds.

    ``headers`` are sent with each question, beside those of ``token``, ``user`` with ``password``, and ``tenant``
    (X-Scope-OrgID). With ``ca_cert`` its certificate must be of these authorities; ``client_cert`` and ``client_key``
    are what we show of us. ``place`` is what sentences about these files begin with.
    """

    address: str
    token: str | None = None
    user: str | None = None
    password: str | None = None
    tenant: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    timeout: float = 10.0
    max_answer_bytes: int = 16 * 1024 * 1024
    place: str = "prometheus"


class RefereeOptions(Struct, frozen=True, kw_only=True):
    """What it asks of each job. ``scrape_interval`` is how often targets are scraped; durations in seconds.

    Which series are a job's is said by ``executors``, by ``selector``, a template of matchers, or by both.
    """

    prometheus: PrometheusOptions
    queries: tuple[NamedQuery, ...]
    interval: float = 10.0
    scrape_interval: float = 15.0
    executors: tuple[Executor, ...] = ()
    selector: str = ""
    max_points: int = MAX_POINTS
    max_range: float = MAX_RANGE_SECONDS
    max_series: int = 100
    max_bytes: int = 64 * 1024 * 1024
    parallel: int = 8

    def selector_of(self, job: Job, task: str | None) -> str:
        """The matchers of one job, without braces. Raises UsageError for what is not known of it."""
        values = values_of(job, task)
        parts = (selector_of(self.executors, values), fill(self.selector, values))
        return ",".join(part for part in parts if part)
