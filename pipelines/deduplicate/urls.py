"""Pages fetched under one address: which URIs are one page, and which fetch of it represents it.

Two documents are compared by a *comparison form*, which is looser than the canonical URI that names
a document (`pipelines.extract.uris`). It is the canonical URI without

- the scheme, for http and https, and the default port of either;
- a leading `www.` of the host, where a name of two labels or more is left;
- the fragment, and parameters that say where a click came from and not what is shown (`TRACKING`);
- a query in which nothing is left, and empty parameters.

Everything else tells pages apart: paths (`/a` and `/a/`, `/index.html`), capitals in them, and
parameters with their order. A URI of another scheme, or without a host, is compared with nothing:
a path in a folder is no address of a page.

The form is hashed to 128 bits (blake2b; some two of 10^12 addresses meet with a probability below
2 x 10^-15). The latest fetch represents a cluster, and one whose time is not known comes last:
of a page that changed, the last version is what the site stands by.
"""

import hashlib
import re
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from pipelines.deduplicate.exact import KEY, Clusters, clusters_of, decided, key_words
from pipelines.extract.uris import canonical_uri

TRACKING_PREFIXES: Final = ("utm_", "mtm_", "pk_")
"""Of campaign parameters: Google Analytics, Matomo, and Matomo as Piwik."""
TRACKING: Final = frozenset(
    (
        "gclid gclsrc dclid gbraid wbraid gad_source gad_campaignid srsltid _ga _gl "  # Google
        "fbclid fb_action_ids fb_action_types fb_ref fb_source igshid igsh "  # Meta
        "msclkid yclid ysclid _openstat twclid ttclid li_fat_id epik sccid "
        "mc_cid mc_eid mkt_tok ml_subscriber ml_subscriber_hash oly_anon_id oly_enc_id "
        "vero_id vero_conv _hsenc _hsmi __hssc __hstc __hsfp hsctatracking "
        "_kx __s wickedid rb_clickid s_cid irclickid _branch_match_id"
    ).split()
)
"""Names of parameters that only follow a click or the reader of a newsletter, in lower case.

From the lists by which browsers clean links: Brave's (brave-core, components/query_filter) and
Firefox's (`privacy.query_stripping.strip_list`), with those of Google Analytics and Google Ads
(support.google.com/analytics/answer/10917952, support.google.com/google-ads/answer/9744275). Names
that some sites use for content are left out: `ref`, `source`, `si`, `cid`, `campaign_id`.
"""

URL_MEMBER: Final = pa.schema(
    [
        pa.field("key", KEY, nullable=False),
        pa.field("id", KEY, nullable=False),
        pa.field("fetched_at", pa.int64(), nullable=False),  # us since 1970; the least if not known
        pa.field("source", pa.int32(), nullable=False),  # position of the source in the run
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
    ]
)
"""What is shuffled: 56 bytes a document that has an address."""
URL_MEMBER_BYTES: Final = 56

_NEVER: Final = np.iinfo(np.int64).min

# URIs that are canonical as they stand, as most are: six times as fast to recognise as to make
# canonical. A test holds this against the slow way.
_CHARACTERS: Final = r"[A-Za-z0-9\-_~!$&'()*+,;=:@.]"
_PLAIN: Final = re.compile(
    r"https?://(?:www\.)?((?:[a-z0-9\-]+\.)+[a-z0-9\-]+)"
    rf"((?:/(?!\.){_CHARACTERS}*)+)(?:\?((?:{_CHARACTERS}|[/?])*))?"
)


def comparison_form(uri: str) -> str | None:
    """What two addresses of one page share (see the module), or None where it is no web address.

    >>> comparison_form("http://www.Example.com:80/a?utm_source=x&id=7#top")
    'example.com/a?id=7'
    """
    plain = _PLAIN.fullmatch(uri)
    if plain:
        host, path, query = plain.groups()
        return host + path + _cleaned(query)
    try:
        parts = urlsplit(canonical_uri(uri))
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    user, at, host = parts.netloc.rpartition("@")
    bare = host.removeprefix("www.")
    host = bare if "." in bare else host
    return f"{user}{at}{host}{parts.path}{_cleaned(parts.query)}"


def _cleaned(query: str | None) -> str:
    """A query without its tracking parameters, with its question mark."""
    if not query:
        return ""
    kept = [one for one in query.split("&") if one and not _is_tracking(one.partition("=")[0])]
    return "?" + "&".join(kept) if kept else ""


def _is_tracking(name: str) -> bool:
    name = name.lower()
    return name in TRACKING or name.startswith(TRACKING_PREFIXES)


def url_keys(uris: pa.Array | pa.ChunkedArray) -> pa.FixedSizeBinaryArray:
    """Hashes the comparison form of each URI.

    Returns:
        fixed_size_binary[16], null where there is no web address.
    """
    digests = [
        None if form is None else hashlib.blake2b(form.encode(), digest_size=16).digest()
        for form in (None if u is None else comparison_form(u) for u in uris.to_pylist())
    ]
    return pa.array(digests, KEY)


def url_members(documents: pa.Table, source: int, part: int) -> pa.RecordBatch:
    """What one part sends into the shuffle: its documents that have a web address.

    Args:
        documents: Columns `id`, `uri` and `fetched_at` of all rows of the part.
        source: Position of the source in the run.
        part: Number of the part.
    """
    keys = url_keys(documents.column("uri"))
    rows = np.flatnonzero(keys.is_valid().to_numpy(zero_copy_only=False))
    taken = pa.array(rows)
    fetched = documents.column("fetched_at").combine_chunks().cast(pa.timestamp("us", tz="UTC"))
    return pa.RecordBatch.from_arrays(
        [
            keys.take(taken),
            documents.column("id").combine_chunks().cast(KEY).take(taken),
            fetched.cast(pa.int64()).take(taken).fill_null(_NEVER),
            pa.array(np.full(len(rows), source, np.int32)),
            pa.array(np.full(len(rows), part, np.int32)),
            taken,
        ],
        schema=URL_MEMBER,
    )


def find_url_clusters(rows: pa.Table) -> pa.Table:
    """Decides about all rows of one partition: the latest fetch represents, then the smallest id.

    Args:
        rows: URL_MEMBER rows in any order, all rows of every key that occurs.

    Returns:
        DECISION rows of the clusters of two or more, sorted by source, part and row.
    """
    table = rows.combine_chunks()
    return decided(table, _clusters(table))


def _clusters(table: pa.Table) -> Clusters:
    ids = key_words(table.column("id"))
    place = [table.column(name).to_numpy() for name in ("row", "part", "source")]
    latest_first = ~table.column("fetched_at").to_numpy()  # as a complement: no overflow
    keys = key_words(table.column("key"))
    return clusters_of(keys, ids, [*place, ids[:, 1], ids[:, 0], latest_first])
