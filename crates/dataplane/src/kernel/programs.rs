//! Loading the object, and running its programs by hand.

use std::{io, path::Path};

use aya::{
    Ebpf, EbpfError, EbpfLoader, TestRun, TestRunOptions,
    maps::{MapError, ProgramArray},
    programs::{ProgramError, SchedClassifier, Xdp},
};
use xlvs_datapath::{JUMPS, tables::ConnKey};

use super::{Options, maps::NAMES};
use crate::{Error, raw::bytes_of};

/// The XDP program of the director.
pub(super) const DIRECTOR: &str = "director";
const SWEEP: &str = "sweep";
/// The classifier at the egress of each interface.
pub(super) const REPLY: &str = "reply";
/// The classifier at the ingress of the interfaces that packets come in by.
pub(super) const RESET: &str = "reset";

/// Loads the object over the pins in `dir`, making those that are not there.
pub(super) fn load_director(object: &[u8], dir: &Path, options: &Options) -> Result<Ebpf, Error> {
    let test = u32::from(options.test);
    let mut loader = EbpfLoader::new();
    loader.map_max_entries("CONNS", options.connections);
    loader.map_max_entries("DECAP_VIPS", 1);
    loader.override_global("TEST", &test, true);
    for name in NAMES {
        loader.map_pin_path(name, dir.join(name));
    }
    let mut ebpf = load(&mut loader, object)?;
    load_xdp(&mut ebpf, DIRECTOR)?;
    join_programs(&mut ebpf)?;
    load_xdp(&mut ebpf, SWEEP)?;
    load_classifier(&mut ebpf, REPLY)?;
    load_classifier(&mut ebpf, RESET)?;
    Ok(ebpf)
}

/// Loads the programs that the director goes on in, and tells it where they are. An older build's
/// director, still attached over the same tables, may use them as well.
fn join_programs(ebpf: &mut Ebpf) -> Result<(), Error> {
    for (place, name) in (0u32..).zip(JUMPS) {
        load_xdp(ebpf, name)?;
        let next: &mut Xdp = find(ebpf, name)?;
        let next = next.fd().and_then(|fd| fd.try_clone().map_err(ProgramError::IOError));
        let next = next.map_err(|e| refused(name, e))?;
        let jump = ebpf.map_mut("JUMP");
        let jump = jump.ok_or_else(|| Error::Object("it has no JUMP".to_owned()))?;
        ProgramArray::try_from(jump)
            .and_then(|mut jump| jump.set(place, &next, 0))
            .map_err(|e| Error::system("joining the director's programs", io::Error::other(e)))?;
    }
    Ok(())
}

fn load(loader: &mut EbpfLoader<'_>, object: &[u8]) -> Result<Ebpf, Error> {
    if object.is_empty() {
        return Err(Error::Object("this program was built without one".to_owned()));
    }
    loader.load(object).map_err(loading)
}

fn loading(e: EbpfError) -> Error {
    match e {
        EbpfError::MapError(MapError::CreateError { name, io_error }) => creating(&name, io_error),
        EbpfError::MapError(MapError::PinError { name, error }) => {
            let what = format!("pinning the table {}", name.unwrap_or_default());
            Error::system(what, io::Error::other(error))
        }
        EbpfError::MapError(e) => Error::system("making a table", io::Error::other(e)),
        other => Error::Object(chain(&other)),
    }
}

fn creating(name: &str, e: io::Error) -> Error {
    match (name, e.raw_os_error()) {
        (_, Some(libc::ENOSYS)) => lacks("bpf(2) (CONFIG_BPF_SYSCALL)"),
        ("EVENTS", Some(libc::EINVAL)) => lacks("BPF ring buffers (Linux 5.8)"),
        _ => Error::system(format!("making the table {name}"), e),
    }
}

/// The kernel is too old, or was built without something.
pub(super) fn lacks(feature: &'static str) -> Error {
    Error::Lacks { feature, release: release() }
}

fn release() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", text.trim())
}

/// At least this kernel.
pub(super) fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = release();
    let mut numbers = release.trim_start_matches("Linux ").split(['.', '-']);
    let mut number = || numbers.next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    (number(), number()) >= (major, minor)
}

fn load_xdp(ebpf: &mut Ebpf, name: &str) -> Result<(), Error> {
    let program: &mut Xdp = find(ebpf, name)?;
    program.load().map_err(|e| refused(name, e))
}

fn load_classifier(ebpf: &mut Ebpf, name: &str) -> Result<(), Error> {
    let program: &mut SchedClassifier = find(ebpf, name)?;
    program.load().map_err(|e| refused(name, e))
}

/// A program of the object, by its name and kind.
pub(super) fn find<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, Error>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program>,
{
    let program = ebpf.program_mut(name).and_then(|p| p.try_into().ok());
    program.ok_or_else(|| Error::Object(format!("it has no program `{name}`")))
}

fn refused(name: &str, e: ProgramError) -> Error {
    let ProgramError::LoadError { io_error, verifier_log } = e else {
        return Error::Refused { program: name.to_owned(), why: chain(&e) };
    };
    // Before the verifier had a word.
    let log = verifier_log.to_string();
    if io_error.raw_os_error() == Some(libc::EPERM) && log.trim().is_empty() {
        return Error::NotPermitted;
    }
    if !kernel_is_at_least(5, 17) {
        return lacks("bpf_loop (Linux 5.17)");
    }
    let tail: Vec<&str> = log.lines().rev().filter(|l| !l.trim().is_empty()).take(4).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Error::Refused { program: name.to_owned(), why: format!("{io_error}: {}", tail.join("; ")) }
}

/// An error with all its causes.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}

/// Has BPF expire those of `keys` that are due, or all by force; how many were removed.
pub(super) fn run_sweep(ebpf: &Ebpf, keys: &[ConnKey], forced: bool) -> Result<u32, Error> {
    let mut frame = vec![0u8; ETHERNET];
    frame[0] = u8::from(forced);
    for key in keys {
        frame.extend_from_slice(bytes_of(key));
    }
    let (removed, _) = run(ebpf, SWEEP, &frame, None)?;
    Ok(removed)
}

/// Runs an XDP program over a frame that came by interface `ifindex`; its answer, and the frame
/// after.
pub(super) fn run(
    ebpf: &Ebpf,
    name: &str,
    frame: &[u8],
    ifindex: Option<u32>,
) -> Result<(u32, Vec<u8>), Error> {
    let program: Option<&Xdp> = ebpf.program(name).and_then(|p| p.try_into().ok());
    let program = program.ok_or_else(|| Error::Object(format!("it has no program `{name}`")))?;
    let mut out = vec![0; frame.len() + HEADROOM];
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let context: Vec<u8> = [0, len, 0, ifindex.unwrap_or(0), 0, 0].map(u32::to_ne_bytes).concat();
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        ctx_in: ifindex.map(|_| context.as_slice()),
        ..TestRunOptions::default()
    };
    let result = program.test_run(options).map_err(|e| {
        Error::system(format!("running `{name}` by hand"), io::Error::other(chain(&e)))
    })?;
    out.truncate(result.data_size_out as usize);
    Ok((result.return_value, out))
}

const ETHERNET: usize = 14;
/// `XDP_PACKET_HEADROOM`: by so much a frame may grow.
const HEADROOM: usize = 256;
