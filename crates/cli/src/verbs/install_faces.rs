//! `xlvs install-faces`.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    face::FACES,
    output::{self, Hinted},
};

/// `xlvs install-faces`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder for the links; it is made when it is not there.
    dir: PathBuf,

    /// Replace what is there under these names.
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("cannot find this program's own path")?;
        self.link_to(&program, &mut output::stdout())
    }

    /// Links to `program`; a link that is right already stays.
    pub(super) fn link_to(&self, program: &Path, out: &mut dyn io::Write) -> anyhow::Result<()> {
        let dir = self.dir.display();
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot make the folder {dir}"))?;
        let links = FACES.map(|face| self.dir.join(face));
        let is_right = |link: &Path| fs::read_link(link).is_ok_and(|to| to == program);
        let foreign = links.iter().find(|link| link.symlink_metadata().is_ok() && !is_right(link));
        if let (Some(link), false) = (foreign, self.force) {
            let message = format!("{} is there already and is no link to xlvs", link.display());
            return Err(
                Hinted::new(message, "replace it with --force, or use another folder").into()
            );
        }
        for link in links.iter().filter(|link| !is_right(link)) {
            let cannot = || format!("cannot make the link {}", link.display());
            if link.symlink_metadata().is_ok() {
                fs::remove_file(link).with_context(cannot)?;
            }
            symlink(program, link).with_context(cannot)?;
        }
        for link in &links {
            writeln!(out, "{} -> {}", link.display(), program.display())?;
        }
        Ok(())
    }
}

const EXAMPLES: &str = "\
Examples:
  xlvs install-faces /usr/local/sbin
  xlvs install-faces ~/bin --force";
