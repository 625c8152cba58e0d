"""What backends are written in: one import for those of this package and of others.

from toolkit.generation.backends.base import Backend, Options, Reply, Request, Transient
"""

from toolkit.generation.backends.http import Server, ServerOptions
from toolkit.generation.core.options import Options, read_options
from toolkit.generation.core.protocol import (
    Adapted,
    Backend,
    BadRequest,
    CallError,
    Fatal,
    Origin,
    Refused,
    Reply,
    Request,
    Transient,
    Usage,
)

__all__ = [
    "Adapted",
    "Backend",
    "BadRequest",
    "CallError",
    "Fatal",
    "Options",
    "Origin",
    "Refused",
    "Reply",
    "Request",
    "Server",
    "ServerOptions",
    "Transient",
    "Usage",
    "read_options",
]
