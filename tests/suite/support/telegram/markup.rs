//! What Telegram takes as HTML, and how long it is then.

/// The text without its tags. Err: what the service says of it.
pub(crate) fn parse(html: &str) -> Result<String, String> {
    let mut open: Vec<String> = Vec::new();
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
                let last = open.pop();
                if last.as_deref() != Some(name) {
                    return Err(format!("can't parse entities: unexpected end tag {name}"));
                }
            } else {
                let name = tag.split(' ').next().unwrap_or_default();
                let known =
                    ["b", "strong", "i", "em", "u", "s", "a", "code", "pre", "blockquote", "tg-spoiler"];
                if !known.contains(&name) {
                    return Err(format!("can't parse entities: unsupported start tag \"{name}\""));
                }
                open.push(name.to_owned());
            }
            rest = &left[end + 1..];
        } else {
            text.push('>');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    match open.pop() {
        Some(name) => Err(format!("can't parse entities: can't find end tag of {name}")),
        None => Ok(text),
    }
}
