//! `xlvs check-namespace`, a child of the daemon: makes the checks' network namespace, hands out
//! sockets in it, and ends, with all of it, when the daemon does.
//!
//! In the namespace is a link of two ends, `xlvs0` and `xlvs1`. All that TCP sends goes out by
//! `xlvs0`, whatever the address, and all that comes in by it is taken as for this host. A packet
//! socket on `xlvs1` is what the daemon sees of both. Root makes the namespace by its powers; in
//! the unit, which has not got `CAP_SYS_ADMIN`, it belongs to a user namespace of its own.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::Ipv4Addr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::ExitCode,
};

use anyhow::Context;
use futures_util::TryStreamExt;
use netlink_packet_route::{
    link::LinkAttribute,
    route::{RouteScope, RouteType},
    rule::RuleAction,
};
use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    sys::socket::{setsockopt, sockopt::IpTransparent},
};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, send, sendmsg, socket_with,
};
use xlvs_dataplane::PacketSocket;

/// Our own verb, which nobody calls by hand.
pub(super) const VERB: &str = "check-namespace";

/// What is said when a socket is handed over; else it is why not.
pub(super) const HERE: &[u8] = b"here";

/// The Ethernet address of `xlvs0`: only the daemon sends there.
pub(super) const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Serves the daemon, which is at the other end of standard input, until it is gone.
pub fn check_namespace() -> ExitCode {
    let stdin = io::stdin();
    let daemon = stdin.as_fd();
    let made = namespace().and_then(|()| begin());
    let handed = match made {
        Ok(near) => hand(daemon, near.as_fd()),
        Err(error) => say(daemon, &error),
    };
    let mut word = [0; 8];
    let mut goes_on = handed.is_ok();
    while goes_on {
        goes_on = matches!(recv(daemon, &mut word, RecvFlags::empty()), Ok((1.., _)));
        if goes_on {
            let answered = match socket() {
                Ok(socket) => hand(daemon, socket.as_fd()),
                Err(error) => say(daemon, &error.into()),
            };
            goes_on = answered.is_ok();
        }
    }
    ExitCode::SUCCESS
}

fn namespace() -> anyhow::Result<()> {
    let made = match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET),
        other => other,
    };
    made.context(
        "no network namespace may be made (needs CAP_SYS_ADMIN or user namespaces; of a unit, \
         RestrictNamespaces=user net)",
    )
}

/// The namespace's network; the packet socket at its near end.
fn begin() -> anyhow::Result<OwnedFd> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let index = runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        network(&handle).await
    });
    let index = index.context("no link in the namespace")?;
    let near = PacketSocket::sender()?.with_vnet_headers()?;
    near.receive_ipv4(index)?;
    Ok(near.into())
}

/// The link and its routes; the number of `xlvs1`.
async fn network(handle: &Handle) -> anyhow::Result<u32> {
    handle.link().add(LinkVeth::new("xlvs0", "xlvs1").build()).execute().await?;
    let (lo, far) = (index(handle, "lo").await?, index(handle, "xlvs0").await?);
    let near = index(handle, "xlvs1").await?;
    // Neighbours are not asked for: the daemon reads whatever is sent. Small segments leave room
    // for a tunnel's header, and none are merged.
    let link = LinkUnspec::new_with_index(far)
        .address(NEAR_MAC.to_vec())
        .mtu(MTU)
        .append_extra_attribute(LinkAttribute::GsoMaxSegs(1))
        .arp(false)
        .up();
    handle.link().set(link.build()).execute().await?;
    for other in [lo, near] {
        handle.link().set(LinkUnspec::new_with_index(other).up().build()).execute().await?;
    }
    let out = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(far).scope(RouteScope::Link);
    handle.route().add(out.build()).execute().await?;
    let ours = RouteMessageBuilder::<Ipv4Addr>::new()
        .output_interface(lo)
        .table_id(TABLE)
        .kind(RouteType::Local)
        .scope(RouteScope::Host);
    handle.route().add(ours.build()).execute().await?;
    let rule = handle.rule().add().v4().input_interface("xlvs0");
    rule.table_id(TABLE).action(RuleAction::ToTable).priority(1).execute().await?;
    Ok(near)
}

async fn index(handle: &Handle, name: &str) -> anyhow::Result<u32> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let link = links.try_next().await?;
    Ok(link.with_context(|| format!("there is no {name}"))?.header.index)
}

/// A TCP socket that may speak from addresses which are not here.
fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    setsockopt(&socket, IpTransparent, &true)?;
    Ok(socket)
}

fn hand(daemon: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut handed = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket];
    handed.push(SendAncillaryMessage::ScmRights(&sockets));
    sendmsg(daemon, &[IoSlice::new(HERE)], &mut handed, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn say(daemon: BorrowedFd<'_>, error: &anyhow::Error) -> io::Result<()> {
    send(daemon, format!("{error:#}").as_bytes(), SendFlags::NOSIGNAL)?;
    Ok(())
}

/// With any tunnel's header it is at most 1,500.
const MTU: u32 = 1400;

/// Of the route by which everything is ours.
const TABLE: u32 = 100;
