//! How the object is made: Debian's compiler with its precompiled `core` for BPF, bpf-linker over
//! the same LLVM, and flags that keep every path of this machine out of the bytes.
//!
//! Where Debian's compiler is missing, a nightly toolchain with `rust-src` is used; its object is
//! then another compiler's, and says so in its record.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Flavour, strip};
use crate::shell::{CommandExt as _, cache_dir, cargo, is_root};
use crate::tools;

/// The compiler and the linker that were found.
pub(crate) struct Recipe {
    compiler: Compiler,
    linker: PathBuf,
    /// `rustc 1.96.0 (...), LLVM 22.1.8`
    pub(crate) rustc: String,
    /// `bpf-linker 0.13.0`
    pub(crate) bpf_linker: String,
}

#[derive(Clone, Copy)]
enum Compiler {
    Debian,
    Nightly,
}

impl Recipe {
    pub(crate) fn find() -> Result<Self> {
        let compiler = Compiler::find()?;
        let linker = find_linker()?;
        let verbose = compiler.clean(compiler.rustc(), &["-vV"]).read()?;
        let first = verbose.lines().next().unwrap_or_default();
        let llvm = verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        Ok(Self {
            compiler,
            rustc: format!("{first}, LLVM {}", llvm.unwrap_or("unknown")),
            bpf_linker: Command::new(&linker).arg("--version").read()?,
            linker,
        })
    }

    /// Builds the object from the workspace at `root` and returns its bytes.
    pub(crate) fn build(&self, root: &Path, target: &Path, flavour: Flavour) -> Result<Vec<u8>> {
        let root = root.canonicalize().context("the workspace's root")?;
        self.compiler.cargo(&root, &["fetch", "--locked"]).run()?;
        let flags = FLAGS
            .iter()
            .map(|flag| (*flag).to_owned())
            .chain([format!("-Clinker={}", self.linker.display())])
            .chain(remaps(&root)?)
            .collect::<Vec<_>>();
        let mut build = self.compiler.cargo(&root, BUILD);
        build.args(self.compiler.extra()).env("CARGO_TARGET_DIR", target);
        build.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        for feature in flavour.features() {
            build.args(["--features", feature]);
        }
        build.run()?;
        let linked = target.join(TARGET).join("bpf/xlvs-ebpf");
        let bytes = fs::read(&linked).with_context(|| format!("reading {}", linked.display()))?;
        strip::strip(&bytes)
    }
}

impl Compiler {
    fn find() -> Result<Self> {
        if Path::new(DEBIAN_RUSTC).exists() && debian_core().is_some() {
            ensure!(
                !Path::new("/usr/src/rustc-1.96.0").exists(),
                "the package rust-web-src is installed: LLVM would copy lines of it into the \
                 object, whose bytes then differ. Remove the package"
            );
            return Ok(Self::Debian);
        }
        let sysroot = Command::new("rustc").args(["+nightly", "--print", "sysroot"]).read();
        let source = "lib/rustlib/src/rust/library/core/Cargo.toml";
        if sysroot.is_ok_and(|sysroot| Path::new(&sysroot).join(source).exists()) {
            return Ok(Self::Nightly);
        }
        bail!(
            "no compiler for BPF. On Debian: `cargo xtask ebpf --install` (packages: {}). \
             Elsewhere: a nightly toolchain with the component rust-src",
            DEBIAN_PACKAGES.join(" ")
        )
    }

    fn rustc(self) -> &'static str {
        match self {
            Self::Debian => DEBIAN_RUSTC,
            Self::Nightly => "rustc",
        }
    }

    fn extra(self) -> &'static [&'static str] {
        match self {
            Self::Debian => &[],
            Self::Nightly => &["-Zbuild-std=core"],
        }
    }

    fn cargo(self, root: &Path, args: &[&str]) -> Command {
        let program = match self {
            Self::Debian => DEBIAN_CARGO,
            Self::Nightly => "cargo",
        };
        let mut command = self.clean(program, args);
        command.current_dir(root);
        command
    }

    /// A command that sees nothing of how we were started: cargo and rustup pass their choice of
    /// toolchain, folders and libraries on through the environment.
    fn clean(self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            let foreign = FOREIGN.iter().any(|prefix| name_text.starts_with(prefix));
            if foreign && !KEPT.iter().any(|prefix| name_text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        match self {
            Self::Debian => {
                // aya-ebpf uses asm for BPF, the tables' cells use a core intrinsic.
                command.env("RUSTC_BOOTSTRAP", "1").env("PATH", "/usr/bin:/bin");
                command.env("RUSTC", DEBIAN_RUSTC);
            }
            Self::Nightly => {
                command.env("RUSTUP_TOOLCHAIN", "nightly");
            }
        }
        command.args(args);
        command
    }
}

/// Installs what the recipe needs: Debian's packages, then the linker, which is built once.
pub(crate) fn install() -> Result<()> {
    if debian_core().is_none() || llvm().is_none() {
        ensure!(is_root(), "only root can install {}", DEBIAN_PACKAGES.join(" "));
        tools::apt_install(DEBIAN_PACKAGES)?;
    }
    find_linker().map(|_| ())
}

fn debian_core() -> Option<PathBuf> {
    let folder = PathBuf::from("/usr/lib/rustlib").join(TARGET);
    folder.is_dir().then_some(folder)
}

/// `$BPF_LINKER`, else the one that was built for this machine; builds it when there is none.
fn find_linker() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("BPF_LINKER") {
        return Ok(PathBuf::from(path));
    }
    let home = cache_dir()?.join(format!("bpf-linker-{LINKER_VERSION}"));
    let linker = home.join("bin/bpf-linker");
    if !linker.exists() {
        build_linker(&home)?;
    }
    Ok(linker)
}

fn build_linker(home: &Path) -> Result<()> {
    let llvm = llvm().context(
        "bpf-linker must be built and there is no libLLVM.so.22.1: `cargo xtask ebpf --install`",
    )?;
    // What bpf-linker's build script looks for is PREFIX/lib/libLLVM.so.
    let lib = home.join("llvm/lib");
    fs::create_dir_all(&lib)?;
    let link = lib.join("libLLVM.so");
    if !link.exists() {
        std::os::unix::fs::symlink(&llvm, &link)?;
    }
    cargo(home, ["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(home)
        .env("LLVM_PREFIX", home.join("llvm"))
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .run()
}

fn llvm() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let mut found = folders
        .flatten()
        .map(|folder| folder.path().join("libLLVM.so.22.1"))
        .filter(|library| library.exists())
        .collect::<Vec<_>>();
    found.sort();
    found.into_iter().next()
}

/// Where sources lie is no part of the object: line information goes into BTF.
fn remaps(root: &Path) -> Result<Vec<String>> {
    let mut remaps = vec![format!("--remap-path-prefix={}=/src/xlvs", root.display())];
    let sources = cargo_home()?.join("registry/src");
    // One folder for each registry (a mirror has another name than the registry it mirrors).
    for registry in fs::read_dir(&sources).into_iter().flatten().flatten() {
        remaps.push(format!("--remap-path-prefix={}=/cargo", registry.path().display()));
    }
    Ok(remaps)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(PathBuf::from(home));
    }
    Ok(PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cargo"))
}

/// The flags that shape the bytes; they are part of the record.
pub(crate) const FLAGS: &[&str] = &["-Ctarget-cpu=v3", "-Cdebuginfo=2", "-Clink-arg=--btf"];

const BUILD: &[&str] =
    &["build", "--locked", "--profile", "bpf", "-p", "xlvs-ebpf", "--target", TARGET];
const TARGET: &str = "bpfel-unknown-none";
const LINKER_VERSION: &str = "0.13.0";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const FOREIGN: &[&str] = &["CARGO", "RUST", "LD_LIBRARY_PATH"];
const KEPT: &[&str] = &["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "RUSTUP_HOME"];
