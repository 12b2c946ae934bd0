"""Traces and metrics over OpenTelemetry, where the standard `OTEL_*` variables ask for them.

Otherwise nothing of it is imported. What is told are names, counts, bytes and seconds: never a text of a
run, a place, a setting or an error, since those may hold what is nobody else's business.

An exporter that nobody can reach, or a package that is missing, changes no answer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from resources.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.trace import Tracer

P = ParamSpec("P")
T = TypeVar("T")

Value = str | int | float | bool

NAME = "issuelake"
_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_COUNTED = {"rows": "{row}", "bytes": "By", "runs": "{run}", "issues": "{issue}"}
"""Attributes that are counters too, and their units."""


class Span:
    """What is being done; `tell` adds what becomes known of it."""

    def __init__(self, **attributes: Value) -> None:
        self.attributes = attributes

    def tell(self, **attributes: Value) -> None:
        self.attributes |= attributes


def asked() -> bool:
    """Whether the environment asks for traces or metrics."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporters = {os.environ.get(name) or "" for name in _EXPORTERS} - {"", "none"}
    return bool(exporters) or any(map(os.environ.get, _ENDPOINTS))


@contextmanager
def span(name: str, **attributes: Value) -> Iterator[Span]:
    """Tell how long what happens inside takes, and what it adds to the span.

    Raises `ConfigError` where the variables ask for what there is no exporter for.
    """
    told = Span(**attributes)
    if not asked() or (instruments := _instruments(os.getpid())) is None:
        yield told
        return
    from opentelemetry.trace import StatusCode

    started = time.perf_counter()
    labels: dict[str, Value] = {"operation": name}
    with instruments.tracer.start_as_current_span(
        f"{NAME}.{name}", record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield told
        except BaseException as error:
            labels["error.type"] = type(error).__name__
            current.set_status(StatusCode.ERROR)
            current.set_attribute("error.type", labels["error.type"])
            raise
        finally:
            current.set_attributes({f"{NAME}.{key}": value for key, value in told.attributes.items()})
            labels |= {key: value for key, value in told.attributes.items() if isinstance(value, str)}
            instruments.seconds.record(time.perf_counter() - started, labels)
            for key, counter in instruments.counters.items():
                if key in told.attributes:
                    counter.add(told.attributes[key], labels)  # type: ignore[arg-type]  # a number


def traced(name: str, told: Callable[..., dict[str, Value]]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator: each call is a span, of which `told(result, *arguments)` says more."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> T:
            if not asked():
                return function(*arguments, **named)
            with span(name) as current:
                result = function(*arguments, **named)
                current.tell(**told(result, *arguments))
                return result

        return call

    return decorate


class _Instruments:
    """What tells: a tracer, and what counts."""

    def __init__(self, tracer: Tracer, meter: Any) -> None:
        self.tracer = tracer
        self.seconds: Histogram = meter.create_histogram(f"{NAME}.duration", "s", "how long it took")
        self.counters: dict[str, Counter] = {
            key: meter.create_counter(f"{NAME}.{key}", unit) for key, unit in _COUNTED.items()
        }


@cache
def _instruments(process: int) -> _Instruments | None:  # noqa: ARG001  (a forked child has its own)
    for name in _EXPORTERS:
        if os.environ.get(name, "") not in ("", "none", "otlp"):
            raise ConfigError(f"{name} is {os.environ[name]}; there is otlp, or none.")
    for name in _PROTOCOLS:
        if os.environ.get(name, "") not in ("", "http/protobuf"):
            raise ConfigError(f"{name} is {os.environ[name]}; there is http/protobuf.")
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        return None
    resource = Resource.create({} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: NAME})
    tracers, readers = TracerProvider(resource=resource), []
    if os.environ.get("OTEL_TRACES_EXPORTER") != "none":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if os.environ.get("OTEL_METRICS_EXPORTER") != "none":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    meters = MeterProvider(readers, resource)
    # Both send what they have left when the process ends.
    return _Instruments(tracers.get_tracer(NAME), meters.get_meter(NAME))
