import numpy as np
import pytest

from pipelines.extract.engines import engine_name, main_text
from pipelines.extract.pages.careful import nodes_of_text
from pipelines.extract.pages.dom import TAG, parse
from pipelines.extract.pages.scoring import (
    FOUND_SHARE,
    HELD,
    IS_GENTLE,
    IS_UNMARKED,
    NUM_SIGNS,
    PROSE_SHARE,
    confidence,
)
from pipelines.extract.pages.selection import select
from pipelines.extract.pages.selection_jsonld import article_body

PARAGRAPHS = {
    "en": (
        "The river rose during the night, and by morning the lower meadows stood under water.",
        "Nobody in the village could remember such a flood, not even the oldest of the farmers.",
    ),
    "ru": (
        "Погода сегодня была солнечной, и мы долго гуляли по старому городу вдоль реки.",
        "Вечером в театре играли новую пьесу, о которой много писали в газетах этой весной.",
    ),
    "zh": (
        "昨天夜里河水上涨，到了早晨，低处的草地全都淹没在水里，村民们只好划船出门。",
        "村里没有人记得发过这样大的洪水，连年纪最大的农民也说从来没有见过。",
    ),
    "ar": (
        "ارتفع منسوب النهر أثناء الليل، وفي الصباح كانت المروج المنخفضة مغمورة بالمياه.",
        "لم يتذكر أحد في القرية فيضانا مثل هذا، ولا حتى أكبر المزارعين سنا.",
    ),
    "hi": (
        "रात में नदी का जलस्तर बढ़ गया और सुबह तक निचले मैदान पानी में डूब गए थे।",
        "गाँव में किसी को ऐसी बाढ़ याद नहीं थी, सबसे बुज़ुर्ग किसानों को भी नहीं।",
    ),
}
LANGUAGES = tuple(PARAGRAPHS)
MENU = (
    "<ul><li><a href=/>Home</a></li><li><a href=/news>News</a></li><li><a href=/c>Contact</a></ul>"
)


def text_of(page: str, engine: str = "fast") -> str:
    return main_text(parse(page.encode()), engine).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_article_without_what_stands_around_it(language: str) -> None:
    first, second = PARAGRAPHS[language]
    page = f"""<!DOCTYPE html><html lang={language}><head><title>T</title></head>
    <body class="single with-sidebar"><header><a href=/>Site</a></header><nav>{MENU}</nav>
    <main><article><h1>Title</h1><div class="post-meta">By A. Author, 3 May</div>
    <div class="entry-content"><p>{first}</p><h2>Later</h2><p>{second} {first}</p>
    <div class="share-buttons"><a href=x>Share</a><a href=y>Post</a></div>
    <figure><img src=i.png><figcaption>The river, seen from above.</figcaption></figure></div>
    <section class="related-posts"><h3>Related</h3><p>{second}</p><a href=/o>More</a></section>
    <div id="comments"><p>{second}</p></div></article></main>
    <aside class="sidebar"><p>{second}</p></aside><footer>All rights reserved.</footer></body>
    """
    assert text_of(page) == f"{first}\n\n## Later\n\n{second} {first}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_of_layout_tables_without_any_names(language: str) -> None:
    first, second = PARAGRAPHS[language]
    links = "".join(
        f"<a href=/{i}>{word}</a><br>" for i, word in enumerate("One Two Three".split())
    )
    page = f"""<html><body><table><tr><td width=150>{links}</td><td><font size=2>
    {first}<br><br>{second} {first}<br><br>{second}</font></td></tr></table></body></html>"""
    text = text_of(page)
    assert text.split() == f"{first} {second} {first} {second}".split()


def test_lead_that_stands_before_the_body_is_kept() -> None:
    first, second = PARAGRAPHS["en"]
    page = f"""<body><article><header><h1>Flood</h1><p class="lead">{first}</p></header>
    <div class="article-body"><p>{second}</p><p>{first[::-1]}</p><p>{second} Again.</p></div>
    </article></body>"""
    assert text_of(page).startswith(f"{first}\n\n{second}")


def test_documentation_keeps_code_tables_and_headings() -> None:
    page = """<body><div class="sidebar"><ul><li><a href=a>Install</a><li><a href=b>Use</a></ul>
    </div>
    <div role="main" class="document"><section id="related"><h2>Retrying a call<a class="headerlink"
    href="#r">¶</a></h2><p>A call that fails is made again, up to three times, with a pause.</p>
    <div class="highlight"><pre><span class="token comment"># wait</span>
for i in range(3):
    call()</pre></div><p>The pauses grow, as the table says, and end after one minute.</p>
    <table><tr><th>Call<th>Pause<tr><td>1<td>1 s<tr><td>2<td>8 s</table></section></div></body>"""
    assert text_of(page) == (
        "## Retrying a call\n\n"
        "A call that fails is made again, up to three times, with a pause.\n\n"
        "```\n# wait\nfor i in range(3):\n    call()\n```\n\n"
        "The pauses grow, as the table says, and end after one minute.\n\n"
        "| Call | Pause |\n| --- | --- |\n| 1 | 1 s |\n| 2 | 8 s |"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_posts_of_a_thread_are_kept(language: str) -> None:
    first, second = PARAGRAPHS[language]
    posts = [f"{first} {second}", second, f"{second} {first} {first}"]
    page = "".join(
        f"<div class=post><div class=post-author><a href=/u>user{i}</a></div>"
        f"<div class=post-content>{post}</div></div>"
        for i, post in enumerate(posts)
    )
    page = f"<body class=viewtopic><nav>{MENU}</nav><div id=thread>{page}</div></body>"
    assert text_of(page).split() == " ".join(posts).split()


def test_comments_that_are_all_there_is_are_the_text() -> None:
    first, second = PARAGRAPHS["en"]
    items = f"<li class=comment><p>{first}</p><li class=comment><p>{second}</p>" * 3
    assert text_of(f"<body><h2>Ask</h2><ol class=comments>{items}</ol></body>").count(second) == 3


def test_list_of_links_is_kept_where_it_is_the_page() -> None:
    links = "".join(f"<li><a href=/{i}>Report number {i} of the year</a>" for i in range(9))
    text = text_of(
        f"<body><nav>{MENU}</nav><main><ul>{links}</ul></main><footer>(c)</footer></body>"
    )
    assert text.splitlines() == [f"- Report number {i} of the year" for i in range(9)]


@pytest.mark.parametrize(
    "page",
    ["", "<html><body></body></html>", "<script>var text = 'A sentence, and one more.';</script>"],
    ids=["empty", "blank", "script"],
)
def test_page_without_text_has_none(page: str) -> None:
    dom = parse(page.encode())
    assert not select(dom).keep[dom.tag == 0].any()
    assert text_of(page) == ""
    assert main_text(dom, "auto").text == ""


def test_hidden_text_is_no_text_but_a_formula_for_readers_is() -> None:
    first, second = PARAGRAPHS["en"]
    page = f"""<article><p>{first}</p><p style="display: none">Hidden words, all of them.</p>
    <p>{second}</p><p hidden>And these, too.</p><p>We know that
    <span style="display:none"><math alttext="x^2"><msup><mi>x</mi><mn>2</mn></msup></math></span>
    is never negative, whatever x may be.</p></article>"""
    text = text_of(page)
    assert "Hidden words" not in text
    assert "And these" not in text
    assert "$x^2$" in text


def test_names_that_lead_into_nothing_are_disregarded() -> None:
    first, second = PARAGRAPHS["en"]
    body = f"<p>{first}</p><p>{second}</p>" * 8
    page = f"<body><div class=content><p>Short but here, as a lead.</p><div class=comments>{body}"
    found = select(parse(f"{page}</div><p>{'A word, and more. ' * 15}</p></div></body>".encode()))
    assert found.keep.any()
    assert (
        text_of(f"<body><div class='banner'><div class='promo'>{body}</div></div></body>").count(
            first
        )
        == 8
    )


def test_selection_marks_whole_elements_and_nothing_outside_of_them() -> None:
    first, second = PARAGRAPHS["en"]
    dom = parse(
        f"<body><nav>{MENU}</nav><main><p>{first}</p><p>{second}</p></main></body>".encode()
    )
    keep = select(dom).keep
    (nav,) = np.flatnonzero(dom.tag == TAG["nav"])
    assert not keep[nav : dom.end[nav]].any()
    for node in np.flatnonzero(dom.tag == TAG["p"]):
        assert keep[node : dom.end[node]].all()


def test_score_falls_with_every_doubt() -> None:
    signs = np.zeros(NUM_SIGNS)
    signs[[HELD, PROSE_SHARE, FOUND_SHARE]] = 2000, 0.95, 0.9
    scores = [confidence(signs)]
    for sign, value in ((IS_UNMARKED, 1), (PROSE_SHARE, 0.4), (HELD, 10), (IS_GENTLE, 1)):
        signs[sign] = value
        scores.append(confidence(signs))
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)
    assert 0 < scores[-1] < 0.5 < scores[0] < 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_of_another_engine_is_found_in_the_nodes(language: str) -> None:
    first, second = PARAGRAPHS[language]
    page = f"""<body><p>{first}</p><p>9</p><table><tr><td>1<td>2</table><p>{second}</p>
    <p>{first[:20]} — {second[::-1]}</p></body>"""
    dom = parse(page.encode())
    keep = nodes_of_text(dom, f"**{first}**\n\n{second.upper()}", np.ones(len(dom), np.bool_))
    paragraphs = np.flatnonzero(dom.tag == TAG["p"])
    cells = np.flatnonzero(dom.tag == TAG["td"])
    assert [bool(keep[p + 1]) for p in paragraphs] == [True, True, True, False]
    assert [bool(keep[c + 1]) for c in cells] == [True, True]


SMALL_PAGES = {
    "table": (
        "<h1>Prices</h1><table><tr><th>Item<th>Price<tr><td>Tea<td>2<tr><td>Rice<td>3</table>",
        "# Prices\n\n| Item | Price |\n| --- | --- |\n| Tea | 2 |\n| Rice | 3 |",
    ),
    "headings": (
        "<h1>Shop</h1><h2>Opening hours</h2><h2>Contact</h2>",
        "# Shop\n\n## Opening hours\n\n## Contact",
    ),
    "sentence": (
        "<h1>Note</h1><div><p>The library is closed on Monday, the reading room on Tuesday.</p>"
        "</div>",
        "# Note\n\nThe library is closed on Monday, the reading room on Tuesday.",
    ),
    "lists": (
        "<h1>Kit</h1><p>Take these things along, whatever the weather may be.</p><ul><li>rope"
        "<li>map</ul><ol><li>eat<li>go</ol><table><tr><td>a<td>1<tr><td>b<td>2</table>",
        "# Kit\n\nTake these things along, whatever the weather may be.\n\n- rope\n- map\n\n"
        "1. eat\n2. go\n\n| a | 1 |\n| --- | --- |\n| b | 2 |",
    ),
}


@pytest.mark.parametrize("engine", ["fast", "auto"])
@pytest.mark.parametrize(("page", "text"), SMALL_PAGES.values(), ids=SMALL_PAGES)
def test_small_page_is_kept_whole(page: str, text: str, engine: str) -> None:
    assert text_of(f"<html><body>{page}</body></html>", engine) == text


def test_table_at_the_end_and_title_at_the_head_follow_what_the_other_engine_has() -> None:
    first, second = PARAGRAPHS["en"]
    dom = parse(
        f"<h1>A title of some length</h1><table><tr><td>1<td>2</table><p>{first}</p><h1>An "
        f"advertisement</h1><p>{second}</p><table><tr><td>3<td>4</table>".encode()
    )
    selected = np.ones(len(dom), np.bool_)
    keep = nodes_of_text(dom, f"{first} {second}", selected)
    titles = np.flatnonzero(dom.tag == TAG["h1"])
    cells = np.flatnonzero(dom.tag == TAG["td"])
    assert [bool(keep[t + 1]) for t in titles] == [True, False]
    assert [bool(keep[c + 1]) for c in cells] == [True] * 4
    selected[:] = False
    assert not nodes_of_text(dom, first, selected)[[*(titles + 1), *(cells + 1)]].any()


def test_short_page_loses_nothing_to_the_other_engine() -> None:
    page = (
        "<html><body><h1>Header</h1><p>This is the first paragraph.</p><table><tr><td>A<td>B</tr>"
        "<tr><td><table><tr><td>A1<td>B1<tr><td>D1<td>E1</table><td>2...</table>After the table"
        "</body></html>"
    )
    assert select(parse(page.encode())).score < 0.5
    assert text_of(page, "auto") == text_of(page, "fast")
    assert text_of(page, "auto").endswith("2...\n\nAfter the table")


def test_choice_that_loses_most_of_the_page_is_not_taken() -> None:
    first, _ = PARAGRAPHS["en"]
    rows = "".join(f"<tr><td>Station {i} of the line<td>{i} km" for i in range(40))
    page = f"<body><div><p>{first}</p></div><table>{rows}</table></body>"
    dom = parse(page.encode())
    assert select(dom).score < 0.5
    assert main_text(dom, "auto").text.count("Station") == 40


def test_prose_in_a_heading_is_text() -> None:
    first, second = PARAGRAPHS["en"]
    text = f"{first} {second} {first}"
    assert text_of(f"<body><div><h1>{text}</h1></div><nav>{MENU}</nav></body>") == text


def test_article_that_is_only_written_for_machines() -> None:
    first, second = PARAGRAPHS["en"]
    page = (
        '<html><head><script type="application/ld+json">{"@graph": [{"articleBody": "Short."}, '
        f'{{"articleBody": "{first} {second}"}}]}}</script></head><body><div id=app></div></body>'
    )
    assert article_body(parse(page.encode())) == f"{first} {second}"
    assert text_of(page) == f"{first} {second}"
    assert text_of(page.replace("ld+json", "json")) == ""


def test_doubtful_page_goes_to_the_careful_engine_and_the_sure_one_does_not() -> None:
    first, second = PARAGRAPHS["en"]
    sure = parse(f"<body><article><p>{first}</p><p>{second} {first}</p></article></body>".encode())
    assert select(sure).score > 0.9
    assert main_text(sure, "auto").extractor == engine_name("fast")
    words = "".join(f"<div>word{i} <a href=/{i}>go{i}</a></div>" for i in range(60))
    doubtful = parse(f"<body><p>{first}</p>{words}</body>".encode())
    assert select(doubtful).score < 0.5
    assert main_text(doubtful, "auto").extractor in (engine_name("auto"), engine_name("fast"))
    assert engine_name("auto").startswith(engine_name("fast") + "+trafilatura/")
