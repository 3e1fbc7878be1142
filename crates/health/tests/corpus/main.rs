//! What fuzzing has come upon, replayed: `fuzz/corpus` holds an input for each way through the
//! parsers that was found. `cargo xtask fuzz` looks for more.

mod answers;
mod http;

#[path = "../../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn http_answers() {
    replay("http", http::run);
}

#[test]
fn other_answers() {
    replay("answers", answers::run);
}
