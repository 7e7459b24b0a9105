//! Pure. The kernel's messages about links, addresses and routes (rtnetlink), as far as they show that services may now be
//! reached by another route than before.
//!
//! A datagram holds messages, each with a header of 16 bytes (length, type, flags, number, port) and padded to 4; numbers have
//! the byte order of the machine.

use std::collections::BTreeMap;

/// The multicast groups: links, IPv4 addresses and routes, IPv6 addresses and routes.
pub const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

const HEADER_LEN: usize = 16;

const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;

/// The flag of a link that is running.
const IS_RUNNING: u32 = 0x40;

/// The first scope that ends at this host.
const SCOPE_HOST: u8 = 254;

/// The table in which the kernel keeps this host's own addresses.
const TABLE_LOCAL: u8 = 255;

/// The type of a route to a destination, rather than a refusal.
const UNICAST: u8 = 1;

/// The flag of a route that the kernel made for one destination.
const IS_CLONED: u32 = 0x200;

/// The links reported so far. The kernel repeats itself: a radio link is mentioned whenever its quality changes.
#[derive(Debug, Default)]
pub struct Links {
    running: BTreeMap<u32, bool>,
}

impl Links {
    /// Reads a datagram; returns true when the route to any destination may have changed. Unreadable parts are ignored.
    pub fn hear(&mut self, datagram: &[u8]) -> bool {
        let mut rest = datagram;
        let mut is_news = false;
        while let (Some(length), Some(kind)) = (u32_at(rest, 0), u16_at(rest, 4)) {
            let Some(body) = usize::try_from(length).ok().and_then(|length| rest.get(HEADER_LEN..length))
            else {
                break;
            };
            is_news |= self.hear_message(kind, body).unwrap_or(false);
            let next = (HEADER_LEN + body.len()).next_multiple_of(4);
            rest = rest.get(next..).unwrap_or_default();
        }
        is_news
    }

    fn hear_message(&mut self, kind: u16, body: &[u8]) -> Option<bool> {
        match kind {
            // family, pad, type: u16, index: i32, flags: u32, change: u32
            NEW_LINK => {
                let is_running = u32_at(body, 8)? & IS_RUNNING != 0;
                let before = self.running.insert(u32_at(body, 4)?, is_running);
                // A link that was never mentioned before is news only when it now runs.
                Some(before.unwrap_or(false) != is_running)
            }
            DEL_LINK => Some(self.running.remove(&u32_at(body, 4)?) != Some(false)),
            // family, prefix length, flags, scope, index: u32
            NEW_ADDRESS => Some(*body.get(3)? < SCOPE_HOST),
            // family, lengths of destination and source, tos, table, protocol, scope, type, flags: u32
            NEW_ROUTE | DEL_ROUTE => {
                let (table, kind) = (*body.get(4)?, *body.get(7)?);
                Some(table != TABLE_LOCAL && kind == UNICAST && u32_at(body, 8)? & IS_CLONED == 0)
            }
            _other => Some(false),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_LEN + body.len()).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link(kind: u16, index: u32, flags: u32) -> Vec<u8> {
        message(kind, &[&[0; 4][..], &index.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]].concat())
    }

    fn route(kind: u16, table: u8, kind_of_route: u8, flags: u32) -> Vec<u8> {
        message(kind, &[&[2, 0, 0, 0, table, 4, 0, kind_of_route][..], &flags.to_ne_bytes()].concat())
    }

    fn address(scope: u8) -> Vec<u8> {
        message(NEW_ADDRESS, &[2, 24, 0, scope, 1, 0, 0, 0])
    }

    #[test]
    fn routes_and_addresses_that_lead_somewhere_are_news() {
        let mut links = Links::default();
        assert!(links.hear(&route(NEW_ROUTE, 254, UNICAST, 0)));
        assert!(links.hear(&route(DEL_ROUTE, 254, UNICAST, 0)), "the one below it may lead somewhere");
        assert!(!links.hear(&route(NEW_ROUTE, TABLE_LOCAL, 2, 0)));
        assert!(!links.hear(&route(NEW_ROUTE, 254, 7, 0)), "unreachable");
        assert!(!links.hear(&route(NEW_ROUTE, 254, UNICAST, IS_CLONED)));
        assert!(links.hear(&address(0)));
        assert!(!links.hear(&address(SCOPE_HOST)));
    }

    #[test]
    fn a_link_is_news_when_it_begins_or_ends_to_carry() {
        let mut links = Links::default();
        assert!(!links.hear(&link(NEW_LINK, 3, 0)));
        assert!(links.hear(&link(NEW_LINK, 3, IS_RUNNING)));
        assert!(!links.hear(&link(NEW_LINK, 3, IS_RUNNING | 1)), "its quality changed");
        assert!(links.hear(&link(NEW_LINK, 3, 1)));
        assert!(!links.hear(&link(DEL_LINK, 3, 0)), "it carried nothing");
        assert!(links.hear(&link(DEL_LINK, 4, 0)), "nothing is known of it");
        assert!(links.running.is_empty());
    }

    #[test]
    fn each_message_of_a_datagram_is_heard() {
        let datagram = [address(SCOPE_HOST), message(99, &[1]), address(0)].concat();
        assert!(Links::default().hear(&datagram));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..60) {
            let mut links = Links::default();
            links.hear(&bytes);
            let whole = [address(SCOPE_HOST), link(NEW_LINK, 1, 0), route(NEW_ROUTE, 254, 1, 0)].concat();
            links.hear(&whole[..whole.len() - cut]);
        }
    }
}
