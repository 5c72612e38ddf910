"""`/metrics`: what a daemon counts of itself, in the form that the scraper asks for."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from jobmeter.ops.runtime import RuntimeCollector


def daemon_registry() -> CollectorRegistry:
    """A registry of one daemon, with what is known of any process: CPU, memory, descriptors, threads, garbage."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(RuntimeCollector())
    return registry


def exposition(registry: CollectorRegistry) -> ASGIApp:
    """Renders the registry for a scrape."""

    async def metrics(scope: Scope, receive: Receive, send: Send) -> None:
        encoder, content_type = choose_encoder(Request(scope).headers.get("accept", ""))
        await Response(encoder(registry), headers={"Content-Type": content_type})(scope, receive, send)

    return metrics
