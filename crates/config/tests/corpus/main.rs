//! What fuzzing has come upon, replayed: `fuzz/corpus` holds an input for each way through the
//! parsers that was found. `cargo xtask fuzz` looks for more.

mod formats;
mod ipvsadm;
mod keepalived;

#[path = "../../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn keepalived_conf() {
    replay("keepalived", keepalived::run);
}

#[test]
fn ipvsadm_lines() {
    replay("ipvsadm", ipvsadm::run);
}

#[test]
fn lvs_cf() {
    replay("lvs_cf", formats::lvs_cf);
}

#[test]
fn ldirectord_cf() {
    replay("ldirectord", formats::ldirectord);
}

#[test]
fn save_files() {
    replay("save", formats::save);
}

#[test]
fn toml() {
    replay("toml", formats::toml);
}
