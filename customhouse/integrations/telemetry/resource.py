"""The OpenTelemetry Resource: who speaks, in the attribute names of the semantic conventions."""

from __future__ import annotations

import os
import platform
import socket

from opentelemetry.sdk.resources import Resource
from opentelemetry.semconv._incubating.attributes import host_attributes, os_attributes, process_attributes
from opentelemetry.semconv._incubating.attributes.deployment_attributes import DEPLOYMENT_ENVIRONMENT_NAME
from opentelemetry.semconv._incubating.attributes.service_attributes import SERVICE_INSTANCE_ID, SERVICE_NAMESPACE
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION
from opentelemetry.semconv.schemas import Schemas

from customhouse.integrations.telemetry.settings import TelemetrySettings

NAMESPACE = "customhouse"


def build_resource(settings: TelemetrySettings) -> Resource:
    """Add to what `OTEL_RESOURCE_ATTRIBUTES` says; our own names win.

    The SDK's process detector is left out: it exports the command line, which may bear secrets.
    """
    attributes: dict[str, str | int] = {
        SERVICE_NAME: settings.service_name,
        SERVICE_NAMESPACE: NAMESPACE,
        SERVICE_VERSION: settings.service_version,
        SERVICE_INSTANCE_ID: settings.instance_id,
        process_attributes.PROCESS_PID: os.getpid(),
        process_attributes.PROCESS_RUNTIME_NAME: platform.python_implementation().lower(),
        process_attributes.PROCESS_RUNTIME_VERSION: platform.python_version(),
        host_attributes.HOST_NAME: socket.gethostname(),
        host_attributes.HOST_ARCH: platform.machine(),
        os_attributes.OS_TYPE: platform.system().lower(),
    }
    if settings.environment is not None:
        attributes[DEPLOYMENT_ENVIRONMENT_NAME] = settings.environment
    return Resource.create(attributes, schema_url=Schemas.V1_40_0.value)
