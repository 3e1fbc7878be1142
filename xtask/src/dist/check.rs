//! What was packed, tried: both packages hold the same files; the unit is one that systemd takes;
//! the program, its pages and its completions work from where they are installed; installing and
//! removing leave what they should.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{FACES, Release, UNITS, emptied, stage};
use crate::shell::{CommandExt as _, find_program, is_root};
use crate::workspace;

pub(super) fn check(release: &Release, deb: &Path, rpm: &Path) -> Result<()> {
    let folder = release.target.join("check");
    emptied(&folder)?;
    let tree = folder.join("tree");
    Command::new("dpkg-deb").arg("-x").arg(deb).arg(&tree).run()?;
    same_files(&tree, rpm)?;
    programs(release, &tree)?;
    units(&tree, &folder)?;
    pages(&tree, &folder)?;
    shells(&tree)?;
    scripts(&release.root)?;
    life(deb, &folder.join("root"))?;
    fs::remove_dir_all(&folder)?;
    println!("the packages hold what they should, and it works");
    Ok(())
}

fn same_files(tree: &Path, rpm: &Path) -> Result<()> {
    let of_deb = stage::listed(tree)?;
    let format = "[%{FILEMODES:perms} %{FILENAMES}\\n]";
    let listing = Command::new("rpm").args(["-qp", "--qf", format]).arg(rpm).read()?;
    let mut of_rpm: Vec<_> = listing
        .lines()
        .filter(|line| !line.starts_with('d'))
        .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
        .collect();
    of_rpm.sort();
    ensure!(of_deb == of_rpm, "the packages differ:\n.deb: {of_deb:#?}\n.rpm: {of_rpm:#?}");
    ensure!(of_deb.len() > 50, "few files were packed: {of_deb:#?}");
    Ok(())
}

fn programs(release: &Release, tree: &Path) -> Result<()> {
    let bin = tree.join("usr/sbin");
    let said = Command::new(bin.join("xlvs")).arg("--version").read()?;
    ensure!(said == format!("xlvs {}", release.version), "xlvs --version says: {said}");
    let said = Command::new(bin.join("ipvsadm")).arg("--version").read()?;
    ensure!(said.starts_with("ipvsadm v1.31"), "ipvsadm --version says: {said}");
    for face in FACES {
        ensure!(bin.join(face).exists(), "{face} leads nowhere");
    }
    Ok(())
}

/// The units as packed, but for the path of the program, which is not installed here.
fn units(tree: &Path, folder: &Path) -> Result<()> {
    let copies = folder.join("units");
    fs::create_dir_all(&copies)?;
    let program = tree.join("usr/sbin/xlvs").display().to_string();
    for unit in UNITS {
        let text = fs::read_to_string(tree.join("usr/lib/systemd/system").join(unit))?;
        let text = text.replace("ExecStart=/usr/sbin/xlvs", &format!("ExecStart={program}"));
        // Pages are looked for, too, where they are not installed.
        let text = text.replace("Documentation=man:xlvs(8) ", "Documentation=");
        fs::write(copies.join(unit), text)?;
    }
    let mut verify = Command::new("systemd-analyze");
    let output = verify
        .args(["verify", "--recursive-errors=no"])
        .args(UNITS.iter().map(|unit| copies.join(unit)))
        .output()
        .context("cannot start systemd-analyze")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "systemd-analyze verify: {said}");
    Ok(())
}

fn pages(tree: &Path, folder: &Path) -> Result<()> {
    let pages = workspace::files(&tree.join("usr/share/man/man8"))?;
    ensure!(pages.len() > 30, "few pages: {pages:?}");
    let plain = folder.join("pages");
    fs::create_dir_all(&plain)?;
    for page in pages {
        let name = page.file_stem().context("a page has a name")?;
        let text = Command::new("gzip").arg("-cd").arg(&page).read()?;
        fs::write(plain.join(name), text + "\n")?;
    }
    Command::new("mandoc").args(["-T", "lint", "-W", "error"]).args(workspace::files(&plain)?).run()
}

fn shells(tree: &Path) -> Result<()> {
    let script = tree.join("usr/share/bash-completion/completions/xlvs");
    Command::new("bash").arg("-n").arg(script).run()?;
    for (shell, script) in [
        ("zsh", "usr/share/zsh/site-functions/_xlvs"),
        ("fish", "usr/share/fish/vendor_completions.d/xlvs.fish"),
    ] {
        let script = tree.join(script);
        ensure!(script.exists(), "{} leads nowhere", script.display());
        // What CI need not have, a person's machine may.
        if let Some(shell) = find_program(shell) {
            Command::new(shell).arg("-n").arg(script).run()?;
        }
    }
    Ok(())
}

fn scripts(root: &Path) -> Result<()> {
    for script in workspace::files(&root.join("packaging/deb"))? {
        Command::new("sh").arg("-n").arg(script).run()?;
    }
    Ok(())
}

/// Installed in a root of its own, upgraded, removed and purged: what was changed under /etc stays
/// until the purge, and then nothing is left.
fn life(deb: &Path, root: &Path) -> Result<()> {
    if !is_root() {
        println!("not tried: installing in a root of its own, which takes root");
        return Ok(());
    }
    let database = root.join("var/lib/dpkg");
    fs::create_dir_all(database.join("info"))?;
    fs::create_dir_all(database.join("updates"))?;
    fs::write(database.join("status"), "")?;
    let options = root.join("etc/xlvs/environment");
    let program = root.join("usr/sbin/xlvs");
    dpkg(root, &["-i"], Some(deb))?;
    Command::new(&program).arg("--version").read()?;

    fs::write(&options, "XLVS_OPTIONS=--interface eth7\n")?;
    dpkg(root, &["-i"], Some(deb))?;
    ensure!(fs::read_to_string(&options)?.contains("eth7"), "an upgrade overwrote the options");
    let state = root.join("var/lib/xlvs/default");
    fs::create_dir_all(&state)?;
    dpkg(root, &["-r", "xlvs"], None)?;
    ensure!(!program.exists() && options.exists() && state.exists(), "what removing leaves");
    dpkg(root, &["-P", "xlvs"], None)?;
    ensure!(!options.exists() && !state.exists(), "what purging leaves");
    Ok(())
}

fn dpkg(root: &Path, args: &[&str], package: Option<&Path>) -> Result<()> {
    Command::new("dpkg")
        .arg(format!("--root={}", root.display()))
        .args(["--force-script-chrootless", "--force-depends"])
        .args(args)
        .args(package)
        .read()
        .map(drop)
}
