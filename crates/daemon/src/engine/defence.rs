//! Once in a second: what the defences against floods of connections ask, by how much memory is
//! free. Costs nothing while none is on.

use std::{
    fs,
    time::{Duration, Instant},
};

use xlvs_dataplane::{defence_modes, free_pages};

use super::{Engine, PlaneError, Work};

impl Engine {
    pub(super) fn defend(&mut self) {
        if Instant::now() < self.next_defence {
            return;
        }
        self.next_defence = Instant::now() + PERIOD;
        let trouble = self.try_defend().err();
        let waits = |e| format!("the defences against floods of connections wait: {e}");
        self.report(Work::Defence, trouble.map(waits));
    }

    fn try_defend(&mut self) -> Result<(), PlaneError> {
        let Some(plane) = &mut self.plane else { return Ok(()) };
        let modes = defence_modes(&self.model.settings);
        if modes.watch_memory() {
            let text = fs::read_to_string(MEMINFO)
                .map_err(|e| PlaneError::Failed(format!("reading {MEMINFO}: {e}")))?;
            // Without these lines memory counts as plenty.
            let pages = free_pages(&text, PAGE_BYTES).unwrap_or(i64::MAX);
            plane.set_free_pages(self.effective.model(), pages)?;
        }
        if modes.drop_entry != 0 { plane.drop_suspects() } else { Ok(()) }
    }
}

const PERIOD: Duration = Duration::from_secs(1);
const MEMINFO: &str = "/proc/meminfo";
/// What the kernel's settings count in, where a page is as large as nearly everywhere.
const PAGE_BYTES: i64 = 4096;
