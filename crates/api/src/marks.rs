//! Mark rules as they go over the socket.

use serde::{Deserialize, Serialize};
use xlvs_model::{MarkRule, NotMirrored};

/// `GET /v1/marks`: the rules in the order in which a packet passes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarksView {
    /// Those of the host's firewall, which come first.
    pub followed: Vec<FollowedView>,
    /// The director's own.
    pub own: Vec<MarkRule>,
    /// What of the host's firewall the director cannot do.
    pub not_mirrored: Vec<NotMirrored>,
}

/// A rule of the host's firewall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedView {
    /// How many chains lead to it.
    pub depth: usize,
    /// As `iptables-save` prints it.
    pub rule: String,
}
