//! `bpf(2)`, the few commands of it that are needed, on file descriptors and bytes. Links are made
//! and replaced here and not through aya, which falls back to netlink without a word when the
//! kernel says
//! `EINVAL`; aya has no batches at all.
#![allow(unsafe_code, reason = "system calls")]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr::NonNull,
};

use xlvs_datapath::{Cell32, tables::Live};

const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_UPDATE_ELEM: i32 = 2;
const MAP_DELETE_ELEM: i32 = 3;
const MAP_GET_NEXT_KEY: i32 = 4;
const OBJ_PIN: i32 = 6;
const OBJ_GET: i32 = 7;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const MAP_LOOKUP_BATCH: i32 = 24;
const LINK_CREATE: i32 = 28;
const LINK_UPDATE: i32 = 29;

/// `BPF_NOEXIST`.
pub(crate) const NO_EXIST: u64 = 1;
/// `BPF_F_MMAPABLE`.
const F_MMAPABLE: u32 = 1 << 10;

/// Where a link hooks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Hook {
    /// `BPF_XDP`.
    Xdp = 37,
    /// `BPF_TCX_INGRESS`.
    TcxIngress = 46,
    /// `BPF_TCX_EGRESS`.
    TcxEgress = 47,
}

/// The part of `union bpf_attr` about elements.
#[repr(C)]
#[derive(Default)]
struct Elem {
    fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    fd: u32,
    elem_flags: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct Obj {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct InfoByFd {
    fd: u32,
    len: u32,
    info: u64,
}

/// Zeroes behind it: the kernel wants unknown fields to be so.
#[repr(C)]
#[derive(Default)]
struct Link {
    program: u32,
    target: u32,
    hook: u32,
    flags: u32,
    rest: [u64; 4],
}

#[repr(C)]
#[derive(Default)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old: u32,
}

/// The head of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MapInfo {
    pub(crate) map_type: u32,
    pub(crate) id: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

/// The head of `struct bpf_link_info` of XDP and TCX links.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkInfo {
    pub(crate) kind: u32,
    pub(crate) id: u32,
    pub(crate) program: u32,
    pad: u32,
    /// 0: the interface is gone.
    pub(crate) ifindex: u32,
    rest: [u32; 3],
}

fn bpf<T>(command: i32, attr: &mut T) -> io::Result<i32> {
    // SAFETY: every caller passes the attribute of its command with pointers into live buffers of
    // the sizes that the map has, which `Map` checks.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(i32::try_from(answer).unwrap_or(0))
    }
}

#[expect(clippy::cast_sign_loss, reason = "descriptors are not negative")]
const fn number(fd: RawFd) -> u32 {
    fd as u32
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn path_of(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Opens what is pinned at `path`.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = path_of(path)?;
    let mut attr = Obj { path: path.as_ptr() as u64, ..Obj::default() };
    bpf(OBJ_GET, &mut attr).map(owned)
}

/// Pins it at `path`.
pub(crate) fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = path_of(path)?;
    let fd = number(fd.as_raw_fd());
    bpf(OBJ_PIN, &mut Obj { path: path.as_ptr() as u64, fd, flags: 0 }).map(drop)
}

/// Attaches a program by a link.
pub(crate) fn link(
    program: BorrowedFd<'_>,
    ifindex: u32,
    hook: Hook,
    flags: u32,
) -> io::Result<OwnedFd> {
    let program = number(program.as_raw_fd());
    let mut attr = Link { program, target: ifindex, hook: hook as u32, flags, ..Link::default() };
    bpf(LINK_CREATE, &mut attr).map(owned)
}

/// Puts another program behind a link; no packet sees neither.
pub(crate) fn relink(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let (link, program) = (number(link.as_raw_fd()), number(program.as_raw_fd()));
    bpf(LINK_UPDATE, &mut LinkUpdate { link, program, ..LinkUpdate::default() }).map(drop)
}

/// What a link is.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    info(link)
}

fn info<T: Default>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut info = T::default();
    let len = u32::try_from(size_of::<T>()).unwrap_or(0);
    let fd = number(fd.as_raw_fd());
    let mut attr = InfoByFd { fd, len, info: std::ptr::from_mut(&mut info) as u64 };
    bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info)
}

/// The clock of `bpf_ktime_get_coarse_ns`.
pub(crate) fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `t` alone.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut t) };
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// True if `path` lies on a BPF file system.
pub(crate) fn is_bpffs(path: &Path) -> io::Result<bool> {
    let path = path_of(path)?;
    // SAFETY: all zero is a valid value of this plain struct, which the call fills.
    let mut s: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a string with its end, and room for the answer.
    if unsafe { libc::statfs(path.as_ptr(), &raw mut s) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(s.f_type == libc::BPF_FS_MAGIC)
}

/// A map of the kernel.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    pub(crate) info: MapInfo,
}

/// Bytes that a per-CPU value takes for each CPU.
const fn padded(len: usize) -> usize {
    len.next_multiple_of(8)
}

impl Map {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        use std::os::fd::AsFd;
        let info = info(fd.as_fd())?;
        Ok(Self { fd, info })
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::new(open(path)?)
    }

    pub(crate) fn key_size(&self) -> usize {
        self.info.key_size as usize
    }

    /// Bytes of a value without padding.
    pub(crate) fn value_size(&self) -> usize {
        self.info.value_size as usize
    }

    fn elem(&self, key: &[u8], value: u64, flags: u64) -> Elem {
        // The kernel reads as many bytes as its keys have.
        assert_eq!(key.len(), self.key_size(), "a key of this map");
        Elem { fd: number(self.fd.as_raw_fd()), pad: 0, key: key.as_ptr() as u64, value, flags }
    }

    /// Reads a value into `value`, which has room for it (of all CPUs, if it is per CPU); false: no
    /// such key.
    pub(crate) fn lookup(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        assert!(value.len() >= self.value_size(), "room for a value");
        let mut attr = self.elem(key, value.as_mut_ptr() as u64, 0);
        match bpf(MAP_LOOKUP_ELEM, &mut attr) {
            Ok(_) => Ok(true),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn update(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
        assert!(value.len() >= self.value_size(), "a whole value");
        bpf(MAP_UPDATE_ELEM, &mut self.elem(key, value.as_ptr() as u64, flags)).map(drop)
    }

    /// No such key is no error.
    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<()> {
        match bpf(MAP_DELETE_ELEM, &mut self.elem(key, 0, 0)) {
            Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(e),
            _ => Ok(()),
        }
    }

    /// The values of a per-CPU entry, one after the other, each padded to 8 bytes.
    pub(crate) fn lookup_cpus(&self, key: &[u8], cpus: usize) -> io::Result<Vec<u8>> {
        let mut values = vec![0; padded(self.value_size()) * cpus];
        self.lookup(key, &mut values)?;
        Ok(values)
    }

    /// All keys of a (small) hash map.
    pub(crate) fn keys(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let limit = self.info.max_entries as usize;
        while keys.len() <= limit {
            let last = keys.last();
            let mut next = vec![0u8; self.key_size()];
            let key = last.map_or(0, |k| k.as_ptr() as u64);
            let fd = number(self.fd.as_raw_fd());
            let mut attr = Elem { fd, key, value: next.as_mut_ptr() as u64, ..Elem::default() };
            match bpf(MAP_GET_NEXT_KEY, &mut attr) {
                Ok(_) => keys.push(next),
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(keys),
                Err(e) => return Err(e),
            }
        }
        Ok(keys)
    }

    /// At most `room` entries from `cursor` on, keys and values each one after the other; how many,
    /// and where to go on (None: that was the end).
    pub(crate) fn batch(
        &self,
        cursor: Option<u32>,
        room: usize,
        keys: &mut Vec<u8>,
        values: &mut Vec<u8>,
    ) -> io::Result<(usize, Option<u32>)> {
        let mut room = room;
        loop {
            keys.resize(room * self.key_size(), 0);
            values.resize(room * self.value_size(), 0);
            let (mut from, mut next) = (cursor.unwrap_or(0), 0u32);
            let mut attr = Batch {
                from: cursor.map_or(0, |_| std::ptr::from_mut(&mut from) as u64),
                next: std::ptr::from_mut(&mut next) as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: u32::try_from(room).unwrap_or(u32::MAX),
                fd: number(self.fd.as_raw_fd()),
                elem_flags: 0,
                flags: 0,
            };
            match bpf(MAP_LOOKUP_BATCH, &mut attr) {
                Ok(_) => return Ok((attr.count as usize, Some(next))),
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
                    return Ok((attr.count as usize, None));
                }
                // A bucket with more entries than there is room for.
                Err(e) if e.raw_os_error() == Some(libc::ENOSPC) && room < 1 << 20 => room *= 2,
                Err(e) => return Err(e),
            }
        }
    }
}

/// `LIVE` in this process's own memory: userspace adds to the counts that BPF adds to.
#[derive(Debug)]
pub(crate) struct LiveView {
    at: NonNull<Live>,
    count: usize,
}

// SAFETY: the memory is the kernel's, mapped as long as this lives; `Live` is made of atomic cells.
unsafe impl Send for LiveView {}

impl LiveView {
    /// Maps an array of `Live`; an error if it was not made for that.
    pub(crate) fn new(map: &Map) -> io::Result<Self> {
        let fits = map.value_size() == size_of::<Live>() && map.info.flags & F_MMAPABLE != 0;
        if !fits {
            return Err(io::Error::from_raw_os_error(libc::ENOTSUP));
        }
        let count = map.info.max_entries as usize;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let len = count * size_of::<Live>();
        let fd = map.fd.as_raw_fd();
        // SAFETY: a fresh mapping of a map, which the kernel checks the length of.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { at, count })
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Live> {
        let slot = slot as usize;
        // SAFETY: within the mapping; the entries are cells, which may change under a reference.
        (slot < self.count).then(|| unsafe { self.at.add(slot).as_ref() })
    }

    /// The count that `inactive` names.
    pub(crate) fn cell(&self, slot: u32, inactive: bool) -> Option<&Cell32> {
        self.get(slot).map(|l| if inactive { &l.inactive } else { &l.active })
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped, and nobody borrows it any more.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.count * size_of::<Live>()) };
    }
}
