"""s3:// as tokenmill uses it: s3fs with patience, without remembered listings.

Registered with fsspec by `storage.py`, so that inputs are read through it too. Credentials come
from where every AWS client looks: environment, profile, the machine's own role. The endpoint of
another store that speaks S3 is AWS_ENDPOINT_URL; it must honour `If-None-Match: *` on PUT, which
the lease tries out.
"""

import os
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from fsspec.asyn import sync_wrapper
from s3fs.core import S3FileSystem, _error_wrapper

from pipelines.workspace.patience import (
    PASSING_STATUS,
    READ_TIMEOUT_S,
    StoreDenied,
    StoreError,
    patiently,
)

_PASSING_CODES: Final = {
    "ConditionalRequestConflict",  # two conditional writes at once: S3 asks to send it again
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}
_DENIED_CODES: Final = {
    "401",
    "403",
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_REGION_CODES: Final = {"301", "AuthorizationHeaderMalformed", "PermanentRedirect"}
_NO_CREDENTIALS: Final = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
_CREDENTIALS: Final = (
    "Credentials are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with "
    "AWS_SESSION_TOKEN), else from AWS_PROFILE and ~/.aws, else from the role of the machine; they "
    "need s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject in it"
)


class PatientS3(S3FileSystem):
    """S3 with every request repeated by our rule, and by no other."""

    retries = 8  # of bodies that end too early; s3fs repeats the read, the requests are ours
    read_timeout = READ_TIMEOUT_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - those of s3fs
        """Args: those of s3fs."""
        # Another process may add a file at any time: a remembered listing is not the truth.
        kwargs.setdefault("use_listings_cache", False)
        once = {"retries": {"total_max_attempts": 1, "mode": "standard"}}
        kwargs["config_kwargs"] = {**once, **(kwargs.get("config_kwargs") or {})}
        super().__init__(*args, **kwargs)

    @staticmethod
    def passes(error: BaseException) -> bool:
        """Whether the same request may succeed later."""
        return passes(error)

    async def _call_s3(self, method: str, *akwarglist: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        async def once() -> Any:  # noqa: ANN401
            await self.set_session()
            client = await self.get_s3(kwargs.get("Bucket"))
            bound = getattr(client, method)
            asked = self._get_s3_method_kwargs(bound, *akwarglist, **kwargs)
            return await _error_wrapper(bound, kwargs=asked, retries=1)

        bucket = f"s3://{kwargs.get('Bucket', '')}"
        try:
            if "IfNoneMatch" in kwargs:  # `Storage.create` repeats it, and looks what became of it
                return await once()
            return await patiently(once, place=bucket, passes=passes)
        except Exception as error:
            told = _told(error, bucket, kwargs.get("Key") or kwargs.get("Prefix") or "")
            if told is None:
                raise
            raise told from error

    call_s3 = sync_wrapper(_call_s3)

    async def _cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:  # noqa: ANN401
        # One GET: s3fs would ask for the size first, to read large files in pieces side by side.
        kwargs.setdefault("max_concurrency", 1)
        data: bytes = await super()._cat_file(path, *args, **kwargs)
        return data


def passes(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    status, code = _answer(error)
    if code or status:
        return code in _PASSING_CODES or status in PASSING_STATUS
    if isinstance(error, StoreError):
        return False
    if isinstance(error, SSLError):
        return "CERTIFICATE" not in str(error).upper()
    # A refused connection is no HTTPClientError to botocore, so s3fs alone would give up at once.
    ours = (BotoConnectionError, HTTPClientError, ResponseParserError, aiohttp.ClientError)
    return isinstance(error, (*ours, ConnectionError, TimeoutError))


def _answer(error: BaseException) -> tuple[int, str]:
    """Status and code of the store's answer; 0 and an empty text where it gave none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return int(status), str(response.get("Error", {}).get("Code", ""))
    return 0, ""


def _told(error: Exception, bucket: str, key: str) -> Exception | None:
    """An error in words that say what to do; None for one that stays as it is."""
    status, code = _answer(error)
    at = f"{bucket}/{key}{_endpoint()}"
    if status == 412 or code == "PreconditionFailed":
        return FileExistsError(at)  # other stores say it in fewer words than S3, which s3fs expects
    if code == "NoSuchBucket":
        return StoreError(f"{bucket}{_endpoint()} does not exist; make it, or correct the URL")
    if code in _DENIED_CODES or status in (401, 403):
        return StoreDenied(f"{at}: the store refuses us ({code or status}). {_CREDENTIALS}")
    if code in _REGION_CODES or status == 301:
        return StoreError(f"{bucket} is in another region ({code}); set AWS_DEFAULT_REGION to it")
    if isinstance(error, _NO_CREDENTIALS):
        return StoreDenied(f"{at}: there are no credentials. {_CREDENTIALS}")
    if isinstance(error, BotoCoreError) and not passes(error):
        return StoreError(f"{at}: {type(error).__name__}: {str(error)[:200]}")
    return None


def _endpoint() -> str:
    """Where it is, if not at AWS; never what else the variable holds."""
    told = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    host = urlsplit(told).hostname
    return f" (at {host}, from AWS_ENDPOINT_URL)" if host else ""
