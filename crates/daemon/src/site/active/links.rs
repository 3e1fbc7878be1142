//! The host's interfaces and their addresses, by rtnetlink in the daemon's namespace.

use std::{io, net::IpAddr, time::Duration};

use futures_util::TryStreamExt;
use netlink_packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkLayerType, LinkMessage},
};
use rtnetlink::{Error, Handle};
use tokio::{task::AbortHandle, time::sleep};
use tracing::debug;
use xlvs_dataplane::arp_announce;

use super::plan::{Held, Link, Sight};

/// A connection to rtnetlink.
pub(super) struct Links(Handle);

impl Links {
    /// Opens it. Needs a tokio runtime.
    pub(super) fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    /// What is there.
    pub(super) async fn look(&self) -> Result<Sight, Error> {
        let mut sight = Sight::default();
        let mut links = self.0.link().get().execute();
        while let Some(link) = links.try_next().await? {
            sight.links.extend(named(&link));
        }
        let mut addresses = self.0.address().get().execute();
        while let Some(message) = addresses.try_next().await? {
            let header = &message.header;
            if let (AddressFamily::Inet, Some(IpAddr::V4(address))) =
                (header.family, local(&message))
            {
                sight.addresses.push((header.index, address, header.prefix_len));
            }
        }
        Ok(sight)
    }

    /// Puts an address on. False: somebody was faster, and it is theirs.
    pub(super) async fn put(&self, held: &Held) -> Result<bool, Error> {
        let Some((ifindex, address, bits)) = held.entry() else { return Ok(false) };
        let mut request = self.0.address().add(ifindex, address.into(), bits);
        if let Some(label) = &held.address.label {
            request.message_mut().attributes.push(AddressAttribute::Label(label.clone()));
        }
        match request.execute().await {
            Ok(()) => Ok(true),
            Err(e) if is(&e, libc::EEXIST) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Takes an address off. That it, or its interface, is gone already is as good.
    pub(super) async fn take(&self, held: &Held) -> Result<(), Error> {
        let Some((ifindex, address, bits)) = held.entry() else { return Ok(()) };
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.index = ifindex;
        message.header.prefix_len = bits;
        message.attributes.push(AddressAttribute::Local(address.into()));
        message.attributes.push(AddressAttribute::Address(address.into()));
        match self.0.address().del(message).execute().await {
            Err(e) if !is(&e, libc::EADDRNOTAVAIL) && !is(&e, libc::ENODEV) => Err(e),
            _ => Ok(()),
        }
    }
}

/// Tells the network, as often as Piranha did, that an address is here now.
pub(super) fn announce(held: &Held, link: Link) -> Option<AbortHandle> {
    let ((ifindex, address, _), mac) = (held.entry()?, link.mac?);
    let announcing = async move {
        for _ in 0..ANNOUNCEMENTS {
            if let Err(e) = arp_announce(ifindex, mac, address) {
                debug!("{address} is not announced: {e}");
            }
            sleep(BETWEEN).await;
        }
    };
    Some(tokio::spawn(announcing).abort_handle())
}

fn named(message: &LinkMessage) -> Option<(String, Link)> {
    let (mut name, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(found) => name = Some(found.clone()),
            LinkAttribute::Address(found) => mac = <[u8; 6]>::try_from(&found[..]).ok(),
            _ => {}
        }
    }
    let is_ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    Some((name?, Link { ifindex: message.header.index, mac: mac.filter(|_| is_ethernet) }))
}

/// The address itself: on a point-to-point link the other attribute is the peer's.
fn local(message: &AddressMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    })
}

fn is(error: &Error, code: i32) -> bool {
    matches!(error, Error::NetlinkError(message) if message.raw_code() == -code)
}

/// Piranha's `send_arp` is run so often.
const ANNOUNCEMENTS: u32 = 5;
/// One after the other.
const BETWEEN: Duration = Duration::from_secs(1);
