//! The committed object in the kernel, and its programs run on one frame each
//! (`BPF_PROG_TEST_RUN`, repeat 1: with more the program would be fed what it made itself).

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf, EbpfLoader, Pod, VerifierLogLevel, include_bytes_aligned,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, ProgramArray},
    programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp},
};
use xlvs_datapath::{
    JUMPS, Reason,
    tables::{Conn, ConnKey, PerCpu},
};

static OBJECT: &[u8] =
    include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../dataplane/object/xlvs.bpf.o"));

/// Bytes of a connection's key and value.
pub(crate) const KEY: usize = size_of::<ConnKey>();
pub(crate) const VALUE: usize = size_of::<Conn>();

/// The programs, by their number here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Pass,
    BareLookup,
    BareInsert,
    BareInsertTwo,
    Reference,
    Director,
    Sweep,
}

impl Program {
    const ALL: [Self; 7] = [
        Self::Pass,
        Self::BareLookup,
        Self::BareInsert,
        Self::BareInsertTwo,
        Self::Reference,
        Self::Director,
        Self::Sweep,
    ];

    /// Its name in the object.
    const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::BareLookup => "bare_lookup",
            Self::BareInsert => "bare_insert",
            Self::BareInsertTwo => "bare_insert_two",
            Self::Reference => "reference",
            Self::Director => "director",
            Self::Sweep => "sweep",
        }
    }
}

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) action: u32,
    pub(crate) nanoseconds: f64,
}

/// The loaded object.
pub(crate) struct Object {
    ebpf: Ebpf,
    /// `struct xdp_md`: which interface the frames come by.
    context: [u8; CONTEXT],
}

impl Object {
    /// Loads it with room for so many connections; frames will come by `ifindex`.
    pub(crate) fn load(connections: u32, ifindex: u32) -> Result<Self> {
        let bytes = match std::env::var_os(OTHER) {
            Some(file) => {
                fs::read(&file).with_context(|| format!("read the object {}", file.display()))?
            }
            None => OBJECT.to_vec(),
        };
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("CONNS", connections)
            .verifier_log_level(VerifierLogLevel::DISABLE)
            .load(&bytes)
            .context("load the eBPF object: it needs root")?;
        for program in Program::ALL {
            let name = program.name();
            xdp(&mut ebpf, program)?.load().with_context(|| format!("load {name}"))?;
        }
        join(&mut ebpf)?;
        let mut context = [0; CONTEXT];
        context[12..16].copy_from_slice(&ifindex.to_ne_bytes());
        Ok(Self { ebpf, context })
    }

    /// An array of the object, for filling.
    pub(crate) fn array<V: Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        let map = self.ebpf.map_mut(name).with_context(|| format!("the object has no {name}"))?;
        Ok(Array::try_from(map)?)
    }

    /// A hash map of the object, for filling.
    pub(crate) fn hash<K: Pod, V: Pod>(
        &mut self,
        name: &str,
    ) -> Result<HashMap<&mut MapData, K, V>> {
        let map = self.ebpf.map_mut(name).with_context(|| format!("the object has no {name}"))?;
        Ok(HashMap::try_from(map)?)
    }

    /// Runs a program on a frame as it would come from the wire.
    pub(crate) fn run(&self, program: Program, frame: &[u8]) -> Result<Run> {
        self.run_to(program, frame, None)
    }

    /// The same, and the frame as it became.
    pub(crate) fn run_to(
        &self,
        program: Program,
        frame: &[u8],
        out: Option<&mut [u8]>,
    ) -> Result<Run> {
        let options = TestRunOptions { data_out: out, ..TestRunOptions::default() };
        self.test(program, frame, options)
    }

    /// Sends copies of a frame through a program to real interfaces; returns when all have gone.
    pub(crate) fn run_live(&self, program: Program, frame: &[u8], copies: u32) -> Result<()> {
        let attrs = TestRunAttrs::new().xdp_live_frames(LIVE_BATCH);
        let options = TestRunOptions { repeat: copies, attrs, ..TestRunOptions::default() };
        self.test(program, frame, options).map(drop)
    }

    fn test<'a>(
        &'a self,
        program: Program,
        frame: &'a [u8],
        options: TestRunOptions<'a>,
    ) -> Result<Run> {
        let mut context = self.context;
        context[4..8].copy_from_slice(&u32::try_from(frame.len())?.to_ne_bytes());
        let (data_in, ctx_in) = (Some(frame), Some(&context[..]));
        let loaded: &Xdp =
            self.ebpf.program(program.name()).context("it was loaded")?.try_into()?;
        let run = loaded.test_run(TestRunOptions { data_in, ctx_in, ..options })?;
        Ok(Run { action: run.return_value, nanoseconds: run.duration.as_secs_f64() * 1e9 })
    }

    /// The connection table.
    pub(crate) fn conns(&self) -> Result<BorrowedFd<'_>> {
        match self.ebpf.map("CONNS") {
            Some(Map::HashMap(data)) => Ok(data.fd().as_fd()),
            _ => bail!("the object's CONNS is no hash map"),
        }
    }

    /// What became of all packets so far, for saying why one went astray.
    pub(crate) fn reasons(&self) -> Result<String> {
        let map = self.ebpf.map("CPU").context("the object has no CPU")?;
        let cpus = PerCpuArray::<_, [u64; size_of::<PerCpu>() / 8]>::try_from(map)?;
        let first = std::mem::offset_of!(PerCpu, reasons) / 8;
        let cpus = cpus.get(&0, 0)?;
        let mut counted = Vec::new();
        for (reason, index) in Reason::ALL.iter().zip(first..) {
            let sum: u64 = cpus.iter().map(|cpu| cpu[index]).sum();
            if sum > 0 {
                counted.push(format!("{reason} {sum}"));
            }
        }
        Ok(counted.join(", "))
    }

    /// What the verifier walked for the director's programs, in the order of their way.
    pub(crate) fn verified(&mut self) -> Result<Vec<u32>> {
        let names = std::iter::once("director").chain(JUMPS.into_iter().rev());
        let mut counts = Vec::new();
        for name in names {
            let Some(program) = self.ebpf.program_mut(name) else { continue };
            let program: &mut Xdp = program.try_into()?;
            let count = program.info()?.verified_instruction_count();
            counts.push(count.context("this kernel does not count what it verifies")?);
        }
        Ok(counts)
    }
}

/// Puts the programs that the director goes on in where it looks for them.
fn join(ebpf: &mut Ebpf) -> Result<()> {
    for (place, name) in (0..).zip(JUMPS) {
        // Another build may have fewer.
        let Some(next) = ebpf.program_mut(name) else { continue };
        let next: &mut Xdp = next.try_into()?;
        next.load().with_context(|| format!("load {name}"))?;
        let next = next.fd()?.try_clone()?;
        let jump = ebpf.map_mut("JUMP").context("the object has no JUMP")?;
        ProgramArray::try_from(jump)?.set(place, &next, 0)?;
    }
    Ok(())
}

fn xdp(ebpf: &mut Ebpf, program: Program) -> Result<&mut Xdp> {
    let name = program.name();
    let found = ebpf.program_mut(name).with_context(|| format!("the object has no {name}"))?;
    Ok(found.try_into()?)
}

/// Names another build of the object to measure, as where a change is tried.
const OTHER: &str = "XLVS_OBJECT";
/// Bytes of `struct xdp_md`.
const CONTEXT: usize = 24;
/// Live frames that go at once.
pub(crate) const LIVE_BATCH: u32 = 64;
