//! Running programs: what is run is shown, and a failure says which program, how and where.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// `Command` with the few things that every verb does with it.
pub(crate) trait CommandExt {
    /// Shows the command, runs it, fails unless it succeeds.
    fn run(&mut self) -> Result<()>;
    /// Runs it quietly and returns its standard output without the closing newline.
    fn read(&mut self) -> Result<String>;
    /// Runs it without any output: did it succeed?
    fn quietly(&mut self) -> bool;
}

impl CommandExt for Command {
    fn run(&mut self) -> Result<()> {
        eprintln!("+ {}", shown(self));
        let status = self.status().with_context(|| format!("cannot start {}", shown(self)))?;
        if !status.success() {
            bail!("{} failed: {status}", shown(self));
        }
        Ok(())
    }

    fn read(&mut self) -> Result<String> {
        let output = self
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", shown(self)))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed: {}\n{}", shown(self), output.status, said.trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn quietly(&mut self) -> bool {
        self.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// The cargo that started us, at the workspace's root.
pub(crate) fn cargo<I, S>(root: &Path, args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(args);
    for (name, _) in std::env::vars_os() {
        // What `cargo run` told about xtask's own package is no business of another build: build
        // scripts that watch these variables would run anew.
        let about_us = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if about_us {
            command.env_remove(name);
        }
    }
    command
}

/// Where `program` lies on PATH, or in the folders of administration that PATH may lack.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let admin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(admin)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Is the caller root?
pub(crate) fn is_root() -> bool {
    effective_uid() == 0
}

/// The folder for what is fetched or built once for a machine: `$XDG_CACHE_HOME/xlvs`.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(base.join("xlvs"))
}

fn effective_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |meta| {
        use std::os::unix::fs::MetadataExt as _;
        meta.uid()
    })
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().replace('\u{1f}', " "))
        .collect::<Vec<_>>()
        .join(" ")
}
