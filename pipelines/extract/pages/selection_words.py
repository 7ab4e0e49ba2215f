"""Words in class names, ids and other attributes that say what an element is for.

Pages are built from templates, and templates name their parts: `post-content`, `siteNavigation`,
`related_articles`. A name is split where a person would split it (at marks, digits, and before a
capital), and each word and each pair of neighbours is looked up: "post" + "content" meets the entry
`postcontent` however the page wrote it. `WHOLE` names count only where they are a class of their
own, because `hidden` hides and `sm:hidden` or `overflow-hidden` does not.

The words are what common templates use (WordPress and its themes, Drupal, Ghost, MediaWiki,
Discourse, phpBB, Sphinx, Docusaurus, and the style guides of news publishers) with their
equivalents in languages whose sites name parts in them. A word is listed with what it nearly
always means; "box", "list" or "header" say nothing, and are not here.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

BODY: Final = 1
"""The body of an article by a name made for it."""
CONTENT: Final = 1 << 1
"""The content of the page, in general words."""
NAVIGATION: Final = 1 << 2
COMMENTS: Final = 1 << 3
RELATED: Final = 1 << 4
"""Other pages: related, popular, recommended, next and previous."""
SHARING: Final = 1 << 5
PROMOTION: Final = 1 << 6
"""Advertisements, newsletters, subscriptions, cookies and consent."""
FOOTER: Final = 1 << 7
SIDEBAR: Final = 1 << 8
ABOUT: Final = 1 << 9
"""What stands around a text and tells of it: byline, date, tags, categories."""
CONTROL: Final = 1 << 10
"""Buttons, forms, dialogs, tools."""
CAPTION: Final = 1 << 11
HIDDEN: Final = 1 << 12
NEGATION: Final = 1 << 13
"""A word that takes back the next: `has-sidebar` is not a sidebar."""
TEASER: Final = 1 << 14
HEADER: Final = 1 << 15
ARTICLE: Final = 1 << 16
"""An article by its role."""
MAIN: Final = 1 << 17
"""The main part by its role."""
LAYOUT: Final = 1 << 18
"""A table that is no table by its role."""
HIDDEN_FROM_AID: Final = 1 << 19
"""aria-hidden: shown, but not read aloud."""
LEAD: Final = 1 << 20
"""The first, larger set paragraph of an article, often outside of its body."""
FORUM: Final = 1 << 21
"""A page of posts or answers, where comments are the content."""
FORMULA: Final = 1 << 23
"""A script that holds TeX."""
PART: Final = 1 << 24
"""A section of a document, whose id is made of its heading: `id="related"` says nothing there."""
NEUTRAL: Final = 1 << 22
"""A pair of words in which the second means nothing: the names of page builders."""

_PARTS: Final[dict[int, str]] = {
    BODY: (
        "articlebody articletext articlecontent articlecontents articlebodytext articlemain "
        "articlefulltext articlecopy articledetail articledetails articleparagraphs "
        "entrycontent entrybody entrytext postcontent postbody posttext postentry postcontents "
        "postarticle postbodycopy storybody storycontent storytext storybodytext storycopy "
        "bodycopy bodytext bodycontent contentbody contenttext newsbody newstext "
        "newscontent newsdetail "
        "fulltext textbody singlecontent singlepost blogcontent blogpostcontent blogbody "
        "richtext fieldbody wysiwyg artikeltext artikelinhalt beitragstext contenidonoticia "
        "cuerponoticia textonoticia corpsarticle articulocuerpo articulotexto theiacontent "
        "parseroutput markdownbody articlebodycontent pagecontenttext cms "
    ),
    CONTENT: (
        "content contents main article post story entry text body page blog news single artikel "
        "beitrag inhalt contenido contenu contenuto conteudo noticia articulo texto nota recipe "
        "thread topic question answer document docs prose "
    ),
    NAVIGATION: (
        "nav navi navigation navigations navbar menu menus submenu subnav topnav breadcrumb "
        "breadcrumbs crumbs pagination pager pagenav paginate toolbar sitemap skiplink "
        "skiplinks tabs navbox menubar topbar postnav nextprev prevnext pagenavi "
        "navigationbar menucontainer megamenu hamburger ariadne brotkrumen "
    ),
    COMMENTS: (
        "comment comments commentlist commentarea commentslist commentform commentbox disqus "
        "respond commentsection commentators livefyre kommentar kommentare comentario comentarios "
        "commentaire commentaires commenti komentar kommentarer pingback pingbacks trackback "
        "trackbacks webmentions replies reactions nocomments reviewslist userreviews "
    ),
    RELATED: (
        "related relateds relatedposts relatedpost relatedarticles relatedlinks relatedcontent "
        "relatedstories relatednews recommended recommendation recommendations recommend "
        "recirculation recirc popular mostpopular mostread mostviewed trending readmore readnext "
        "morefrom moreon morestories morenews morearticles morelinks seealso alsolike youmaylike "
        "youmayalsolike outbrain taboola nextarticle nextstory nextpost prevpost previouspost "
        "upnext similar latestnews latestposts latest recentposts recentcomments recententries "
        "moreposts otherposts othernews furtherreading weiterlesen meistgelesen verwandte "
        "relacionadas relacionados relacionada leiamais leertambien lireaussi correlati "
        "articlelist "
        "suggested suggestions suggestlinks jprelatedposts yarpp zergnet revcontent "
        "articlelinks sistrix carousel slider nextup alsoread readalso lirelasuite "
        "crosslinks teaserlist linklist "
    ),
    SHARING: (
        "share shares sharing sharebar sharebuttons sharethis sharedaddy shariff addthis addtoany "
        "social socials socialmedia socialbar sociable socialshare sharetools bookmarks follow "
        "followus teilen compartir partager condividi compartilhar sharelinks sharelist "
        "tweetbutton "
        "fblike likebutton sharer socialicons heateor ssba articleactions articletools "
        "flattr "
    ),
    PROMOTION: (
        "ad ads adbox adv advert adverts advertisement advertisements advertising adsense adslot "
        "adunit adcontainer adwrapper adsbygoogle sponsor sponsored sponsors promo promos promoted "
        "promotion promobox werbung anzeige anzeigen publicidad publicite pubblicita reklama "
        "newsletter newsletters subscribe subscription subscriptions signup optin mailchimp "
        "cookie cookies consent gdpr paywall donate donation donations cta calltoaction banner "
        "banners affiliate affiliates gpt dfp criteo plista mailinglist emailsignup membership "
        "inread spenden syndication regwall piano vgwort "
    ),
    FOOTER: (
        "footer footers pagefooter sitefooter colophon copyright impressum bottombar foot "
        "articlefooter entryfooter postfooter pied rodape fusszeile footnav disclaimer "
    ),
    SIDEBAR: (
        "sidebar sidebars aside rail rightrail leftrail sidecol sidecolumn rightcolumn rightcol "
        "widget widgets widgetarea tertiary marginalia marginalspalte seitenleiste "
        "leftbar rightbar factbox complementary sidenav sidecontent extras "
    ),
    ABOUT: (
        "byline bylines author authors authorbox authorbio authorinfo aboutauthor aboutauthors "
        "postmeta entrymeta articlemeta meta metadata metainfo postinfo entryinfo articleinfo "
        "entryutility dateline timestamp pubdate publishdate postdate published posted "
        "postedon postedin tags tag taglist tagcloud tagslinks taglinks keywords categories "
        "catlinks postcategories postcategory filedunder autor autoren auteur autore "
        "contributors contributor writer entrydate articledate credits biography bio "
        "schlagworte etiquetas mots reviewer readtime readingtime profile userinfo "
        "postauthor storymeta infoline permalink editsection attribution postsignature "
        "messagesignature usersignature "
        "entrytags posttags articletags posttag rating ratings votes "
    ),
    CONTROL: (
        "button buttons btn modal popup popups lightbox overlay tooltip dialog login signin "
        "register search searchform searchbox dropdown printbutton "
        "toggle captcha videoplayer audioplayer pswp snackbar toast "
        "languageswitcher langswitcher feedback skip spinner closebutton "
        "headerlink headinglink headinganchor hashlink anchorlink anchorjs copybutton "
        "copytoclipboard backtotop gotop totop scrolltop akismet "
    ),
    CAPTION: (
        "caption captions legend dida didascalia wpcaption wpcaptiontext imagecaption "
        "imgcaption photocaption credit "
        "imagecredit photocredit bildunterschrift legende copyrightnotice mediacaption "
        "gallerycaption figcaption pictcaption bildtext imgdescription imagedescription "
    ),
    NEGATION: "has with no without not non hide hasno is before after",
    TEASER: "teaser teasers card cards",
    LEAD: (
        "lead lede intro standfirst subtitle subheadline subhead summary excerpt "
        "introduction einleitung vorspann anreisser chapo entradilla bajada copete "
        "sommario ingress "
        "abstract articleintro articlelead articleteaser articlesummary articledescription "
        "teasertext leadtext introtext sottotitolo lid sapo "
    ),
    FORUM: "forum forums thread threads topic topics discussion discussions questions qa viewtopic",
    NEUTRAL: "elementorwidget fusionwidget hentrywidget",
    HEADER: "header masthead siteheader pageheader topheader brand logo",
    HIDDEN: (
        "visuallyhidden srly sronly screenreader screenreadertext hiddenaccessible displaynone "
        "ishidden noshow printonly onlyprint invisible assistivetext mwjumplink "
    ),
}
_WHOLE: Final[dict[int, str]] = {
    HIDDEN: "hidden hide dnone none offscreen uihidden isvisuallyhidden",
    BODY: "post entry story articletext maintext textcontent pagecontent maincontent contentmain "
    "articlecontainer postarea artcontent fulltext themecontent sectioncontent",
    CONTENT: "maincontent contentmain primary maincolumn pagecontent contentarea centercolumn",
    PROMOTION: "pub",
    FOOTER: "bottom",
    ABOUT: "signature",
    PART: "section level sect",
    NAVIGATION: "bar",
    RELATED: "more next previous prev",
    CONTROL: "noprint print dontprint",
    SIDEBAR: "secondary",
}
_BEFORE_WHOLE: Final = "\x00"  # so that the hash of a whole name is another than that of a word

PLACES: Final = 4096
FNV_OFFSET: Final = np.uint64(0xCBF29CE484222325)
FNV_PRIME: Final = np.uint64(0x100000001B3)
"""FNV-1a, 64 bits (draft-eastlake-fnv, section 5); unsigned, because an overflow of signed numbers
is undefined to the compiler of the kernels."""


def word_hash(word: bytes) -> np.uint64:
    """The hash under which kernels look up a word, of its bytes as they are."""
    value = int(FNV_OFFSET)
    for byte in word:
        value = ((value ^ byte) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return np.uint64(value)


def place_of(value: np.uint64) -> int:
    """The place of the table at which the search for a hash begins."""
    return (int(value) ^ (int(value) >> 32)) & (PLACES - 1)


def _table() -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    meanings: dict[bytes, int] = {}
    for prefix, groups in (("", _PARTS), (_BEFORE_WHOLE, _WHOLE)):
        for bit, listed in groups.items():
            for word in listed.split():
                name = (prefix + word).encode("ascii")
                meanings[name] = meanings.get(name, 0) | bit
    hashes = np.zeros(PLACES, np.uint64)
    bits = np.zeros(PLACES, np.int32)
    for name, meaning in meanings.items():
        value = word_hash(name)
        assert value not in hashes
        place = place_of(value)
        while bits[place]:
            place = (place + 1) & (PLACES - 1)
        hashes[place], bits[place] = value, meaning
    return hashes, bits


HASHES, MEANINGS = _table()
"""`uint64[4096]` and `int32[4096]`: the hash of a word and its bits at each place."""
WHOLE_OFFSET: Final = word_hash(_BEFORE_WHOLE.encode("ascii"))
"""The hash with which a whole name begins."""
