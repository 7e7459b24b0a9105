//! Pure. Telegram's HTML: <https://core.telegram.org/bots/api#html-style>.
//!
//! HTML, because in it three signs are escaped, and in MarkdownV2 eighteen. Telegram knows emphasis, links, code and
//! quotations; headings, lists, tables and rules are written with what there is.

use super::dialect::{Dialect, Form, Marks};
use super::rich::Style;

/// Writes for Telegram.
pub(super) struct Telegram;

/// Telegram forgets the formatting after so many.
const ENTITIES_MAX: usize = 100;

/// A longer address is shown.
const ADDRESS_LEN_MAX: usize = 2048;

impl Dialect for Telegram {
    fn form(&self) -> &'static Form {
        &Form {
            is_verbatim: false,
            bullet: Some("•"),
            indent: "   ",
            escaped_end: "",
            rule: "———",
            is_airy: true,
            links: is_address,
            is_by_line: false,
            counts_marks: false,
            spans_max: ENTITIES_MAX,
        }
    }

    fn marks(&self, style: &Style, _: &str) -> Marks {
        match style {
            Style::Quote => Marks::new("<blockquote>", "</blockquote>"),
            Style::Table => Marks::new("<pre>", "</pre>"),
            Style::Block(language) if language.is_empty() => Marks::new("<pre><code>", "</code></pre>"),
            Style::Block(language) => {
                Marks::new(format!("<pre><code class=\"language-{}\">", escaped(language)), "</code></pre>")
            }
            Style::Strong => Marks::new("<b>", "</b>"),
            Style::Emphasis => Marks::new("<i>", "</i>"),
            Style::Strike => Marks::new("<s>", "</s>"),
            Style::Code => Marks::new("<code>", "</code>"),
            Style::Link(address) => Marks::new(format!("<a href=\"{}\">", escaped(address)), "</a>"),
        }
    }

    fn escape(&self, text: &str, out: &mut String) {
        for sign in text.chars() {
            match sign {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                // Telegram's parser takes no NUL.
                '\0' => {}
                sign => out.push(sign),
            }
        }
    }
}

/// True when Telegram makes a link of it. It drops other addresses without a word, also of hosts without a dot.
fn is_address(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_known = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => host.contains('.') && !host.starts_with('.') && !host.ends_with('.'),
        "tg" => {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        }
        _ => false,
    };
    is_known
        && address.len() <= ADDRESS_LEN_MAX
        && !address.contains(|sign: char| sign.is_whitespace() || sign.is_control())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    Telegram.escape(text, &mut out);
    out
}

/// The same text in Markdown, for a service that does not take its markup.
pub(super) fn plain(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    let mut address = "";
    while let Some(at) = rest.find('<') {
        let Some(len) = rest[at..].find('>') else { break };
        out.push_str(&rest[..at]);
        let tag = &rest[at + 1..at + len];
        match tag {
            "b" | "/b" => out.push_str("**"),
            "i" | "/i" => out.push('_'),
            "s" | "/s" => out.push_str("~~"),
            "code" if rest[..at].ends_with("<pre>") => out.push_str("```\n"),
            "code" => out.push('`'),
            "/code" if !rest[at + len + 1..].starts_with("</pre>") => out.push('`'),
            "pre" if !rest[at + len + 1..].starts_with("<code") => out.push_str("```\n"),
            "/pre" => out.push_str("\n```"),
            "blockquote" => out.push_str("> "),
            "/a" => {
                out.push_str(" (");
                out.push_str(address);
                out.push(')');
            }
            _ => {
                if let Some(language) = tag.strip_prefix("code class=\"language-") {
                    out.push_str("```");
                    out.push_str(language.trim_end_matches('"'));
                    out.push('\n');
                } else if let Some(href) = tag.strip_prefix("a href=\"") {
                    address = href.trim_end_matches('"');
                }
            }
        }
        rest = &rest[at + len + 1..];
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_telegram_keeps_are_links() {
        for address in ["http://a.b", "HTTPS://a.b/c?d=e#f", "tg://resolve?domain=x"] {
            assert!(is_address(address), "{address}");
        }
        let long = format!("https://a.b/{}", "x".repeat(ADDRESS_LEN_MAX));
        for address in [
            "http://localhost:80/",
            "javascript:alert(1)",
            "./a",
            "mailto:a@b.cd",
            "ftp://a.b",
            "tg://",
            "a",
            &long,
        ] {
            assert!(!is_address(address), "{address}");
        }
    }

    #[test]
    fn what_telegram_does_not_take_is_readable() {
        for (html, expected) in [
            ("a &lt; b &amp;amp; c", "a < b &amp; c"),
            ("<b>a</b> <i>b</i> <s>c</s> <code>d</code>", "**a** _b_ ~~c~~ `d`"),
            ("<pre><code class=\"language-rust\">x</code></pre>", "```rust\nx\n```"),
            ("<pre>x</pre>", "```\nx\n```"),
            ("<a href=\"https://a.b/?c&amp;d\">e</a>", "e (https://a.b/?c&d)"),
            ("<blockquote>x</blockquote>", "> x"),
            ("broken < b", "broken < b"),
        ] {
            assert_eq!(plain(html), expected);
        }
    }
}
