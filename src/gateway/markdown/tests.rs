//! What agents write, and what arrives.

use super::dialect::Dialect;
use super::parts::{parts, shown};
use super::split::Parts;
use super::{telegram::Telegram, whatsapp::Whatsapp};
use crate::platforms::{Platform, TextUnit};

fn whole(platform: Platform, markdown: &str) -> String {
    parts(platform, markdown).join("\u{2702}")
}

/// Each in Markdown, on Telegram and on WhatsApp.
fn check(cases: &[(&str, &str, &str)]) {
    for (markdown, telegram, whatsapp) in cases {
        assert_eq!(whole(Platform::Telegram, markdown), *telegram, "{markdown}");
        assert_eq!(whole(Platform::Whatsapp, markdown), *whatsapp, "{markdown}");
    }
}

/// A text with these tags in Telegram's HTML; on WhatsApp they are its signs.
fn check_emphasis(cases: &[(&str, &str)]) {
    for (markdown, expected) in cases {
        assert_eq!(whole(Platform::Telegram, markdown).replace("&quot;", "\""), *expected, "{markdown}");
        let mut whatsapp = (*expected).to_owned();
        for (tag, sign) in [("b", "*"), ("i", "_"), ("s", "~"), ("code", "`")] {
            whatsapp = whatsapp.replace(&format!("<{tag}>"), sign).replace(&format!("</{tag}>"), sign);
        }
        assert_eq!(whole(Platform::Whatsapp, markdown), whatsapp, "{markdown}");
    }
}

#[test]
fn a_name_between_double_underscores_is_text_and_words_are_bold() {
    for name in ["__init__", "__str__", "__main__.py", "`x` __a_1__, (__name__)", "__a__ b __c__"] {
        let markdown = format!("see {name} there");
        let expected = markdown.replace('\\', "");
        check(&[(&markdown, &expected.replace("`x`", "<code>x</code>"), &expected)]);
    }
    check(&[("**__init__**", "<b>__init__</b>", "*__init__*")]);
    check_emphasis(&[
        ("__two words__", "<b>two words</b>"),
        ("__one two__ and __init__", "<b>one two</b> and __init__"),
        ("_one_ ___x___", "<i>one</i> <b><i>x</i></b>"),
        ("__важно__", "<b>важно</b>"),
        ("__a `b`__", "<b>a <code>b</code></b>"),
    ]);
}

#[test]
fn an_escaped_marker_is_shown_and_is_not_markup() {
    check(&[
        ("\\*not bold\\*", "*not bold*", "*\u{2060}not bold*\u{2060}"),
        ("\\__init__ and \\_a_", "__init__ and _a_", "_\u{2060}_init__ and _\u{2060}a_"),
        ("\\~x\\~ **a\\*b** c\\_d", "~x~ <b>a*b</b> c_d", "~\u{2060}x~\u{2060} *a*b* c_d"),
        ("`\\*` C:\\*.txt 2 * 3", "<code>\\*</code> C:\\*.txt 2 * 3", "`\\*` C:\\*.txt 2 * 3"),
        ("\\# \\- \\>", "# - &gt;", "# - >"),
    ]);
}

#[test]
fn what_agents_write_is_shown_as_meant() {
    check(&[
        ("hi", "hi", "hi"),
        ("\u{200b}\u{feff} \u{2060}", "", ""),
        (
            "**b** *i* _i_ ~~s~~ `c`",
            "<b>b</b> <i>i</i> <i>i</i> <s>s</s> <code>c</code>",
            "*b* _i_ _i_ ~s~ `c`",
        ),
        ("a & b < c > d \"e\"", "a &amp; b &lt; c &gt; d &quot;e&quot;", "a & b < c > d \"e\""),
        ("# Title\n\ntext", "<b>Title</b>\n\ntext", "*Title*\n\ntext"),
        ("# Title\ntext", "<b>Title</b>\n\ntext", "*Title*\ntext"),
        ("### **Title** ##", "<b>Title</b>", "*Title*"),
        ("one\ntwo\n\nthree", "one\ntwo\n\nthree", "one\ntwo\n\nthree"),
        ("- a\n- b\n  - c\n\nend", "• a\n• b\n   • c\n\nend", "- a\n- b\n  - c\n\nend"),
        ("* one\n- two\n  * **three**", "• one\n\n• two\n   • <b>three</b>", "* one\n- two\n  * *three*"),
        ("3. a\n4. b", "3. a\n4. b", "3. a\n4. b"),
        ("- [x] done\n- [ ] open", "• ☑ done\n• ☐ open", "- ☑ done\n- ☐ open"),
        (
            "[x](https://a.b/?q=1&r=2)",
            "<a href=\"https://a.b/?q=1&amp;r=2\">x</a>",
            "x (https://a.b/?q=1&r=2)",
        ),
        ("![pic](https://a.b/c.png)", "<a href=\"https://a.b/c.png\">pic</a>", "pic (https://a.b/c.png)"),
        ("[](https://a.b)", "<a href=\"https://a.b\">https://a.b</a>", "https://a.b"),
        ("a\n\n![](./c.png)", "a\n\n./c.png", "a\n\n./c.png"),
        ("[![](c.png)](https://a.b)", "<a href=\"https://a.b\">c.png</a>", "c.png (https://a.b)"),
        ("> a\n> b\n\nc", "<blockquote>a\nb</blockquote>\n\nc", "> a\n> b\n\nc"),
        ("> a\n>> b", "<blockquote>a\n\nb</blockquote>", "> a\n> b"),
        (
            "```rust\nlet a = 1 < 2;\n\n```\nx",
            "<pre><code class=\"language-rust\">let a = 1 &lt; 2;\n</code></pre>\n\nx",
            "```\nlet a = 1 < 2;\n\n```\nx",
        ),
        ("```\nopen", "<pre><code>open</code></pre>", "```\nopen\n```"),
        ("<b>raw</b> <script>", "&lt;b&gt;raw&lt;/b&gt; &lt;script&gt;", "<b>raw</b> <script>"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb", "a\n\n———\n\nb"),
        (
            "| a | bb |\n|---|---:|\n| ccc | d |",
            "<pre>a   | bb\n----|---\nccc |  d</pre>",
            "```\na   | bb\n----|---\nccc |  d\n```",
        ),
        ("a ** b ** c", "a ** b ** c", "a ** b ** c"),
        ("**never closed", "**never closed", "**never closed"),
        ("a \\# and \\[x\\]", "a # and [x]", "a # and [x]"),
        ("\\(x\\) is\n\\[\nx_1 \\]", "\\(x\\) is\n\\[\nx_1 \\]", "\\(x\\) is\n\\[\nx_1 \\]"),
        ("a<br>b<BR/><br />c<br>\nd", "a\nb\n\nc\nd", "a\nb\n\nc\nd"),
        ("<br>\n\n<p>a<br>b</p>", "&lt;p&gt;a\nb&lt;/p&gt;", "<p>a\nb</p>"),
        ("| a |\n|---|\n| b<br>c |", "<pre>a\n---\nb c</pre>", "```\na\n---\nb c\n```"),
        ("line\r\nline", "line\nline", "line\nline"),
        ("**https://a.b**", "<b>https://a.b</b>", "*https://a.b*"),
        ("`**code**` stays", "<code>**code**</code> stays", "`**code**` stays"),
        ("**two\nlines**", "<b>two\nlines</b>", "*two*\n*lines*"),
        ("`` a`b ``", "<code>a`b</code>", "```a`b```"),
        ("***both***", "<b><i>both</i></b>", "*_both_*"),
        ("", "", ""),
    ]);
}

#[test]
fn nothing_that_was_written_is_left_out() {
    check(&[
        (
            "See [docs][1], [one] and [1].\n\n[1]: https://a.b/c \"Title\"\n[1]: https://twice.org\n[one]: <https://d.e>",
            "See <a href=\"https://a.b/c\">docs</a> [1], <a href=\"https://d.e\">one</a> and <a href=\"https://a.b/c\">[1]</a>.\n\n\
             [1]: https://a.b/c &quot;Title&quot;\n[1]: https://twice.org\n[one]: &lt;https://d.e&gt;",
            "See docs [1], one and [1].\n\n[1]: https://a.b/c \"Title\"\n[1]: https://twice.org\n[one]: <https://d.e>",
        ),
        ("[unused]: https://a.b\ntext", "[unused]: https://a.b\n\ntext", "[unused]: https://a.b\ntext"),
        ("> - [q]: https://a.b", "<blockquote>• [q]: https://a.b</blockquote>", "> - [q]: https://a.b"),
        ("so [1][2]\n\n[1]: x\n[2]: y", "so [1][2]\n\n[1]: x\n[2]: y", "so [1][2]\n\n[1]: x\n[2]: y"),
        (
            "| a | b |\n|---|---|\n| c | d | e | f\\|g |",
            "<pre>a | b\n--|---|---|----\nc | d | e | f|g</pre>",
            "```\na | b\n--|---|---|----\nc | d | e | f|g\n```",
        ),
        ("|a|\n|-|\n|b|c\\", "<pre>a\n--|---\nb | c\\</pre>", "```\na\n--|---\nb | c\\\n```"),
        ("[x](docs/a.md)", "x (docs/a.md)", "x (docs/a.md)"),
        ("[x](javascript:alert(1))", "x (javascript:alert(1))", "x (javascript:alert(1))"),
        ("[x](mailto:a@b.cd) <a@b.cd>", "x (mailto:a@b.cd) a@b.cd", "x (mailto:a@b.cd) a@b.cd"),
        (
            "[x](https://a.b/a_(b) \"title\")",
            "<a href=\"https://a.b/a_(b)\">x</a> (title)",
            "x (https://a.b/a_(b) – title)",
        ),
        (
            "[![Build](https://c.d/e.svg)](https://a.b)",
            "<a href=\"https://a.b\">Build (https://c.d/e.svg)</a>",
            "Build (https://c.d/e.svg) (https://a.b)",
        ),
        ("[`code`](https://a.b)", "<a href=\"https://a.b\">code</a>", "`code` (https://a.b)"),
        ("x[^n] y[^m]\n\n[^n]: *note*", "x[n] y[^m]\n\n[n] <i>note</i>", "x[n] y[^m]\n\n[n] _note_"),
        ("a <!-- b --> c", "a &lt;!-- b --&gt; c", "a <!-- b --> c"),
        ("<div>\n*a*\n</div>", "&lt;div&gt;\n*a*\n&lt;/div&gt;", "<div>\n*a*\n</div>"),
        ("5. a\n3. b\n7) c", "5. a\n3. b\n\n7) c", "5. a\n3. b\n7) c"),
        ("1. a\n1. b\n1. c", "1. a\n2. b\n3. c", "1. a\n2. b\n3. c"),
        (
            "```python src/a.py\nx\n```",
            "src/a.py\n\n<pre><code class=\"language-python\">x</code></pre>",
            "src/a.py\n```\nx\n```",
        ),
        ("```src/a.py:3\nx\n```", "src/a.py:3\n\n<pre><code>x</code></pre>", "src/a.py:3\n```\nx\n```"),
        ("a&amp;b &copy;", "a&amp;b ©", "a&b ©"),
        (
            "![](https://a.b/c.png)",
            "<a href=\"https://a.b/c.png\">https://a.b/c.png</a>",
            "https://a.b/c.png",
        ),
        ("```\n```", "```\n```", "```\n```"),
        ("a\n```rust\n\n```", "a\n\nrust", "a\nrust"),
        ("[]()", "[]()", "[]()"),
    ]);
}

#[test]
fn markers_inside_a_token_are_text() {
    for text in [
        "https://example.com/_next_/a.js",
        "see https://example.com/*a*/b_c_d and https://x.org/~me~~/__a__/",
        "5*3*2 = 30",
        "snake_case_name and _private_var and __init__.py",
        "2**3**4 and 2 * 3 * 4",
        "a~b~c ~5 or ~6",
        "*.rs and *.toml",
        "**/*.rs and src/**/*.toml and **/dist/**",
        "*test*.py and _next_/static",
        "C:\\*\\x and C:\\_temp\\.cache\\#x\\",
        "\\\\server\\share\\_a_\\*b*",
        "first_last_@example.com a_b@c_d.org",
        "*/5 * * * */2",
        "f(*args, **kwargs)",
        "/*comment*/",
        "(a)*(b)*(c)",
        "变量_名称_值",
        "foo.*bar*.baz @_user_ #_tag_ $_x_",
    ] {
        let html = whole(Platform::Telegram, text);
        assert_eq!(html, text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"), "{text}");
        assert_eq!(whole(Platform::Whatsapp, text), text);
    }
}

#[test]
fn emphasis_begins_and_ends_at_the_border_of_a_token() {
    check_emphasis(&[
        ("(**a**), \"*b*\": **c**; **d**!", "(<b>a</b>), \"<i>b</i>\": <b>c</b>; <b>d</b>!"),
        ("**Yes**/**No** and *der*/*die*/*das*", "<b>Yes</b>/<b>No</b> and <i>der</i>/<i>die</i>/<i>das</i>"),
        ("**Yes**/No, **Name:** x, **a**-b", "<b>Yes</b>/No, <b>Name:</b> x, <b>a</b>-b"),
        ("**Ankara**'da", "<b>Ankara</b>'da"),
        (
            "**/help** and **.env** and **https://a.b/**",
            "<b>/help</b> and <b>.env</b> and <b>https://a.b/</b>",
        ),
        ("**see https://a.b/c_d_e** end", "<b>see https://a.b/c_d_e</b> end"),
        ("**bold with *italic* in it**", "<b>bold with <i>italic</i> in it</b>"),
        ("*italic with **bold** in it*", "<i>italic with <b>bold</b> in it</i>"),
        ("snake\\_case", "snake_case"),
        ("**a** **b", "<b>a</b> **b"),
        ("🎉**x**🎉", "🎉<b>x</b>🎉"),
        ("**`x`**: *y*.", "<b><code>x</code></b>: <i>y</i>."),
    ]);
}

#[test]
fn bold_beside_the_punctuation_of_scripts_without_spaces_is_bold() {
    check_emphasis(&[
        ("这是**我想做的事。**所以", "这是<b>我想做的事。</b>所以"),
        ("**「重要」**です。", "<b>「重要」</b>です。"),
        ("これは**「重要」**です", "これは<b>「重要」</b>です"),
        ("**参考（注）**之后", "<b>参考（注）</b>之后"),
        ("**“引号”**之后", "<b>“引号”</b>之后"),
        ("**마크다운(Markdown)**은 좋다", "<b>마크다운(Markdown)</b>은 좋다"),
        ("한국어**굵게**는", "한국어<b>굵게</b>는"),
        ("**Python 3.12**已发布", "<b>Python 3.12</b>已发布"),
        ("使用**`code`**命令", "使用<b><code>code</code></b>命令"),
        ("~~旧的。~~新的", "<s>旧的。</s>新的"),
        ("ภาษา**ไทย**ดี", "ภาษา<b>ไทย</b>ดี"),
        ("*强调，*和**加粗**text", "<i>强调，</i>和<b>加粗</b>text"),
        ("**हिन्दी।** अगला", "<b>हिन्दी।</b> अगला"),
    ]);
}

fn split(dialect: &dyn Dialect, markdown: &str, len_max: usize, unit: TextUnit) -> Vec<String> {
    let rich = shown(dialect, markdown);
    Parts::new(dialect, &rich, len_max, unit).collect()
}

#[test]
fn a_part_ends_where_it_reads_well() {
    let text = "One two three four.\n\nFive six seven eight.\nNine ten.";
    let parts = split(&Whatsapp, text, 32, TextUnit::Chars);
    assert_eq!(parts, ["One two three four.", "Five six seven eight.\nNine ten."]);
    let parts = split(&Whatsapp, &"x".repeat(50), 20, TextUnit::Chars);
    assert_eq!(parts, ["x".repeat(20), "x".repeat(20), "x".repeat(10)]);
    let link = "https://example.com/a/long/path";
    for part in
        split(&Whatsapp, &format!("some words here and {link} and more to go on"), 40, TextUnit::Chars)
    {
        assert_eq!(part.contains("://"), part.contains(link), "{part}");
    }
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
    for part in split(&Whatsapp, &family.repeat(30), 24, TextUnit::Chars) {
        assert_eq!(part.replace(family, ""), "");
    }
}

#[test]
fn what_goes_on_is_closed_and_opened_again() {
    let text = "See:\n```rust\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```\nDone.";
    assert_eq!(
        split(&Whatsapp, text, 32, TextUnit::Chars),
        ["See:\n```\nlet a = 1;\n```", "```\nlet b = 2;\nlet c = 3;\n```", "Done."]
    );
    let open = "<pre><code class=\"language-rust\">";
    let close = "</code></pre>";
    assert_eq!(
        split(&Telegram, text, 20, TextUnit::Utf16),
        [
            format!("See:\n\n{open}let a = 1;{close}"),
            format!("{open}let b = 2;{close}"),
            format!("{open}let c = 3;{close}\n\nDone.")
        ]
    );
    assert_eq!(
        split(&Telegram, "> **one two three four five six**", 20, TextUnit::Utf16),
        ["<blockquote><b>one two three four</b></blockquote>", "<blockquote><b>five six</b></blockquote>"]
    );
}

#[test]
fn the_length_is_what_the_platform_counts() {
    let bold = format!("**{}**", "a".repeat(40));
    assert_eq!(split(&Telegram, &bold, 40, TextUnit::Utf16).len(), 1, "tags do not count");
    assert_eq!(split(&Whatsapp, &bold, 40, TextUnit::Chars).len(), 2, "stars do");
    assert_eq!(split(&Telegram, &"😀".repeat(20), 40, TextUnit::Utf16).len(), 1);
    assert_eq!(split(&Telegram, &"😀".repeat(21), 40, TextUnit::Utf16).len(), 2);
    assert_eq!(split(&Telegram, &"&".repeat(40), 40, TextUnit::Utf16).len(), 1);
    let many = split(&Telegram, &"**a** ".repeat(250), 4096, TextUnit::Utf16);
    assert_eq!(many.iter().map(|part| part.matches("<b>").count()).collect::<Vec<_>>(), [100, 100, 50]);
}

#[test]
fn a_platform_counts_in_its_own_units_and_keeps_room_for_a_repeat() {
    let platform = Platform::scripted(9).unwrap();
    let parts = parts(platform, &"\u{1f600}".repeat(100));
    assert_eq!(parts.concat(), "\u{1f600}".repeat(100));
    let again = crate::gateway::markdown::parts::AGAIN;
    for part in parts {
        assert!(TextUnit::Utf16.len(&format!("{again}{part}")) <= platform.spec().text_len_max, "{part}");
    }
}
