//! Which addresses an endpoint may be reached at.
//!
//! In comes an address as it was resolved, which is the one that would be dialled; out goes what speaks against it, if
//! anything. An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4, …) is judged as that one too: a translator on
//! the way would make it that.
//!
//! **Invariant:** pure, and independent of the name that led to the address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::endpoint::Network;

/// What speaks against dialling `address`, as the end of a sentence that begins with it.
pub(super) fn objection(address: IpAddr, network: Network) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => objection_v4(address, network),
        IpAddr::V6(address) => {
            let carried = carried(address);
            let judge = |network| carried.iter().flatten().find_map(|carried| objection_v4(*carried, network));
            // What is never dialled is said before what is merely not public.
            judge(Network::Any).or_else(|| judge(network)).or_else(|| objection_v6(address, network))
        }
    }
}

/// Whether what is sent to `address` arrives at `listener`. `is_local` says whether an address is one of this host's.
pub(super) fn arrives_at(listener: SocketAddr, address: SocketAddr, is_local: impl Fn(IpAddr) -> bool) -> bool {
    let (listening, dialled) = (listener.ip().to_canonical(), address.ip().to_canonical());
    if listener.port() != address.port() {
        return false;
    }
    // A listener on `::` takes IPv4 as well.
    let takes_all = listening.is_unspecified() && (listening.is_ipv6() || dialled.is_ipv4());
    listening == dialled || takes_all && (dialled.is_loopback() || is_local(dialled))
}

fn objection_v4(address: Ipv4Addr, network: Network) -> Option<&'static str> {
    let [first, second, third, _] = address.octets();
    let is_public = || match (first, second, third) {
        (10 | 127, ..) | (172, 16..=31, _) | (192, 168, _) => false,
        // Shared by carriers (RFC 6598), protocol assignments, documentation, 6to4 relays, benchmarks, reserved.
        (100, 64..=127, _) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) => false,
        (198, 51, 100) | (203, 0, 113) | (240.., ..) => false,
        _ => true,
    };
    match first {
        0 => Some(UNSPECIFIED),
        _ if METADATA_V4.contains(&address) => Some(METADATA),
        169 if second == 254 => Some(LINK_LOCAL),
        _ if address.is_multicast() || address.is_broadcast() => Some(MULTICAST),
        _ => (network == Network::Public && !is_public()).then_some(NOT_PUBLIC),
    }
}

fn objection_v6(address: Ipv6Addr, network: Network) -> Option<&'static str> {
    let is_public = || match address.segments() {
        // NAT64 (RFC 6052), whose IPv4 address was judged before.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => true,
        // Protocol assignments, Teredo among them; documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // The global unicast space (RFC 4291); nothing beyond has been assigned to anybody.
        [first, ..] => first & 0xe000 == 0x2000,
    };
    match address.segments() {
        _ if address.is_unspecified() => Some(UNSPECIFIED),
        _ if METADATA_V6.contains(&address) => Some(METADATA),
        [0xfe80..=0xfebf, ..] => Some(LINK_LOCAL),
        [0xff00..=0xffff, ..] => Some(MULTICAST),
        _ => (network == Network::Public && !is_public()).then_some(NOT_PUBLIC),
    }
}

/// The IPv4 addresses inside an IPv6 one that is not mapped.
fn carried(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let bits = address.to_bits();
    let last = Some(Ipv4Addr::from_bits(bits as u32));
    match address.segments() {
        // `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 4],
        // Compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052), ISATAP (RFC 5214).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => [last, None, None, None],
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [last, None, None, None],
        [0x64, 0xff9b, 1, ..] => carried_by_local_nat64(bits),
        // 6to4 (RFC 3056).
        [0x2002, ..] => [Some(Ipv4Addr::from_bits((bits >> 80) as u32)), None, None, None],
        // Teredo (RFC 4380): the server, and the client in complement.
        [0x2001, 0, ..] => [Some(Ipv4Addr::from_bits((bits >> 64) as u32)), last.map(|last| !last), None, None],
        _ => [None; 4],
    }
}

/// A site's own NAT64 (RFC 8215) may have a prefix of 48, 56, 64 or 96 bits, and only the site knows which. Where one
/// guess finds the address, the others find nothing but zeros in front, so those do not count.
fn carried_by_local_nat64(bits: u128) -> [Option<Ipv4Addr>; 4] {
    // But for the longest prefix the octet after the first 64 bits is left out (RFC 6052, section 2.2).
    let squeezed = bits >> 64 << 56 | bits & ((1 << 56) - 1);
    [bits as u32, (squeezed >> 40) as u32, (squeezed >> 32) as u32, (squeezed >> 24) as u32]
        .map(|bits| Some(Ipv4Addr::from_bits(bits)).filter(|address| address.octets()[0] != 0))
}

const LINK_LOCAL: &str = "is a link-local address, which is never dialled";
const METADATA: &str = "is a cloud's metadata service, which is never dialled";
const MULTICAST: &str = "is a multicast address, which is never dialled";
const NOT_PUBLIC: &str = "is not a public address, and `network` is \"public\"";
const UNSPECIFIED: &str = "is an unspecified address, which is never dialled";

/// Besides the link-local `169.254.0.0/16`: Alibaba Cloud, Azure, Oracle Cloud; and the usual one, for its name's sake.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// AWS (instances, EKS pods), Google Cloud, Scaleway.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(address: &str) -> [Option<&'static str>; 2] {
        [Network::Any, Network::Public].map(|network| objection(address.parse().unwrap(), network))
    }

    #[test]
    fn public_addresses_are_dialled_by_any_and_by_public() {
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert_eq!(judge(address), [None, None], "{address}");
        }
    }

    #[test]
    fn private_addresses_are_dialled_by_any_alone() {
        for address in [
            "10.0.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "240.0.0.1",
            "255.255.255.254",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "100::1",
            "2001:db8::1",
            "2001:10::1",
            "3fff::1",
            "5f00::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "::1.1.1.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1.1.1.1",
            "2002:a00:1::1",
            "2a00:1450::5efe:10.0.0.1",
        ] {
            assert_eq!(judge(address), [None, Some(NOT_PUBLIC)], "{address}");
        }
    }

    #[test]
    fn some_addresses_are_never_dialled_however_they_are_written() {
        for (addresses, why) in [
            (&["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "64:ff9b::0.0.0.0", "2002::1"][..], UNSPECIFIED),
            (
                &["169.254.0.1", "169.254.170.2", "fe80::1", "febf::1", "::ffff:169.254.1.1", "::169.254.1.1", "2002:a9fe:101::"],
                LINK_LOCAL,
            ),
            (
                &[
                    "169.254.169.254",
                    "100.100.100.200",
                    "168.63.129.16",
                    "192.0.0.192",
                    "fd00:ec2::254",
                    "fd00:ec2::23",
                    "fd20:ce::254",
                    "fd00:42::42",
                    "::ffff:169.254.169.254",
                    "::169.254.169.254",
                    "::ffff:0:169.254.169.254",
                    "64:ff9b::169.254.169.254",
                    "64:ff9b:1::169.254.169.254",
                    "64:ff9b:1:a9fe:a9:fe00::",
                    "64:ff9b:1:a9:fe:a9fe::",
                    "64:ff9b:1:0:a9:fea9:fe00::",
                    "2002:a9fe:a9fe::1",
                    "2001:0:a9fe:a9fe::1",
                    "2001:0:102:304::5601:5601",
                    "2a00:1450::5efe:169.254.169.254",
                    "2a00:1450::200:5efe:169.254.169.254",
                ],
                METADATA,
            ),
            (&["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::1", "::ffff:224.0.0.1"], MULTICAST),
        ] {
            for address in addresses {
                assert_eq!(judge(address), [Some(why); 2], "{address}");
            }
        }
    }

    #[test]
    fn a_listener_is_recognised_at_every_address_that_leads_to_it() {
        let is_local = |address: IpAddr| address == "192.168.1.5".parse::<IpAddr>().unwrap();
        for (listener, address, arrives) in [
            ("127.0.0.1:7070", "127.0.0.1:7070", true),
            ("127.0.0.1:7070", "[::ffff:127.0.0.1]:7070", true),
            ("127.0.0.1:7070", "127.0.0.1:7071", false),
            ("127.0.0.1:7070", "127.0.0.2:7070", false),
            ("127.0.0.1:7070", "[::1]:7070", false),
            ("192.168.1.5:7070", "192.168.1.5:7070", true),
            ("192.168.1.5:7070", "127.0.0.1:7070", false),
            ("0.0.0.0:7070", "127.9.9.9:7070", true),
            ("0.0.0.0:7070", "192.168.1.5:7070", true),
            ("0.0.0.0:7070", "192.168.1.6:7070", false),
            ("0.0.0.0:7070", "[::1]:7070", false),
            ("[::]:7070", "[::1]:7070", true),
            ("[::]:7070", "127.0.0.1:7070", true),
            ("[::]:7070", "192.168.1.5:7070", true),
            ("[::]:7070", "8.8.8.8:7070", false),
        ] {
            assert_eq!(
                arrives_at(listener.parse().unwrap(), address.parse().unwrap(), is_local),
                arrives,
                "{listener} {address}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_public_allows_any_allows_too(bits: u128, v4: u32) {
            for address in [IpAddr::from(Ipv6Addr::from_bits(bits)), IpAddr::from(Ipv4Addr::from_bits(v4))] {
                prop_assert!(objection(address, Network::Public).is_some() || objection(address, Network::Any).is_none());
            }
        }

        #[test]
        fn a_mapped_address_is_judged_as_the_one_it_is(v4: u32) {
            let address = Ipv4Addr::from_bits(v4);
            for network in [Network::Any, Network::Public] {
                prop_assert_eq!(objection(address.to_ipv6_mapped().into(), network), objection(address.into(), network));
            }
        }
    }
}
