//! Which offloads of an interface merge received frames, asked by ethtool's netlink family.
//!
//! XDP in generic mode sees frames after the kernel has merged them (GRO), longer than any MTU:
//! they cannot be forwarded as they are. This only reads; switching is for the person.

use std::io;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

/// Those that are on, by the names that `ethtool -K` takes.
pub(crate) fn merging_offloads(interface: &str) -> io::Result<Vec<&'static str>> {
    let active = active_features(interface)?;
    let on = MERGING.iter().filter(|(feature, _)| active.iter().any(|name| name == feature));
    Ok(on.map(|(_, option)| *option).collect())
}

/// The names of an interface's active features: `ethtool -k`.
fn active_features(interface: &str) -> io::Result<Vec<String>> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    let name = attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0");
    let answer = ask(&socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name)?;
    let family = find(&answer, CTRL_ATTR_FAMILY_ID)
        .and_then(|id| Some(u16::from_ne_bytes(id.try_into().ok()?)))
        .ok_or(io::ErrorKind::InvalidData)?;
    let mut text = interface.as_bytes().to_vec();
    text.push(0);
    let header = attribute(FEATURES_HEADER | NLA_F_NESTED, &attribute(HEADER_DEV_NAME, &text));
    let answer = ask(&socket, family, MSG_FEATURES_GET, &header)?;
    let bits = find(&answer, FEATURES_ACTIVE).and_then(|bitset| find(bitset, BITSET_BITS));
    // Only set bits are listed: the set has no mask.
    let names = attributes(bits.unwrap_or_default()).filter_map(|(_, bit)| find(bit, BIT_NAME));
    Ok(names.map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()).collect())
}

/// One request, and the attributes of its answer.
fn ask(socket: &Socket, family: u16, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADERS + attributes.len());
    let length = u32::try_from(HEADERS + attributes.len()).map_err(io::Error::other)?;
    message.extend(length.to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence and port: one request at a time, the kernel knows us
    message.extend([command, 1, 0, 0]);
    message.extend(attributes);
    socket.send_to(&message, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let kind = answer.get(4..6).map(|b| [b[0], b[1]]).map(u16::from_ne_bytes);
    if kind == Some(NLMSG_ERROR) {
        let code = answer.get(16..20).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
        return Err(io::Error::from_raw_os_error(-code));
    }
    answer.get(HEADERS..).map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).expect("names are short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Kind and value of each attribute; ends at the first that does not fit.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & !NLA_F_NESTED;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Feature, and the option of `ethtool -K` that switches it.
const MERGING: [(&str, &str); 3] =
    [("rx-gro", "gro"), ("rx-lro", "lro"), ("rx-gro-hw", "rx-gro-hw")];

/// `struct nlmsghdr` and `struct genlmsghdr`.
const HEADERS: usize = 20;

// linux/netlink.h, linux/genetlink.h
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

// linux/ethtool_netlink.h
const MSG_FEATURES_GET: u8 = 11;
const FEATURES_HEADER: u16 = 1;
const FEATURES_ACTIVE: u16 = 4;
const HEADER_DEV_NAME: u16 = 2;
const BITSET_BITS: u16 = 3;
const BIT_NAME: u16 = 2;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn attributes_are_written_and_read() {
        let bytes = [attribute(7, b"abcde"), attribute(9 | NLA_F_NESTED, b"")].concat();
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(7, &b"abcde"[..]), (9, &b""[..])]);
        assert_eq!(find(&bytes, 7), Some(&b"abcde"[..]));
        assert_eq!(find(&bytes, 8), None);
    }

    #[test]
    fn broken_attributes_end_the_list() {
        for bytes in
            [&b""[..], b"\x08", b"\x08\0\x01\0", b"\0\0\x01\0\0\0\0\0", b"\xff\xff\x01\0abcd"]
        {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }

    #[test]
    fn the_loopback_interface_has_features() {
        let active = active_features("lo").unwrap();
        assert!(active.iter().any(|name| name == "loopback"), "{active:?}");
        assert!(!merging_offloads("lo").unwrap().contains(&"lro"));
        let missing = active_features("none-such").unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(19), "ENODEV");
    }
}
