//! Asking the firewall's own tools. They run in the daemon's network namespace.

use std::{env, fs, path::PathBuf, time::Duration};

use tokio::{process::Command, time::timeout};
use xlvs_netfilter::{Table, Tool, native_tables, tables};

/// What the tools said of one firewall: its tables, or why there are none.
pub(super) type Answer = Result<Vec<Table>, String>;

/// The tools that are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tools {
    legacy: Option<PathBuf>,
    nft_save: Option<PathBuf>,
    nft: Option<PathBuf>,
}

impl Tools {
    /// Those that are there now: somebody may install them while the daemon runs.
    pub(super) fn find() -> Self {
        let plain = find("iptables-save");
        Self {
            // Systems with one backend alone have this one name; either tool reads its own tables.
            legacy: find("iptables-legacy-save"),
            nft_save: find("iptables-nft-save").or(plain),
            nft: find("nft"),
        }
    }

    /// There is an iptables.
    pub(super) fn has_iptables(&self) -> bool {
        self.legacy.is_some() || self.nft_save.is_some()
    }

    /// The tables of iptables-legacy. Its tool is only run where the kernel has such tables: it
    /// would load the module that makes them.
    pub(super) async fn legacy(&self) -> Answer {
        let Some(tool) = self.legacy.as_ref().filter(|_| has_legacy_tables()) else {
            return Ok(Vec::new());
        };
        Ok(tables(Tool::Legacy, &run(tool, &[]).await?))
    }

    /// The tables of iptables-nft.
    pub(super) async fn nft(&self) -> Answer {
        let Some(tool) = &self.nft_save else { return Ok(Vec::new()) };
        match run(tool, &[]).await {
            Ok(text) => Ok(tables(Tool::Nft, &text)),
            // A kernel without nf_tables has no rules there.
            Err(why) if why.contains("Protocol not supported") => Ok(Vec::new()),
            Err(why) => Err(why),
        }
    }

    /// Tables that `nft` itself made; `known` are those that iptables-nft told of.
    pub(super) async fn native(&self, known: &[Table]) -> Answer {
        let Some(tool) = &self.nft else { return Ok(Vec::new()) };
        let text = run(tool, &["-j", "list", "ruleset"]).await?;
        match serde_json::from_str(&text) {
            Ok(ruleset) => Ok(native_tables(&ruleset, known)),
            Err(e) => Err(format!("{} says what is no JSON: {e}", tool.display())),
        }
    }
}

/// The kernel's list, of the thread's own network namespace.
fn has_legacy_tables() -> bool {
    fs::read_to_string("/proc/thread-self/net/ip_tables_names").is_ok_and(|names| !names.is_empty())
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

async fn run(tool: &PathBuf, args: &[&str]) -> Result<String, String> {
    let name = tool.display();
    let output = Command::new(tool).args(args).kill_on_drop(true).output();
    let output = match timeout(PATIENCE, output).await {
        Ok(Ok(output)) => output,
        Ok(Err(e)) => return Err(format!("{name} does not start: {e}")),
        Err(_) => return Err(format!("{name} does not end")),
    };
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let first = told.lines().next().unwrap_or("it does not say why");
        return Err(format!("{name} failed: {first}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Longer than tens of thousands of rules take to print.
const PATIENCE: Duration = Duration::from_secs(10);
