//! Whether the host has a way to anywhere: asked when its only platform cannot be reached.

use crate::file;

/// True when there is a default route. Where that cannot be known, there is one.
pub fn exists() -> bool {
    // Both are made up by the kernel at once; no disk is involved.
    const LEN_MAX: u64 = 4 << 20;
    let table =
        |path| file::read_system(path, LEN_MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (four, six) = (table("/proc/net/route"), table("/proc/net/ipv6_route"));
    match (four, six) {
        (Err(_), Err(_)) => true,
        (four, six) => has_default(&four.unwrap_or_default(), &six.unwrap_or_default()),
    }
}

/// True when one of these tables has a default route on a device other than the loopback.
fn has_default(four: &str, six: &str) -> bool {
    let four = four.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace();
        let (device, destination) = (fields.next(), fields.next());
        let mask = fields.nth(5);
        destination == Some("00000000") && mask == Some("00000000") && device != Some("lo")
    });
    let six = six.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_everything = fields.first().is_some_and(|to| to.bytes().all(|digit| digit == b'0'));
        is_everything && fields.get(1) == Some(&"00") && fields.last().is_some_and(|device| *device != "lo")
    });
    four || six
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[test]
    fn a_default_route_is_found_in_either_table() {
        let four = format!("{HEAD}eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
        let local = format!("{HEAD}eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n");
        let zeros = "0".repeat(32);
        let six = |device: &str| {
            format!("{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 {device}\n")
        };
        assert!(has_default(&four, ""));
        assert!(!has_default(&local, ""));
        assert!(has_default(&local, &six("eth0")));
        assert!(!has_default(HEAD, &six("lo")));
        assert!(!has_default("", ""));
    }
}
