//! A connection that is held, seen from both its ends.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use super::{LONG, Site, rows::Row};

/// The port of the service.
pub(crate) const PORT: u16 = 7000;

/// A site whose first server listens, and holds a connection.
pub(crate) struct Held {
    pub(crate) site: Site,
    pub(crate) row: Row,
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
}

impl Held {
    pub(crate) fn start(row: Row) -> Option<Self> {
        let mut site = Site::build(&row.plan)?;
        site.xlvs("rs1", row.prepare);
        let everywhere = SocketAddr::from(([0, 0, 0, 0], PORT));
        let listen = || TcpListener::bind(everywhere).unwrap();
        let listener = site.lab.host("rs1").enter(listen).unwrap();
        site.start_director(row.interfaces);
        site.xlvs("director", &format!("ipvsadm -A -t {}:{PORT} -s rr", row.vip));
        add(&site, &row);
        site.await_next_hops();
        let target: SocketAddr = format!("{}:{PORT}", row.vip).parse().unwrap();
        let dial = || TcpStream::connect_timeout(&target, LONG).unwrap();
        let client = site.lab.host("client").enter(dial).unwrap();
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(LONG)).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        let mut held = Self { site, row, client, server };
        held.talk();
        Some(held)
    }

    /// A word each way.
    pub(crate) fn talk(&mut self) {
        let mut heard = [0; 4];
        self.client.write_all(b"ping").unwrap();
        self.server.read_exact(&mut heard).unwrap();
        self.server.write_all(b"pong").unwrap();
        self.client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"pong");
    }
}

/// Adds the first server.
pub(crate) fn add(site: &Site, row: &Row) {
    let Row { vip, first, method, .. } = row;
    site.xlvs("director", &format!("ipvsadm -a -t {vip}:{PORT} -r {first}:{PORT} {method}"));
}
