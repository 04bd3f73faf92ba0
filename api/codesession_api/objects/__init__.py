"""Where files live: an S3 server or, in the embedded default, a directory, behind `ports.Objects`."""

from __future__ import annotations

from codesession_api import tracing
from codesession_api.objects.traced import TracedObjects
from codesession_api.ports import Objects
from codesession_api.settings import Settings


async def open_objects(settings: Settings) -> Objects:
    """Raises ObjectsUnavailable when the directory cannot be used."""
    objects = await _open(settings)
    return TracedObjects(objects) if tracing.is_on() else objects


async def _open(settings: Settings) -> Objects:
    if settings.s3_endpoint is not None:
        from codesession_api.objects.s3 import S3Objects

        return await S3Objects.open(settings)
    from codesession_api.objects.local import LocalObjects

    return LocalObjects(settings.local_directory / "objects")
