"""What a crawl writes: fetches, links and frontiers, as Arrow schemas.

A frontier is the plan of one round: which addresses are asked for, in which part, and what waits or
is left over. A fetch is one address that was asked for, with what became of it. A link is an
address that a page, a sitemap, robots.txt or a redirect named and that the crawl may follow.
"""

from typing import Final

import pyarrow as pa

from pipelines.workspace.schema import ID

# What an address is asked for as.
PAGE: Final = "page"
ROBOTS: Final = "robots"
SITEMAP: Final = "sitemap"
POLICY: Final = "policy"  # what a site says of the training of models: ai.txt, tdmrep.json

FETCHED: Final = "fetched"
NOT_FETCHED: Final = "not_fetched"

# What a round does with an address of its frontier.
PLANNED: Final = "planned"  # asked for in this round
WAITING: Final = "waiting"  # its host has enough for this round
OVER_HOST_PAGES: Final = "over_max_pages_per_host"  # not asked for in this pass
OVER_MAX_PAGES: Final = "over_max_pages"  # likewise
REACHED: Final = "reached"  # a redirect of the round before led there, so it is known

HELD: Final = pa.struct(
    [
        pa.field("etag", pa.string()),
        pa.field("last_modified", pa.string()),
        pa.field("digest", ID),  # of the payload
        pa.field("sent_digest", pa.string()),  # of the body as sent, as WARC writes it
        pa.field("record_id", pa.string()),  # of the response record that holds the payload
        pa.field("record_date", pa.timestamp("us", tz="UTC")),
        pa.field("record_uri", pa.string()),
    ]
)
"""What the crawl holds of an address, for asking whether it has changed."""

FETCHES: Final = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),  # canonical, as it was asked for
        pa.field("kind", pa.string(), nullable=False),  # page, robots, sitemap or policy
        pa.field("depth", pa.int32(), nullable=False),  # links from a seed; of a sitemap its level
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # null where fetched
        pa.field("message", pa.string()),
        pa.field("status", pa.int32()),  # of the last answer; null where there was none
        pa.field("final_url", pa.string()),  # behind all redirects; null where nothing was asked
        pa.field("media_type", pa.string()),  # as declared, else as the bytes show
        pa.field("digest", ID),  # blake2b of the payload, its content encoding undone; where kept
        pa.field("bytes", pa.int64()),  # of the body as sent; where kept
        pa.field("offset", pa.int64()),  # of response or revisit; null where none is archived
        pa.field("length", pa.int64()),  # bytes of that record in the file
        pa.field("tries", pa.int32(), nullable=False),  # requests made, redirects included
        pa.field("seconds", pa.float64(), nullable=False),  # all requests, without pauses
        pa.field("revisit", pa.string()),  # profile of the revisit record; null where none is
        pa.field("held", HELD),  # after this fetch, also after one that failed; null: nothing
    ]
)

LINKS: Final = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),  # canonical, in scope, each once a part
        pa.field("kind", pa.string(), nullable=False),  # page or sitemap
        pa.field("depth", pa.int32(), nullable=False),
        pa.field("host", pa.string(), nullable=False),
        pa.field("host_key", pa.uint64(), nullable=False),  # see `known`
        pa.field("url_key", pa.uint64(), nullable=False),
    ]
)

FRONTIER: Final = pa.schema(
    [
        pa.field("state", pa.string(), nullable=False),
        pa.field("part", pa.int32()),  # where planned
        pa.field("host", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("depth", pa.int32(), nullable=False),
        pa.field("found", pa.int32(), nullable=False),  # number of the round that knew it first
        pa.field("turn", pa.int32(), nullable=False),  # rounds in which its host had no time for it
        pa.field("host_key", pa.uint64(), nullable=False),
        pa.field("url_key", pa.uint64(), nullable=False),
        pa.field("held", HELD),  # by an earlier pass
    ]
)
