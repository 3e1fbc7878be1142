//! Tunnels: the XDP program `decap` on an interface, pinned so that it outlives the command.
//!
//! Pins lie on a bpffs of their own, mounted where it lasts (`RUN/realserver/NETNS.bpf`).

use std::{fmt, fs, io::ErrorKind, net::Ipv4Addr, path::Path};

use anyhow::{Context, Error, Result, anyhow};
use aya::{
    EbpfLoader,
    maps::{HashMap, Map, MapData, PerCpuArray},
    programs::{Xdp, XdpMode, links::FdLink},
};
use rustix::{
    fs::statfs,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use xlvs_dataplane::OBJECT;
use xlvs_testkit::netns;

/// What came through the tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    packets: u64,
    bytes: u64,
    foreign: u64,
}

/// Unwraps packets for `vips` that come in by `interface`, besides those of earlier calls.
pub(super) fn start(pins: &Path, interface: &str, vips: &[Ipv4Addr]) -> Result<()> {
    netns::with_lasting_mounts(|| {
        if fs::exists(pins.join(LINK)).unwrap_or(false) {
            return Ok(());
        }
        mount_bpffs(pins)?;
        attach(pins, interface)
    })??;
    vips.iter().try_for_each(|vip| {
        with_vips(pins, |map| map.insert(raw(*vip), 0, 0).context("enter the virtual address"))
    })
}

/// No longer unwraps packets for this address.
pub(super) fn remove_vip(pins: &Path, vip: Ipv4Addr) -> Result<()> {
    with_vips(pins, |map| match map.remove(&raw(vip)) {
        Ok(()) | Err(aya::maps::MapError::KeyNotFound) => Ok(()),
        Err(error) => Err(error).context("remove the virtual address"),
    })
}

/// Takes the program out.
pub(super) fn stop(pins: &Path) -> Result<()> {
    netns::with_lasting_mounts(|| {
        for name in [LINK, VIPS, STATS] {
            match fs::remove_file(pins.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove the pin {name}"));
                }
                _ => {}
            }
        }
        if is_bpffs(pins) {
            let what = || format!("unmount {}", pins.display());
            unmount(pins, UnmountFlags::DETACH).with_context(what)?;
        }
        match fs::remove_dir(pins) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    })?
}

/// What came through the tunnel so far, over all CPUs.
pub(super) fn counters(pins: &Path) -> Result<Counters> {
    netns::with_lasting_mounts(|| {
        let map = open(&pins.join(STATS))?;
        let map = PerCpuArray::<_, u64>::try_from(map).map_err(|error| foreign(STATS, &error))?;
        let sum = |index| -> Result<u64> {
            let values = map.get(&index, 0).context("read the tunnel's counters")?;
            Ok(values.iter().sum())
        };
        Ok(Counters { packets: sum(0)?, bytes: sum(1)?, foreign: sum(2)? })
    })?
}

fn attach(pins: &Path, interface: &str) -> Result<()> {
    let mut loader = EbpfLoader::new();
    for name in DIRECTOR_MAPS {
        loader.map_max_entries(name, 1); // the director's tables are of no use here
    }
    loader.map_max_entries("EVENTS", 4096);
    let mut object = loader.load(OBJECT).context("load the eBPF object")?;
    let program = object.program_mut("decap").context("the eBPF object has no program `decap`")?;
    let program: &mut Xdp = program.try_into().context("`decap` is no XDP program")?;
    program.load().context("the kernel refuses the program `decap`")?;
    let attached = program.attach(interface, XdpMode::default());
    let id = attached.with_context(|| {
        format!(
            "attach to {interface} (if it is busy, another XDP program is on it: \
             `ip link show {interface}`)"
        )
    })?;
    let link = program.take_link(id).context("take the link")?;
    let link = FdLink::try_from(link).map_err(|error| {
        Error::new(error).context("this kernel attaches XDP without a link that can be pinned")
    })?;
    for name in [VIPS, STATS] {
        let map = object.map(name).with_context(|| format!("the eBPF object has no map {name}"))?;
        map.pin(pins.join(name)).with_context(|| format!("pin {name}"))?;
    }
    // Last: it says that all the others are there.
    link.pin(pins.join(LINK)).context("pin the link")?;
    Ok(())
}

fn with_vips(
    pins: &Path,
    work: impl FnOnce(&mut HashMap<MapData, u32, u32>) -> Result<()> + Send,
) -> Result<()> {
    netns::with_lasting_mounts(|| {
        let map = open(&pins.join(VIPS))?;
        work(&mut HashMap::try_from(map).map_err(|error| foreign(VIPS, &error))?)
    })?
}

fn open(pin: &Path) -> Result<Map> {
    let map = MapData::from_pin(pin).with_context(|| {
        format!(
            "open {}; was it removed by hand? `xlvs realserver stop`, then start",
            pin.display()
        )
    })?;
    Map::from_map_data(map).context("a map of an unknown kind")
}

fn foreign(name: &str, error: &aya::maps::MapError) -> Error {
    anyhow!("the pinned map {name} is of another version of xlvs ({error}): stop and start")
}

/// As the program reads it off the packet.
fn raw(vip: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(vip.octets())
}

fn mount_bpffs(folder: &Path) -> Result<()> {
    let what = || format!("mount a bpffs on {}", folder.display());
    fs::create_dir_all(folder).with_context(what)?;
    if is_bpffs(folder) {
        return Ok(());
    }
    mount("bpf", folder, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
        .with_context(what)
}

fn is_bpffs(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|found| found.f_type == BPF_FS_MAGIC)
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, bytes, foreign } = self;
        write!(f, "{packets} packets, {bytes} bytes unwrapped; {foreign} not for a virtual address")
    }
}

const LINK: &str = "link";
const VIPS: &str = "DECAP_VIPS";
const STATS: &str = "DECAP_STATS";
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
const DIRECTOR_MAPS: [&str; 9] =
    ["SERVICES", "PLANS", "ORDERS", "DESTS", "LIVE", "STATS", "PORTS", "PORT_OF", "CONNS"];
