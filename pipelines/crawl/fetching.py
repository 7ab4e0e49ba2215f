"""One address asked for until there is an answer, and the answer unpacked and written.

What a visit of pages and the reading of a site's own rules have in common: tries, pauses between
them, content encodings, the draft of the archive.
"""

from typing import Final

from pipelines.config import CrawlConfig
from pipelines.crawl.archive import Draft, renewed
from pipelines.crawl.exchange import BUSY_STATUS, Exchange, Limits, NotFetched
from pipelines.crawl.lanes import Lanes
from pipelines.crawl.pace import MAX_PAUSE_S
from pipelines.crawl.schema import FETCHED
from pipelines.crawl.targets import Visit
from pipelines.extract.http_message import BrokenMessage, Response, decode_body
from pipelines.extract.uris import host_of
from pipelines.workspace.schema import payload_digest

_REASON_OF_BODY: Final = {
    "too_large": "unpacked_too_large",
    "unknown_content_encoding": "bad_encoding",
    "broken_content_encoding": "bad_encoding",
    "truncated_record": "truncated_body",
}


class Fetcher:
    """Asks and writes for one host's visit.

    Args:
        lanes: Of the part.
        config: Retries.
        draft: Where answers are written.
    """

    def __init__(self, lanes: Lanes, config: CrawlConfig, draft: Draft) -> None:
        self._lanes = lanes
        self._retries = config.retries
        self._draft = draft

    async def ask(
        self, visit: Visit, url: str, limits: Limits, retries: int | None = None
    ) -> Exchange:
        """An answer, after further tries where they may help.

        Args:
            visit: Gains tries and seconds.
            url: Canonical.
            limits: What the answer may be.
            retries: Further tries; by default those of the configuration.

        Raises:
            NotFetched: There is no answer to keep.
        """
        lane = self._lanes.of(host_of(url) or "")
        attempt, most = 0, self._retries if retries is None else retries
        while True:
            visit.tries += 1
            try:
                made = await lane.get(url, limits)
            except NotFetched as error:
                visit.seconds += error.seconds
                attempt += 1
                pause = error.retry_after_s
                if pause is None:
                    pause = min(MAX_PAUSE_S, lane.pace.least_s * 2**attempt)
                # Who is asked to come back tomorrow should not come back in a minute.
                may_try = error.is_passing and pause <= MAX_PAUSE_S
                if attempt > most or not may_try:
                    raise
                lane.hold(pause)
            else:
                visit.seconds += made.seconds
                return made

    def payload(self, made: Exchange, max_bytes: int) -> bytes:
        """The body with its content encodings undone.

        Raises:
            NotFetched: They are broken, or there is more behind them than `max_bytes`.
        """
        made.body.seek(0)
        fields: dict[str, str] = {}
        for name, value in made.fields:
            fields.setdefault(name, value)
        fields.pop("transfer-encoding", None)
        response = Response(made.status, fields, made.body.read())
        try:
            return decode_body(response, max_bytes=max_bytes)
        except BrokenMessage as error:
            reason = _REASON_OF_BODY[error.reason]
            raise NotFetched(reason, str(error), status=made.status) from error

    def write(self, visit: Visit, made: Exchange, payload: bytes) -> None:
        """Writes a response; the visit gains its place and, where it is kept, what is held."""
        visit.digest = payload_digest(payload)
        visit.num_bytes = made.num_bytes
        visit.extent, held = self._draft.write(made, visit.digest)
        visit.held = held if visit.outcome == FETCHED else visit.held

    def write_revisit(self, visit: Visit, made: Exchange, profile: str) -> None:
        """Writes a revisit of what the visit holds."""
        assert visit.held is not None, "a revisit repeats something"
        visit.digest = visit.held.digest
        visit.num_bytes = made.num_bytes
        visit.revisit_profile = profile
        visit.extent = self._draft.write_revisit(made, visit.held, profile)
        visit.held = renewed(visit.held, made)


def is_left_alone(error: NotFetched) -> bool:
    """Whether a host asks for a pause that is longer than any that a round waits."""
    wants = error.retry_after_s or 0.0
    return error.status in BUSY_STATUS and wants > MAX_PAUSE_S
