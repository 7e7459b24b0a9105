//! The HTML that Telegram accepts, and the length of its text.

/// Returns the text without its tags. Err: the service's error, or what it would do in silence.
pub(crate) fn parse(html: &str) -> Result<String, String> {
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '>', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(left) = rest.strip_prefix('&') {
            let end = left.find(';').ok_or("can't parse entities: unclosed entity")?;
            text.push(match &left[..end] {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                other => return Err(format!("can't parse entities: unknown entity {other}")),
            });
            rest = &left[end + 1..];
        } else if let Some(left) = rest.strip_prefix('<') {
            let end = left.find('>').ok_or("can't parse entities: unclosed start tag")?;
            let tag = &left[..end];
            if let Some(name) = tag.strip_prefix('/') {
                let (last, start) = open.pop().ok_or("can't parse entities: unexpected end tag")?;
                if last != name {
                    return Err(format!("can't parse entities: unexpected end tag {name}"));
                }
                if text[start..].trim().is_empty() {
                    return Err(format!("can't parse entities: nothing in {name}"));
                }
            } else {
                open.push((begin(tag, &open)?, text.len()));
            }
            rest = &left[end + 1..];
        } else {
            text.push('>');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    match open.pop() {
        Some((name, _)) => Err(format!("can't parse entities: can't find end tag of {name}")),
        None => Ok(text),
    }
}

/// Returns the name of the tag, when it may stand within those that are open.
fn begin(tag: &str, open: &[(String, usize)]) -> Result<String, String> {
    let (name, attribute) = tag.split_once(' ').unwrap_or((tag, ""));
    let known = ["b", "strong", "i", "em", "u", "s", "a", "code", "pre", "blockquote", "tg-spoiler"];
    if !known.contains(&name) {
        return Err(format!("can't parse entities: unsupported start tag \"{name}\""));
    }
    let inside = |other: &str| open.iter().any(|(name, _)| name == other);
    let value = |key: &str| attribute.strip_prefix(key).and_then(|value| value.strip_suffix('"'));
    let is_good = match name {
        // A link that is code, or in code, is lost.
        "a" => {
            let address = value("href=\"").unwrap_or_default();
            ["http://", "https://", "tg://"]
                .iter()
                .any(|scheme| address.to_ascii_lowercase().starts_with(scheme))
                && !["a", "code", "pre"].into_iter().any(inside)
        }
        "code" => {
            !inside("code")
                && !inside("a")
                && (attribute.is_empty() || inside("pre") && value("class=\"language-").is_some())
        }
        "blockquote" => attribute.is_empty() && !inside("blockquote"),
        _ => attribute.is_empty(),
    };
    if is_good { Ok(name.to_owned()) } else { Err(format!("can't parse entities: <{tag}> in {open:?}")) }
}
