//! Pure. Which markers are emphasis: CommonMark's own algorithm, with what [`super::tokens`] says of each run.

use std::borrow::Cow;
use std::ops::Range;

use super::reader::{Event, Tag};
use super::tokens::{Place, Role, Word, is_inside, role, word};

/// A piece of a line of text, before emphasis is found in it.
pub(super) enum Piece<'a> {
    /// Text that is text.
    Text(Cow<'a, str>),
    /// Anything else that stands in a line.
    Leaf(Event<'a>),
    /// Markers of one kind in a row.
    Run(Run),
}

/// Markers of one kind in a row.
pub(super) struct Run {
    marker: char,
    range: Range<usize>,
    left: usize,
    starts: Vec<Mark>,
    ends: usize,
}

#[derive(Clone, Copy)]
enum Mark {
    Emphasis,
    Strong,
    Strike,
}

/// The kinds of closing runs that find different openers.
const KEYS: usize = 36;

/// A closing run finds no opener before the piece of this number, by the kind of run.
type Bottoms = [u32; KEYS];

/// Adds markers; those that follow each other are one run.
pub(super) fn push<'a>(pieces: &mut Vec<Piece<'a>>, marker: char, range: Range<usize>) {
    if let Some(Piece::Run(run)) = pieces.last_mut()
        && run.marker == marker
        && run.range.end == range.start
    {
        run.range.end = range.end;
        run.left = run.range.len();
        return;
    }
    pieces.push(Piece::Run(Run { marker, left: range.len(), range, starts: Vec::new(), ends: 0 }));
}

/// The pieces as events, with emphasis where it is meant.
pub(super) fn resolve<'a>(
    source: &'a str,
    places: &[Place],
    mut pieces: Vec<Piece<'a>>,
    events: &mut Vec<Event<'a>>,
) {
    if pieces.iter().any(|piece| matches!(piece, Piece::Run(_))) {
        pair(source, places, &mut pieces);
    }
    for piece in pieces {
        match piece {
            Piece::Text(text) => events.push(Event::Text(text)),
            Piece::Leaf(event) => events.push(event),
            Piece::Run(run) => {
                events.extend(std::iter::repeat_with(|| Event::End).take(run.ends));
                if run.left > 0 {
                    let end = run.range.start + run.left;
                    events.push(Event::Text(Cow::Borrowed(&source[run.range.start..end])));
                }
                // What was found last is outermost.
                events.extend(run.starts.iter().rev().map(|mark| {
                    Event::Start(match mark {
                        Mark::Emphasis => Tag::Emphasis,
                        Mark::Strong => Tag::Strong,
                        Mark::Strike => Tag::Strike,
                    })
                }));
            }
        }
    }
}

/// A run that may open.
struct Opener {
    at: usize,
    len: usize,
    role: Role,
}

fn pair(source: &str, places: &[Place], pieces: &mut [Piece<'_>]) {
    let mut openers: Vec<Opener> = Vec::new();
    let mut bottoms: Bottoms = [0; KEYS];
    // Emphasis does not cross the border of a link.
    let mut outer: Vec<(usize, Bottoms)> = Vec::new();
    let mut around = Word::default();
    for at in 0..pieces.len() {
        let base = outer.last().map_or(0, |(base, _)| *base);
        let (marker, range) = match &pieces[at] {
            Piece::Leaf(Event::Start(_)) => {
                outer.push((openers.len(), bottoms));
                continue;
            }
            Piece::Leaf(Event::End) => {
                if let Some((base, before)) = outer.pop() {
                    openers.truncate(base);
                    bottoms = before;
                }
                continue;
            }
            Piece::Leaf(_) | Piece::Text(_) => continue,
            Piece::Run(run) => (run.marker, run.range.clone()),
        };
        if marker == '_' {
            if !around.holds(range.start) {
                around = word(source, range.start);
            }
            if around.is_name {
                continue;
            }
        }
        let mut role = role(source, &range, marker);
        role.opens &= !is_inside(places, range.start);
        let len = range.len();
        if marker == '~' && len != 2 {
            continue;
        }
        if role.closes {
            close(pieces, &mut openers, base, &mut bottoms, at, role);
        }
        let is_left = matches!(&pieces[at], Piece::Run(run) if run.left > 0);
        if role.opens && is_left {
            openers.push(Opener { at, len, role });
        }
    }
}

fn close(
    pieces: &mut [Piece<'_>],
    openers: &mut Vec<Opener>,
    base: usize,
    bottoms: &mut Bottoms,
    at: usize,
    role: Role,
) {
    loop {
        let Piece::Run(run) = &pieces[at] else { return };
        let (marker, left, len) = (run.marker, run.left, run.range.len());
        if left == 0 {
            return;
        }
        let kind = match marker {
            '*' => 0,
            '_' => 1,
            _ => 2,
        };
        let key = ((kind * 2 + usize::from(role.opens)) * 3 + len % 3) * 2 + usize::from(role.globs[1]);
        let bottom = usize::try_from(bottoms[key]).unwrap_or(usize::MAX);
        let found = openers[base..].iter().rposition(|opener| {
            opener.at < bottom
                || matches!(&pieces[opener.at], Piece::Run(run) if run.marker == marker)
                && !(opener.role.globs[0] && role.globs[1])
                // Runs that could do both pair only as CommonMark says, so that `**a*b**` is one thing.
                && !((opener.role.closes || role.opens)
                    && (opener.len + len).is_multiple_of(3)
                    && !(opener.len.is_multiple_of(3) && len.is_multiple_of(3)))
        });
        let Some(found) = found.map(|found| found + base).filter(|found| openers[*found].at >= bottom) else {
            bottoms[key] = u32::try_from(at).unwrap_or(u32::MAX);
            return;
        };
        let open_at = openers[found].at;
        let (head, tail) = pieces.split_at_mut(at);
        let (Piece::Run(open), Piece::Run(run)) = (&mut head[open_at], &mut tail[0]) else { return };
        let (mark, used) = match (marker, open.left.min(run.left)) {
            ('~', _) => (Mark::Strike, 2),
            // Three on both sides: bold outside, italic inside.
            (_, 3) if open.left == run.left => (Mark::Emphasis, 1),
            (_, 1) => (Mark::Emphasis, 1),
            _ => (Mark::Strong, 2),
        };
        open.left -= used;
        open.starts.push(mark);
        run.left -= used;
        run.ends += 1;
        let is_spent = open.left == 0;
        openers.truncate(if is_spent { found } else { found + 1 });
    }
}
