"""gs:// as tokenmill uses it: gcsfs with patience, without remembered listings.

Registered with fsspec by `storage.py`, so that inputs are read through it too. Credentials are
Google's application default ones. Buckets are used through the JSON interface alone; gcsfs would
ask every bucket by gRPC first whether it is a zonal one.
"""

import logging
from typing import Any, Final

import aiohttp
import requests
from gcsfs.core import GCSFileSystem
from gcsfs.retry import ChecksumError, HttpError
from google.auth import exceptions as auth

from pipelines.workspace.patience import (
    PASSING_STATUS,
    READ_TIMEOUT_S,
    StoreDenied,
    StoreError,
    patiently,
)

# It logs every error that it gives up on, with a traceback; ours are raised, and told once.
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)

_CREDENTIALS: Final = (
    "Credentials are Google's application default ones: GOOGLE_APPLICATION_CREDENTIALS, else those "
    "of `gcloud auth application-default login`, else the service account of the machine; they "
    "need the role Storage Object User (roles/storage.objectUser) on the bucket"
)
_once: Final = GCSFileSystem._request.__wrapped__  # without the repetitions of gcsfs


class PatientGCS(GCSFileSystem):
    """Google Cloud Storage with every request repeated by our rule, and by no other."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - those of gcsfs
        """Args: those of gcsfs."""
        # Another process may add a file at any time: a remembered listing is not the truth.
        kwargs.setdefault("use_listings_cache", False)
        kwargs.setdefault("consistency", "md5")  # of what was sent, with what arrived
        kwargs.setdefault(
            "requests_timeout",
            aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=READ_TIMEOUT_S),
        )
        super().__init__(*args, **kwargs)

    @staticmethod
    def passes(error: BaseException) -> bool:
        """Whether the same request may succeed later."""
        return passes(error)

    async def _request(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        async def once() -> Any:  # noqa: ANN401
            return await _once(self, method, path, *args, **kwargs)

        bucket = f"gs://{args[0] if args else _bucket_of(path)}"
        try:
            # `Storage.create` repeats the former, and looks what became of it; `Storage.publish`
            # the latter, from the first byte: whether a piece whose answer was lost has arrived,
            # only the session knows.
            if kwargs.get("ifGenerationMatch") == "0" or "upload_id=" in path:
                return await once()
            return await patiently(once, place=bucket, passes=passes)
        except Exception as error:
            told = _told(error, bucket, path)
            if told is None:
                raise
            raise told from error


def passes(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, HttpError):
        return str(error.code) in {str(status) for status in PASSING_STATUS}
    if isinstance(error, StoreError):
        return False
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return False
    if isinstance(error, auth.GoogleAuthError):
        return isinstance(error, auth.TransportError) or bool(getattr(error, "retryable", False))
    away = (aiohttp.ClientError, requests.RequestException, ChecksumError, ConnectionError)
    return isinstance(error, (*away, TimeoutError))


def _bucket_of(path: str) -> str:
    """The bucket in the address of a request."""
    _, _, after = path.partition("/b/")
    return after.split("/")[0].split("?")[0]


def _told(error: Exception, bucket: str, path: str) -> Exception | None:
    """An error in words that say what to do; None for one that stays as it is."""
    code = str(error.code) if isinstance(error, HttpError) else ""
    if isinstance(error, FileNotFoundError) and path.split("?")[0].endswith("/o"):
        return StoreError(f"{bucket} does not exist; make it, or correct the URL")
    forbidden = type(error) is OSError and str(error).startswith("Forbidden")
    if forbidden or code in ("401", "403"):
        return StoreDenied(f"{bucket}: the store refuses us ({code or 403}). {_CREDENTIALS}")
    if isinstance(error, auth.GoogleAuthError) and not passes(error):
        told = type(error).__name__
        return StoreDenied(f"{bucket}: there are no credentials ({told}). {_CREDENTIALS}")
    return None
