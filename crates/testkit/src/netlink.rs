//! A small blocking rtnetlink: links, addresses, routes.
//!
//! A [`Netlink`] stays in the namespace it was opened in, whoever uses it later. Every request is
//! acknowledged by the kernel before a call returns. `rtnetlink(7)`, `netlink(7)`.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send};

use crate::{Error, Result, error::Tried};

/// A conversation with the kernel about one namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It is up.
    pub up: bool,
    /// It is the loopback interface.
    pub loopback: bool,
}

/// An IPv4 address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface that has it.
    pub index: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of the network.
    pub prefix: u8,
}

impl Netlink {
    /// Opens one for the calling thread's namespace.
    pub fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
            .tried(|| "open a netlink socket".to_owned())?;
        Ok(Self { socket })
    }

    /// The interfaces.
    pub fn links(&self) -> Result<Vec<Link>> {
        let request = Request::new(libc::RTM_GETLINK, DUMP, &[0; IFINFO]);
        let answers = self.exchange(request).tried(|| "list the interfaces".to_owned())?;
        Ok(answers.iter().filter_map(parse_link).collect())
    }

    /// The number of an interface.
    pub fn index(&self, name: &str) -> Result<u32> {
        let found = self.links()?.into_iter().find(|link| link.name == name);
        found.map(|link| link.index).ok_or_else(|| Error::Refused {
            what: format!("find the interface {name}"),
            source: io::Error::from_raw_os_error(libc::ENODEV),
        })
    }

    /// Makes a bridge.
    pub fn add_bridge(&self, name: &str) -> Result<()> {
        let request = Request::new(libc::RTM_NEWLINK, CREATE, &[0; IFINFO])
            .text(libc::IFLA_IFNAME, name)
            .nest(libc::IFLA_LINKINFO, |info| info.text(libc::IFLA_INFO_KIND, "bridge"));
        self.exchange(request).tried(|| format!("make the bridge {name}")).map(drop)
    }

    /// Makes a pair of interfaces that are each other's wire: `near` here, `far` in another
    /// namespace.
    pub fn add_veth(&self, near: &VethEnd<'_>, far: &VethEnd<'_>, there: &File) -> Result<()> {
        let descriptor = there.as_raw_fd().cast_unsigned();
        let request = Request::new(libc::RTM_NEWLINK, CREATE, &[0; IFINFO]).veth_end(near).nest(
            libc::IFLA_LINKINFO,
            |info| {
                info.text(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |data| {
                    data.nest(VETH_INFO_PEER, |peer| {
                        let peer = peer.raw(&[0; IFINFO]).veth_end(far);
                        peer.number(libc::IFLA_NET_NS_FD, descriptor)
                    })
                })
            },
        );
        self.exchange(request)
            .tried(|| format!("make the wire between {} and {}", near.name, far.name))
            .map(drop)
    }

    /// Plugs an interface into a bridge.
    pub fn enslave(&self, name: &str, bridge: &str) -> Result<()> {
        let header = link_header(self.index(name)?, 0, 0);
        let request = Request::new(libc::RTM_NEWLINK, ACK, &header)
            .number(libc::IFLA_MASTER, self.index(bridge)?);
        self.exchange(request).tried(|| format!("plug {name} into {bridge}")).map(drop)
    }

    /// Attaches an XDP program to an interface, in the driver; it stays as long as the interface.
    pub fn attach_xdp(&self, name: &str, program: &OwnedFd) -> Result<()> {
        let header = link_header(self.index(name)?, 0, 0);
        let request = Request::new(libc::RTM_NEWLINK, ACK, &header).nest(IFLA_XDP, |xdp| {
            xdp.number(IFLA_XDP_FD, program.as_raw_fd().cast_unsigned())
                .number(IFLA_XDP_FLAGS, XDP_FLAGS_DRV_MODE)
        });
        self.exchange(request).tried(|| format!("attach an XDP program to {name}")).map(drop)
    }

    /// Sets an interface up or down.
    pub fn set_up(&self, name: &str, up: bool) -> Result<()> {
        let up_flag = libc::IFF_UP.cast_unsigned();
        let header = link_header(self.index(name)?, if up { up_flag } else { 0 }, up_flag);
        let request = Request::new(libc::RTM_NEWLINK, ACK, &header);
        let state = if up { "up" } else { "down" };
        self.exchange(request).tried(|| format!("set {name} {state}")).map(drop)
    }

    /// Gives an interface an address.
    pub fn add_address(&self, interface: &str, address: Ipv4Addr, prefix: u8) -> Result<()> {
        let request = self.address(libc::RTM_NEWADDR, CREATE, interface, address, prefix)?;
        self.exchange(request)
            .tried(|| format!("give {interface} the address {address}/{prefix}"))
            .map(drop)
    }

    /// Takes an address away.
    pub fn remove_address(&self, interface: &str, address: Ipv4Addr, prefix: u8) -> Result<()> {
        let request = self.address(libc::RTM_DELADDR, ACK, interface, address, prefix)?;
        self.exchange(request)
            .tried(|| format!("take the address {address}/{prefix} from {interface}"))
            .map(drop)
    }

    /// The IPv4 addresses of the namespace.
    pub fn addresses(&self) -> Result<Vec<Address>> {
        let mut header = [0; IFADDR];
        header[0] = FAMILY_INET;
        let request = Request::new(libc::RTM_GETADDR, DUMP, &header);
        let answers = self.exchange(request).tried(|| "list the addresses".to_owned())?;
        Ok(answers.iter().filter_map(parse_address).collect())
    }

    /// Adds a route through a gateway; prefix 0 makes it the default.
    pub fn add_route(&self, to: Ipv4Addr, prefix: u8, via: Ipv4Addr) -> Result<()> {
        self.exchange(route(libc::RTM_NEWROUTE, CREATE, to, prefix, via))
            .tried(|| format!("add the route {to}/{prefix} via {via}"))
            .map(drop)
    }

    /// Removes a route through a gateway.
    pub fn remove_route(&self, to: Ipv4Addr, prefix: u8, via: Ipv4Addr) -> Result<()> {
        self.exchange(route(libc::RTM_DELROUTE, ACK, to, prefix, via))
            .tried(|| format!("remove the route {to}/{prefix} via {via}"))
            .map(drop)
    }

    fn address(
        &self,
        kind: u16,
        flags: u16,
        interface: &str,
        address: Ipv4Addr,
        prefix: u8,
    ) -> Result<Request> {
        let mut header = [0; IFADDR];
        header[..2].copy_from_slice(&[FAMILY_INET, prefix]);
        header[4..].copy_from_slice(&self.index(interface)?.to_ne_bytes());
        Ok(Request::new(kind, flags, &header)
            .attribute(libc::IFA_LOCAL, &address.octets())
            .attribute(libc::IFA_ADDRESS, &address.octets()))
    }

    /// Sends a request and reads until its acknowledgement or the end of the dump.
    fn exchange(&self, request: Request) -> io::Result<Vec<Message>> {
        send(&self.socket, &request.finish(), SendFlags::empty())?;
        let mut messages = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let (length, _) = recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
            for message in split(&buffer[..length]) {
                match i32::from(message.kind) {
                    libc::NLMSG_ERROR => {
                        let code = read_u32(&message.body, 0).unwrap_or(0).cast_signed();
                        let refused = io::Error::from_raw_os_error(-code);
                        return if code == 0 { Ok(messages) } else { Err(refused) };
                    }
                    libc::NLMSG_DONE => return Ok(messages),
                    _ => messages.push(message),
                }
            }
        }
    }
}

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// The interface's name.
    pub name: &'a str,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its MTU.
    pub mtu: u32,
}

/// A message from the kernel: its kind and what follows the header.
struct Message {
    kind: u16,
    body: Vec<u8>,
}

/// A request under construction.
struct Request {
    bytes: Vec<u8>,
}

impl Request {
    fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let flags = flags | REQUEST;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(header);
        Self { bytes }
    }

    fn attribute(self, kind: u16, value: &[u8]) -> Self {
        self.nest(kind, |inside| inside.raw(value))
    }

    fn text(self, kind: u16, value: &str) -> Self {
        self.nest(kind, |inside| inside.raw(value.as_bytes()).raw(&[0]))
    }

    fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    fn veth_end(self, end: &VethEnd<'_>) -> Self {
        self.text(libc::IFLA_IFNAME, end.name)
            .attribute(libc::IFLA_ADDRESS, &end.mac)
            .number(libc::IFLA_MTU, end.mtu)
    }

    /// An attribute whose value is whatever `fill` appends, padded to four bytes.
    fn nest(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let mut filled = fill(self);
        let length = u16::try_from(filled.bytes.len() - start).expect("requests are short");
        filled.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        filled.bytes.resize(align(filled.bytes.len()), 0);
        filled
    }

    fn raw(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("requests are short");
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }
}

fn link_header(index: u32, flags: u32, change: u32) -> [u8; IFINFO] {
    let mut header = [0; IFINFO];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

fn route(kind: u16, flags: u16, to: Ipv4Addr, prefix: u8, via: Ipv4Addr) -> Request {
    let (table, protocol) = (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC);
    let (scope, unicast) = (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST);
    let header = [FAMILY_INET, prefix, 0, 0, table, protocol, scope, unicast, 0, 0, 0, 0];
    Request::new(kind, flags, &header)
        .attribute(libc::RTA_DST, &to.octets())
        .attribute(libc::RTA_GATEWAY, &via.octets())
}

fn split(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(length) = read_u32(bytes, 0).map(|length| length as usize) {
        if length < HEADER || length > bytes.len() {
            break;
        }
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        messages.push(Message { kind, body: bytes[HEADER..length].to_vec() });
        bytes = &bytes[align(length).min(bytes.len())..];
    }
    messages
}

/// The attributes after a message's fixed part.
fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        if length < 4 || length > bytes.len() {
            break;
        }
        found.push((u16::from_ne_bytes([bytes[2], bytes[3]]), &bytes[4..length]));
        bytes = &bytes[align(length).min(bytes.len())..];
    }
    found
}

fn parse_link(message: &Message) -> Option<Link> {
    let flags = read_u32(&message.body, 8)?.cast_signed();
    let attributes = attributes(message.body.get(IFINFO..)?);
    let (_, name) = attributes.into_iter().find(|(kind, _)| *kind == libc::IFLA_IFNAME)?;
    let name = name.strip_suffix(&[0]).unwrap_or(name);
    Some(Link {
        index: read_u32(&message.body, 4)?,
        name: String::from_utf8_lossy(name).into_owned(),
        up: flags & libc::IFF_UP != 0,
        loopback: flags & libc::IFF_LOOPBACK != 0,
    })
}

fn parse_address(message: &Message) -> Option<Address> {
    let attributes = attributes(message.body.get(IFADDR..)?);
    let (_, local) = attributes.into_iter().find(|(kind, _)| *kind == libc::IFA_LOCAL)?;
    let octets: [u8; 4] = local.try_into().ok()?;
    let (index, prefix) = (read_u32(&message.body, 4)?, message.body[1]);
    Some(Address { index, address: octets.into(), prefix })
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
}

const fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// Lengths of `nlmsghdr`, `ifinfomsg`, `ifaddrmsg`.
const HEADER: usize = 16;
const IFINFO: usize = 16;
const IFADDR: usize = 8;
const FAMILY_INET: u8 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_XDP: u16 = 0x2b | 0x8000; // NLA_F_NESTED, which this one insists on
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const XDP_FLAGS_DRV_MODE: u32 = 4;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// `NLM_F_CREATE` and `NLM_F_EXCL` too: what is there already is an error that says so.
const CREATE: u16 = ACK | 0x400 | 0x200;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test is a panic")]
    use super::*;

    #[test]
    fn nested_attributes_carry_their_lengths_and_padding() {
        let request = Request::new(16, ACK, &[]).nest(18, |inside| inside.text(1, "ab"));
        let bytes = request.finish();
        let expected: &[u8] = &[
            28, 0, 0, 0, 16, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, // header
            12, 0, 18, 0, // the nest: 4 + 8
            7, 0, 1, 0, b'a', b'b', 0, 0, // "ab", its NUL and one of padding
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn truncated_messages_are_left_out() {
        let mut bytes = Request::new(16, 0, &[1, 2, 3, 4]).finish();
        assert_eq!(split(&bytes).len(), 1);
        bytes.pop();
        assert_eq!(split(&bytes).len(), 0);
        assert!(attributes(&[9, 0, 1, 0, 5]).is_empty());
    }

    #[test]
    fn the_loopback_interface_is_found_with_its_address() {
        let netlink = Netlink::open().unwrap();
        let loopback = netlink.links().unwrap().into_iter().find(|link| link.loopback).unwrap();
        assert_eq!(loopback.name, "lo");
        let addresses = netlink.addresses().unwrap();
        let home = Address { index: loopback.index, address: Ipv4Addr::LOCALHOST, prefix: 8 };
        assert!(addresses.contains(&home) || !loopback.up, "{addresses:?}");
    }
}
