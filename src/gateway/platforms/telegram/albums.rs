//! Pure. Albums of which one part was addressed to us. The service brings the parts one by one, with a caption on one of them
//! at most: when that one is addressed to us, all are.

use std::collections::VecDeque;

use super::translate::Translated;
use crate::gateway::model::message::{ChatId, InboundMessage};

/// Most albums that are remembered; the parts of an album come within seconds.
const ALBUMS_MAX: usize = 64;

/// Albums of which a part was addressed to us, the oldest first.
#[derive(Debug, Default)]
pub struct Albums(VecDeque<(ChatId, String)>);

impl Albums {
    /// Marks every part of an album as addressed to us when `admits` is true of one of its parts: in this batch, in whatever
    /// order, or in one before.
    pub fn join(&mut self, batch: &mut [Translated], admits: impl Fn(&InboundMessage) -> bool) {
        for Translated { message, .. } in batch.iter() {
            if let Some(album) = album(message).filter(|album| !self.0.contains(album))
                && admits(message)
            {
                if self.0.len() == ALBUMS_MAX {
                    self.0.pop_front();
                }
                self.0.push_back(album);
            }
        }
        for Translated { message, .. } in batch {
            message.addressed |= album(message).is_some_and(|album| self.0.contains(&album));
        }
    }
}

/// Returns its album, where it matters.
fn album(message: &InboundMessage) -> Option<(ChatId, String)> {
    let album = message.album.clone().filter(|_| message.is_group)?;
    Some((message.chat.clone(), album))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::testing::message;

    fn part(chat: &str, album: &str, addressed: bool) -> Translated {
        let mut message = message("1", chat, "");
        (message.is_group, message.addressed, message.album) = (true, addressed, Some(album.to_owned()));
        Translated { message, wanted: Vec::new() }
    }

    /// Returns which of these parts are addressed to us in the end.
    fn joined(albums: &mut Albums, parts: &[(&str, &str, bool)]) -> Vec<bool> {
        let mut batch: Vec<_> =
            parts.iter().map(|(chat, album, addressed)| part(chat, album, *addressed)).collect();
        albums.join(&mut batch, |message| message.addressed);
        batch.iter().map(|part| part.message.addressed).collect()
    }

    #[test]
    fn one_part_speaks_for_its_album_before_and_after_and_for_no_other() {
        let mut albums = Albums::default();
        let parts = [("-1", "a", false), ("-1", "a", true), ("-1", "b", false), ("-2", "a", false)];
        assert_eq!(joined(&mut albums, &parts), [true, true, false, false]);
        assert_eq!(joined(&mut albums, &[("-1", "a", false), ("-1", "b", false)]), [true, false]);
        // Messages outside an album stay as they were, also where everything is addressed to us.
        let mut alone = [part("-1", "a", false)];
        alone[0].message.album = None;
        albums.join(&mut alone, |_| true);
        assert!(!alone[0].message.addressed);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut albums = Albums::default();
        for number in 0..=ALBUMS_MAX {
            joined(&mut albums, &[("-1", &number.to_string(), true), ("-1", &number.to_string(), true)]);
        }
        assert_eq!(albums.0.len(), ALBUMS_MAX);
        assert_eq!(joined(&mut albums, &[("-1", "0", false), ("-1", "1", false)]), [false, true]);
    }
}
