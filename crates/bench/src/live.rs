//! Packets per second through a veth: copies of a frame go through the program and then really out
//! by the interface (`BPF_F_TEST_XDP_LIVE_FRAMES`), to a far end whose stack throws them away.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use xlvs_wire::tcp_flag::ACK;

use crate::{
    object::{LIVE_BATCH, Object, Program},
    world::{Way, World, establish, frame, furnish},
};

/// What went through, per second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) reference: f64,
    pub(crate) director: f64,
}

/// Direct routing by the director and by the reference program, taking turns.
pub(crate) fn live(world: &World, time: Duration) -> Result<Live> {
    let mut object = Object::load(1 << 20, world.ifindex)?;
    furnish(&mut object, world.ifindex)?;
    establish(&object, Way::Direct, 0)?;
    let mut sums = [(0, 0.0); 2];
    for turn in 0..TURNS {
        let which = turn % 2;
        let program = [Program::Reference, Program::Director][which];
        let (packets, seconds) = send(&object, world, program, time / u32::try_from(TURNS)?)?;
        sums[which].0 += packets;
        sums[which].1 += seconds;
    }
    #[expect(clippy::cast_precision_loss, reason = "packets of a few seconds")]
    let rate = |(packets, seconds): (u64, f64)| packets as f64 / seconds;
    Ok(Live { reference: rate(sums[0]), director: rate(sums[1]) })
}

/// Packets that arrived, and in how many seconds.
fn send(object: &Object, world: &World, program: Program, time: Duration) -> Result<(u64, f64)> {
    let frame = frame(ACK, &Way::Direct.flow(0));
    let before = world.enter_clients(received)?;
    let begun = Instant::now();
    while begun.elapsed() < time {
        object.run_live(program, frame.bytes(), COPIES)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    // The last ones may still be on their way, and on a busy machine all of them.
    let patience = Instant::now() + PATIENCE;
    let mut arrived = world.enter_clients(received)? - before;
    while arrived == 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
        arrived = world.enter_clients(received)? - before;
    }
    ensure!(arrived > 0, "none of the frames of {program:?} arrived at the far end");
    Ok((arrived, seconds))
}

/// Packets that came to the far end of the wire, in whose namespace this is called.
fn received() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/dev")?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("wire:"));
    let packets = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(packets.context("the far end of the wire is gone")?.parse()?)
}

/// How long the first frame may take.
const PATIENCE: Duration = Duration::from_secs(5);
const TURNS: usize = 6;
/// A page comes round at most once in each batch, and loses a hop then; each call takes new pages.
const COPIES: u32 = LIVE_BATCH * 200;
