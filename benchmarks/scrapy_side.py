"""The Scrapy side of `crawl.py`, in Scrapy's own venv.

    python scrapy_side.py '{"hosts": [...], "port": 8000, "output": FILE, "concurrent": 64}'

A spider as its documentation writes it: it starts at the root of each host, follows all links that
its LinkExtractor finds within those hosts, obeys robots.txt, asks one host for one page at a time
and makes no pause, as tokenmill does here. So that it keeps what a corpus needs, each body is
appended to a gzip file (level 6, as tokenmill's archive) with its address; no digests, no request
records and no check of addresses are made.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from scrapy import Request, Spider  # type: ignore[import-not-found,unused-ignore]
from scrapy.crawler import CrawlerProcess  # type: ignore[import-not-found,unused-ignore]
from scrapy.linkextractors import LinkExtractor  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    asked = json.loads(sys.argv[1])
    places = [f"{host}:{asked['port']}" for host in asked["hosts"]]
    found: dict[str, Any] = {"pages": 0, "bytes": 0, "scrapy": version("scrapy")}

    class Pages(Spider):  # type: ignore[misc,unused-ignore]
        name = "pages"
        allowed_domains = asked["hosts"]
        links = LinkExtractor(allow_domains=places)

        async def start(self) -> Any:  # noqa: ANN401
            for place in places:  # not start_urls: those would be fetched twice
                yield Request(f"http://{place}/")

        def parse(self, response: Any) -> Iterator[Any]:  # noqa: ANN401
            found["pages"] += 1
            found["bytes"] += len(response.body)
            output.write(gzip.compress(response.url.encode() + b"\n" + response.body, 6))
            for link in self.links.extract_links(response):
                yield response.follow(link)

    settings = {
        "CONCURRENT_REQUESTS": asked["concurrent"],
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "DOWNLOAD_DELAY": 0,
        "ROBOTSTXT_OBEY": True,
        "LOG_LEVEL": "ERROR",
        "TELNETCONSOLE_ENABLED": False,
        "RETRY_ENABLED": False,
        "COOKIES_ENABLED": False,
    }
    with open(asked["output"], "wb") as output:
        process = CrawlerProcess(settings)
        process.crawl(Pages)
        process.start()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
