//! The tree that is packed, as it will lie on a user's system.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{DOCUMENTS, FACES, Release, UNITS, emptied, licences};
use crate::shell::CommandExt as _;
use crate::workspace;

/// Fills `target/dist/tree` anew.
pub(super) fn stage(release: &Release, program: &Path) -> Result<PathBuf> {
    let (root, tree) = (&release.root, release.target.join("tree"));
    emptied(&tree)?;
    let put = |from: &Path, to: &str| put(from, &tree.join(to));

    put(program, "usr/sbin/xlvs")?;
    let packed = tree.join("usr/sbin/xlvs");
    fs::set_permissions(&packed, fs::Permissions::from_mode(0o755))?;
    // Lines of the source are for developers; the names of functions stay.
    Command::new("strip").arg("--strip-debug").arg(&packed).run()?;
    for face in FACES {
        symlink("xlvs", tree.join("usr/sbin").join(face))?;
    }
    for unit in UNITS {
        put(&root.join("packaging").join(unit), &format!("usr/lib/systemd/system/{unit}"))?;
    }
    put(&root.join("packaging/environment"), "etc/xlvs/environment")?;
    for document in DOCUMENTS {
        put(&root.join(document), &format!("{DOC}/{document}"))?;
    }
    for document in workspace::files(&root.join("docs"))? {
        let name = document.file_name().unwrap_or_default().display().to_string();
        put(&document, &format!("{DOC}/{name}"))?;
    }
    put(&root.join("crates/ebpf/LICENSE"), &format!("{DOC}/LICENSE-EBPF"))?;
    put(&root.join("packaging/copyright"), &format!("{DOC}/copyright"))?;
    fs::write(tree.join(licences::STAGED), licences::collect(root)?)?;
    put(&root.join("dashboards/xlvs.json"), "usr/share/xlvs/dashboards/xlvs.json")?;
    speak(&packed, &tree)?;
    Command::new("find")
        .arg(&tree)
        .args(["-exec", "touch", "--no-dereference", "--date"])
        .arg(format!("@{}", release.epoch))
        .args(["{}", "+"])
        .run()?;
    Ok(tree)
}

/// What the program says of itself: manual pages and completions.
fn speak(program: &Path, tree: &Path) -> Result<()> {
    let pages = tree.join("usr/share/man/man8");
    Command::new(program).arg("man").arg(&pages).run()?;
    let pages = workspace::files(&pages)?;
    Command::new("gzip").args(["-9n"]).args(pages).run()?;
    for (shell, place) in COMPLETIONS {
        let script = Command::new(program).args(["completions", shell]).read()?;
        let place = tree.join(place);
        fs::create_dir_all(place.parent().context("a place lies in a folder")?)?;
        fs::write(&place, script + "\n")?;
    }
    // Debian's zsh looks where vendors write, others' where sites do.
    let functions = tree.join("usr/share/zsh/site-functions");
    fs::create_dir_all(&functions)?;
    symlink("../vendor-completions/_xlvs", functions.join("_xlvs"))?;
    Ok(())
}

fn put(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a place lies in a folder")?)?;
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

/// Everything in the tree that is no folder, as its path on a user's system.
pub(super) fn listed(tree: &Path) -> Result<Vec<String>> {
    let mut find = Command::new("find");
    let found = find.arg(tree).args(["!", "-type", "d", "-printf", "/%P\\n"]);
    let mut paths: Vec<_> = found.read()?.lines().map(str::to_owned).collect();
    paths.sort();
    Ok(paths)
}

const DOC: &str = "usr/share/doc/xlvs";
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/xlvs"),
    ("zsh", "usr/share/zsh/vendor-completions/_xlvs"),
    ("fish", "usr/share/fish/vendor_completions.d/xlvs.fish"),
];
