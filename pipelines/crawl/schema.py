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

FETCHED: Final = "fetched"
NOT_FETCHED: Final = "not_fetched"

# What a round does with an address of its frontier.
PLANNED: Final = "planned"  # asked for in this round
WAITING: Final = "waiting"  # its host has enough for this round
OVER_MAX_PAGES: Final = "over_max_pages"  # never asked for
REACHED: Final = "reached"  # a redirect of the round before led there, so it is known

FETCHES: Final = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),  # canonical, as it was asked for
        pa.field("kind", pa.string(), nullable=False),  # page, robots or sitemap
        pa.field("depth", pa.int32(), nullable=False),  # links from a seed; of a sitemap its level
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # null where fetched
        pa.field("message", pa.string()),
        pa.field("status", pa.int32()),  # of the last answer; null where there was none
        pa.field("final_url", pa.string()),  # behind all redirects; null where nothing was asked
        pa.field("media_type", pa.string()),  # as declared, else as the bytes show
        pa.field("digest", ID),  # blake2b of the payload, its content encoding undone; where kept
        pa.field("bytes", pa.int64()),  # of the body as sent; where kept
        pa.field("offset", pa.int64()),  # of the response record; null where none is archived
        pa.field("length", pa.int64()),  # bytes of that record in the file
        pa.field("tries", pa.int32(), nullable=False),  # requests made, redirects included
        pa.field("seconds", pa.float64(), nullable=False),  # all requests, without pauses
    ]
)

LINKS: Final = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),  # canonical, in scope, each once a part
        pa.field("kind", pa.string(), nullable=False),  # page or sitemap
        pa.field("depth", pa.int32(), nullable=False),
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
    ]
)
