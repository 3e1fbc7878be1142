//! Who is at the other end: the kernel's word for the user and the process (`SO_PEERCRED`), and
//! what the request says of its face.

use std::{convert::Infallible, fs};

use axum::{
    extract::{ConnectInfo, FromRequestParts, connect_info::Connected},
    http::{header, request::Parts},
    serve::IncomingStream,
};
use xlvs_api::{Actor, Face};

use super::Listener;

/// A connection's other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    uid: Option<u32>,
    user: Option<String>,
    pid: Option<i32>,
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        let Ok(peer) = stream.io().peer_cred() else { return Self::default() };
        let users = fs::read_to_string(USERS).unwrap_or_default();
        Self { uid: Some(peer.uid()), user: name_of(&users, peer.uid()), pid: peer.pid() }
    }
}

/// Who asks.
pub(super) struct By(pub(super) Actor);

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let Peer { uid, user, pid } = peer.map(|info| info.0.clone()).unwrap_or_default();
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let face = Face::of_agent(agent.unwrap_or_default());
        Ok(Self(Actor { face, uid, user, pid, place: None }))
    }
}

/// The name of a user in the text of `passwd(5)`.
fn name_of(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

const USERS: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names() {
        let users = "root:x:0:0:root:/root:/bin/bash\n# a remark\nada:x:1000:1000::/srv/ada:\n";
        for (uid, expected) in [(0, Some("root")), (1000, Some("ada")), (7, None)] {
            assert_eq!(name_of(users, uid).as_deref(), expected, "{uid}");
        }
    }
}
