//! Says which eBPF object the crate carries: the committed one (with the feature `abi-next`, the
//! one of the next tables), or the one that `XLVS_OBJECT` names (to try another build of it).

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=XLVS_OBJECT");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let is_next = env::var_os("CARGO_FEATURE_ABI_NEXT").is_some();
    let name = if is_next { "xlvs-next.bpf.o" } else { "xlvs.bpf.o" };
    let committed = root.join("object").join(name);
    let object = env::var_os("XLVS_OBJECT").map_or(committed, PathBuf::from);
    println!("cargo:rerun-if-changed={}", object.display());
    // Without one the crate still compiles (`cargo xtask ebpf` may be yet to run); loading says so.
    let bytes = fs::read(&object).unwrap_or_default();
    fs::write(out.join("xlvs.bpf.o"), bytes).expect("OUT_DIR is writable");
}
