//! The daemons that tell another director of connections, and listen to it.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// What a sync daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncRole {
    /// Tells of its connections.
    Master,
    /// Takes over what it is told.
    Backup,
}

impl SyncRole {
    /// `master` or `backup`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }
}

/// A connection sync daemon, as `ipvsadm --start-daemon` starts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// Which of the two.
    pub role: SyncRole,
    /// The interface that messages go out or come in by.
    pub interface: String,
    /// The number of the pair of directors; 0 listens to all.
    #[serde(default)]
    pub syncid: u8,
    /// Bytes that a message may have; 0: as the interface carries.
    #[serde(default)]
    pub maxlen: u16,
    /// The multicast group.
    #[serde(default = "default_group")]
    pub group: IpAddr,
    /// The UDP port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Hops that a message may take.
    #[serde(default = "default_ttl")]
    pub ttl: u8,
}

impl SyncDaemon {
    /// The daemon of a role on an interface, all else as the kernel has it by default.
    pub const fn new(role: SyncRole, interface: String) -> Self {
        let (group, port, ttl) = (default_group(), default_port(), default_ttl());
        Self { role, interface, syncid: 0, maxlen: 0, group, port, ttl }
    }

    /// With the message length that comes of what was asked for and of its interface's MTU
    /// (`start_sync_thread` of the kernel).
    #[must_use]
    pub fn with_length(self, mtu: u32) -> Self {
        let headers = if self.group.is_ipv4() { 20 + 8 } else { 40 + 8 };
        let longest = 65535 - headers;
        let is_backup = self.role == SyncRole::Backup;
        let length = match (u32::from(self.maxlen), is_backup) {
            (0, false) => 1500 - headers,
            (0, true) => mtu.clamp(1500, 65535) - headers,
            (asked, false) => asked.min(longest),
            (asked, true) => asked.clamp(1024, longest),
        };
        Self { maxlen: u16::try_from(length).unwrap_or(u16::MAX), ..self }
    }
}

/// `IP_VS_SYNC_GROUP`.
const fn default_group() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81))
}

/// `IP_VS_SYNC_PORT`.
const fn default_port() -> u16 {
    8848
}

const fn default_ttl() -> u8 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_lengths_are_the_kernels() {
        for (role, asked, mtu, length, why) in [
            (SyncRole::Master, 0, 65536, 1472, "a master fills an Ethernet frame"),
            (SyncRole::Backup, 0, 65536, 65507, "a backup takes what its interface carries"),
            (SyncRole::Backup, 0, 1400, 1472, "but an Ethernet frame at least"),
            (SyncRole::Master, 1, 1500, 1, "a master may be short"),
            (SyncRole::Backup, 1, 1500, 1024, "a backup may not"),
            (SyncRole::Backup, 65535, 1500, 65507, "headers take their share"),
        ] {
            let daemon = SyncDaemon { maxlen: asked, ..SyncDaemon::new(role, "lo".into()) };
            assert_eq!(daemon.with_length(mtu).maxlen, length, "{why}");
        }
    }
}
