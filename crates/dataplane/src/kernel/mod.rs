//! The data plane in the kernel: BPF maps, programs and links, pinned under one folder.
//!
//! ```text
//! DIR/v1/SETTINGS ...      the maps, by the version of their layouts
//! DIR/links/xdp_3_native   a link: program, interface number, XDP mode
//! DIR/links/reset_3        the classifier at its ingress
//! DIR/links/reply_3        and at its egress
//! ```
//!
//! Whoever opens the folder next puts its own programs over the same maps and behind the same
//! links; tables of another version are migrated.

mod attach;
mod maps;
mod migrate;
mod netlink;
mod programs;

use std::{
    fmt, fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, include_bytes_aligned,
    maps::{MapData, RingBuf},
};
use xlvs_datapath::tables::ABI;

pub use self::attach::{Attached, XdpMode};
use self::maps::Maps;
use crate::{Error, raw::bytes_of, sys};

/// How to open the kernel's home.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder for pins, on a BPF file system.
    pub dir: PathBuf,
    /// Room for connection entries, when the table is made.
    pub connections: u32,
    /// Clock and routes come from [`Kernel::set_test_clock`] and [`Kernel::set_test_route`].
    pub test: bool,
}

/// The tables and programs in the kernel. Dropping it leaves all of them in place: see
/// [`Kernel::detach`].
pub struct Kernel {
    ebpf: Ebpf,
    maps: Maps,
    ring: RingBuf<MapData>,
    dir: PathBuf,
    test: bool,
    adopted: bool,
    notes: Vec<String>,
    /// Where the classifiers are, as far as this process put them there.
    ingress: Vec<String>,
    egress: Vec<String>,
    /// Older tables whose connections are yet to be fetched.
    older: Option<migrate::Older>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("dir", &self.dir)
            .field("maps", &self.maps)
            .finish_non_exhaustive()
    }
}

impl Kernel {
    /// Opens the tables that are pinned in the folder, or makes them, with the object that this
    /// crate carries. Nothing forwards by it before [`Kernel::attach`].
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::load_bytes(OBJECT, options)
    }

    /// The same, with another object.
    pub fn load_bytes(object: &[u8], options: &Options) -> Result<Self, Error> {
        let dir = &options.dir;
        let making = |e| Error::system(format!("making {}", dir.display()), e);
        fs::create_dir_all(dir).map_err(making)?;
        if !sys::is_bpffs(dir).map_err(making)? {
            return Err(Error::NotBpffs(dir.clone()));
        }
        let tables = dir.join(format!("v{ABI}"));
        fs::create_dir_all(dir.join(LINKS)).map_err(making)?;
        let adopted = tables.join("SETTINGS").exists();
        fs::create_dir_all(&tables).map_err(making)?;
        let older = migrate::find(dir)?;
        let ebpf = programs::load_director(object, &tables, options)?;
        let maps = Maps::open(&tables)?;
        maps.check()?;
        let ring = maps::ring(&tables)?;
        let mut notes = Vec::new();
        let room = maps.conns.info.max_entries;
        if adopted && room != options.connections {
            notes.push(format!(
                "the connection table keeps its {room} entries until `xlvs detach`; \
                 {} were asked for",
                options.connections
            ));
        }
        let (dir, test) = (dir.clone(), options.test);
        let (ingress, egress) = (Vec::new(), Vec::new());
        let mut this =
            Self { ebpf, maps, ring, dir, test, adopted, notes, ingress, egress, older: None };
        if let Some(older) = older {
            this.older = migrate::begin(&mut this, older)?;
        }
        Ok(this)
    }

    /// The tables were there already, of this version or an older one.
    pub fn adopted(&self) -> bool {
        self.adopted || self.older.is_some()
    }

    /// What a person should know about how it was opened.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Has the director's programs run on these interfaces, and answers of local servers rewritten
    /// at the egress of all interfaces that are named in `egress`. Links to other interfaces go.
    /// Then connections of an older version's tables are fetched, if there are any.
    pub fn attach(
        &mut self,
        interfaces: &[String],
        egress: &[String],
        mode: XdpMode,
    ) -> Result<Vec<Attached>, Error> {
        let links = self.dir.join(LINKS);
        // First: XDP leaves to it what it cannot do alone.
        self.attach_ingress(interfaces)?;
        let mut attached = Vec::new();
        for interface in interfaces {
            let fd = attach::xdp_fd(&mut self.ebpf, programs::DIRECTOR)?;
            attached.push(attach::attach_xdp(fd.as_fd(), &links, "xdp", interface, mode)?);
        }
        self.attach_egress(egress)?;
        let keep: Vec<u32> = attached.iter().map(|a| a.ifindex).collect();
        attach::drop_others(&links, "xdp", &keep)?;
        attach::drop_others(&links, attach::RESET.name, &keep)?;
        if let Some(older) = self.older.take() {
            migrate::finish(self, &older)?;
        }
        Ok(attached)
    }

    /// The classifier between XDP and the stack on these interfaces.
    fn attach_ingress(&mut self, interfaces: &[String]) -> Result<(), Error> {
        let links = self.dir.join(LINKS);
        for interface in interfaces {
            attach::attach_classifier(&mut self.ebpf, attach::RESET, &links, interface)?;
        }
        for gone in self.ingress.iter().filter(|name| !interfaces.contains(name)) {
            attach::detach_filter(attach::RESET, gone);
        }
        self.ingress = interfaces.to_vec();
        Ok(())
    }

    /// The classifier at the egress of exactly these interfaces; to be called again when interfaces
    /// come and go.
    pub fn attach_egress(&mut self, egress: &[String]) -> Result<(), Error> {
        let links = self.dir.join(LINKS);
        let mut keep = Vec::new();
        for interface in egress {
            attach::attach_classifier(&mut self.ebpf, attach::REPLY, &links, interface)?;
            keep.push(attach::index_of(interface)?);
        }
        for gone in self.egress.iter().filter(|name| !egress.contains(name)) {
            attach::detach_filter(attach::REPLY, gone);
        }
        self.egress = egress.to_vec();
        attach::drop_others(&links, attach::REPLY.name, &keep)
    }

    /// Takes links and pins away; the kernel frees the rest. `egress` as given to
    /// [`Kernel::attach`].
    pub fn detach(self, egress: &[String]) -> Result<(), Error> {
        for interface in egress {
            attach::detach_filter(attach::REPLY, interface);
            attach::detach_filter(attach::RESET, interface);
        }
        remove_pins(&self.dir)
    }

    /// Runs the director by hand over a frame that came by `ifindex` (None: by none); the XDP
    /// verdict and the frame afterwards.
    pub fn run_director(
        &self,
        frame: &[u8],
        ifindex: Option<u32>,
    ) -> Result<(u32, Vec<u8>), Error> {
        programs::run(&self.ebpf, programs::DIRECTOR, frame, ifindex)
    }

    /// The loaded object, for measurements and tests.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Sets the clock of [`Options::test`].
    pub fn set_test_clock(&mut self, now: u64) -> Result<(), Error> {
        maps::set(&self.maps.test_now, &0u32, &now, "writing the test's clock")
    }

    /// Sets the answer to every question for a route under [`Options::test`]: 0 no route, 1
    /// forwarding off, 2 no neighbour, else the neighbour's address and in the high 16 bits the
    /// port.
    pub fn set_test_route(&mut self, route: u64) -> Result<(), Error> {
        maps::set(&self.maps.test_route, &0u32, &route, "writing the test's route")
    }

    /// Puts a connection in or replaces it, without counting it.
    pub fn set_conn(
        &mut self,
        key: &xlvs_datapath::tables::ConnKey,
        conn: &xlvs_datapath::tables::Conn,
    ) -> Result<(), Error> {
        let conns = &self.maps.conns;
        let failed = |e| Error::system("writing a connection", e);
        conns.update(bytes_of(key), bytes_of(conn), 0).map_err(failed)
    }

    /// The folder of the pins.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Removes everything under the folder of pins: what is attached by links there stops at once.
pub fn remove_pins(dir: &Path) -> Result<(), Error> {
    let failed = |e| Error::system(format!("removing the pins in {}", dir.display()), e);
    let mut folders = vec![dir.join(LINKS)];
    folders.extend(migrate::versions(dir)?.into_iter().map(|v| dir.join(format!("v{v}"))));
    for folder in folders {
        if folder.exists() {
            migrate::remove_folder(&folder).map_err(failed)?;
        }
    }
    Ok(())
}

/// The eBPF object that this crate carries: the director's programs, and `decap` for real servers.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/xlvs.bpf.o"));
const LINKS: &str = "links";
