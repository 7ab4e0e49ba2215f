"""Code as its author wrote it, from the markup of the programs that colour it."""

import pytest

from pipelines.extract.pages.rendering import render_page

PYGMENTS = (
    '<div class="highlight"><table class="highlighttable"><tr><td class="linenos"><div '
    'class="linenodiv"><pre><span class="normal">1</span>\n<span class="normal">2</span></pre>'
    '</div></td><td class="code"><div><pre><span></span><code class="language-python"><span '
    'class="k">def</span> f():\n    <span class="k">return</span> 1\n</code></pre></div></td></tr>'
    "</table></div>"
)
DOCUSAURUS = (
    '<div class="language-jsx theme-code-block"><pre class="prism-code language-jsx"><code><span '
    'class="token-line"><span>import</span><span> x</span><br></span><span class="token-line"><br>'
    '</span><span class="token-line"><span>\ty</span><br></span></code></pre><div class='
    '"buttonGroup__atx"><button>Copy</button></div></div>'
)
GITHUB = (
    '<table class="js-file-line-container"><tr><td class="blob-num" data-line-number="1"></td><td '
    'class="blob-code"><span>import</span> os</td></tr><tr><td class="blob-num"></td><td class='
    '"blob-code">\n</td></tr><tr><td class="blob-num">3</td><td class="blob-code">\tx = 1</td></tr>'
    "</table>"
)
SYNTAX_HIGHLIGHTER = (
    '<div class="syntaxhighlighter jscript"><div class="toolbar"><a>?</a></div><table><tr><td '
    'class="gutter"><div class="line number1">1</div><div class="line number2">2</div></td><td '
    'class="code"><div class="container"><div class="line number1"><code>var</code> <code>a;'
    '</code></div><div class="line number2"><code>&nbsp;&nbsp;</code><code>b</code></div></div>'
    "</td></tr></table></div>"
)
DOXYGEN = (
    '<div class="fragment"><div class="line"><span class="lineno">    1</span><span>#include '
    '&lt;a.h&gt;</span></div>\n<div class="line"><span class="lineno">    2</span></div>\n<div '
    'class="line"><span class="lineno">    3</span>  int x;</div>\n</div>'
)
HUGO = (
    '<div class="highlight"><table class="lntable"><tr><td class="lntd"><pre class="chroma"><code>'
    '<span class="lnt">1\n</span><span class="lnt">2\n</span></code></pre></td><td class="lntd">'
    '<pre class="chroma"><code class="language-go" data-lang="go"><span class="line"><span>package'
    '</span> main\n</span><span class="line">x\n</span></code></pre></td></tr></table></div>'
)
HEXO = (
    '<figure class="highlight python"><table><tr><td class="gutter"><pre><span class="line">1'
    '</span><br></pre></td><td class="code"><pre><span class="line">import os</span><br><span '
    'class="line">  x</span><br></pre></td></tr></table></figure>'
)
CODEMIRROR = (
    '<div class="CodeMirror"><textarea></textarea><div class="CodeMirror-code"><div><div class='
    '"CodeMirror-linenumber">1</div><pre class="CodeMirror-line">a = 1</pre></div><div><div class='
    '"CodeMirror-linenumber">2</div><pre class="CodeMirror-line">  b</pre></div></div></div>'
)


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("<pre>a\n\n\tb  c\n</pre>", "```\na\n\n\tb  c\n```"),
        ("<pre>\n\n  Ж &amp;&amp; б\r\nx</pre>", "```\n  Ж && б\nx\n```"),
        ("<pre><code class='language-Rust'>fn</code></pre>", "```rust\nfn\n```"),
        ("<pre class='brush: sql; toolbar: false'>SELECT 1</pre>", "```sql\nSELECT 1\n```"),
        ("<div class='highlight-source-c++'><pre>x</pre></div>", "```c++\nx\n```"),
        ("<div class='mw-highlight-lang-lua'><pre>x</pre></div>", "```lua\nx\n```"),
        ("<pre class='code bash'>ls</pre>", "```bash\nls\n```"),
        ("<pre class='language-none'>x</pre>", "```\nx\n```"),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````"),
        ("<p>a <code> x = 1 </code>, <code>a`b</code>, <code></code>.", "a `x = 1` , `` a`b ``, ."),
        (
            "<p>Run:</p><code>cd x<br>\n make &amp;&amp; y</code>",
            "Run:\n\n```\ncd x\nmake && y\n```",
        ),
        ("<pre><ol class='linenums'><li>a</li><li>  b</li></ol></pre>", "```\na\n  b\n```"),
        ("<textarea class=code readonly>a\n b</textarea>", "```\na\n b\n```"),
        (PYGMENTS, "```python\ndef f():\n    return 1\n```"),
        (DOCUSAURUS, "```jsx\nimport x\n\n\ty\n```"),
        (GITHUB, "```\nimport os\n\n\tx = 1\n```"),
        (SYNTAX_HIGHLIGHTER, "```jscript\nvar a;\n  b\n```"),
        (DOXYGEN, "```\n#include <a.h>\n\n  int x;\n```"),
        (HUGO, "```go\npackage main\nx\n```"),
        (HEXO, "```python\nimport os\n  x\n```"),
        (CODEMIRROR, "```\na = 1\n  b\n```"),
        (
            "<pre class=shiki><code><span class=line>a</span><span class=line></span>"
            "<span class=line>b</span></code></pre>",
            "```\na\n\nb\n```",
        ),
        (
            "<table><tr><td><pre>1\n2</pre></td><td><pre>a\n b</pre></td></tr></table>",
            "```\na\n b\n```",
        ),
        (
            "<div style='font-family:Menlo, monospace;white-space: pre;'><div>a</div><div>  b</div>"
            "</div>",
            "```\na\n  b\n```",
        ),
        (
            "<div class=language-sh><pre>a</pre><div class=line-numbers-wrapper><span>1</span>"
            "</div></div>",
            "```sh\na\n```",
        ),
    ],
)
def test_code_is_verbatim(markup: str, markdown: str) -> None:
    assert render_page(markup.encode()) == markdown


def test_code_stands_within_its_list_and_quotation() -> None:
    markup = "<ol><li>Do<pre>a\n\n  b</pre></ol><blockquote><pre>c\n\nd</pre></blockquote>"
    assert render_page(markup.encode()) == (
        "1. Do\n\n   ```\n   a\n\n     b\n   ```\n\n> ```\n> c\n>\n> d\n> ```"
    )


def test_numbers_that_are_the_code_stay() -> None:
    assert render_page(b"<pre>1\n2\n3</pre>") == "```\n1\n2\n3\n```"
    table = b"<table><tr><td>1</td><td>one</td></tr><tr><td>2</td><td>two</td></tr></table>"
    assert render_page(table) == "| 1 | one |\n| --- | --- |\n| 2 | two |"
