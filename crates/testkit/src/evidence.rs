//! What a test that fails leaves behind: every wire's frames as pcap files and every log.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use crate::{Lab, Result, capture::Capture, error::Tried};

/// Collects while it lives; writes only if it is dropped by a panic. Make it after the lab, so that
/// it goes first.
#[derive(Debug)]
pub struct Evidence<'a> {
    lab: &'a Lab,
    folder: PathBuf,
    captures: Vec<(String, Capture)>,
}

impl<'a> Evidence<'a> {
    /// Listens on the switch's end of every wire, where XDP's frames are seen too. What is written
    /// goes to `folder/PREFIX/`.
    pub fn collect(lab: &'a Lab, folder: &Path) -> Result<Self> {
        let ports =
            lab.switch().netlink().links()?.into_iter().filter(|link| link.name.contains('.'));
        let capture = |name: String| Ok((name.clone(), lab.switch().capture(&name)?));
        let captures = ports.map(|port| capture(port.name)).collect::<Result<_>>()?;
        Ok(Self { lab, folder: folder.join(lab.prefix()), captures })
    }

    /// Writes what there is so far; says where.
    pub fn write(&self) -> Result<PathBuf> {
        let what = || format!("write to {}", self.folder.display());
        fs::create_dir_all(&self.folder).tried(what)?;
        for (name, capture) in &self.captures {
            capture.write(&self.folder.join(format!("{name}.pcap")))?;
        }
        fs::write(self.folder.join("logs.txt"), self.lab.logs()).tried(what)?;
        Ok(self.folder.clone())
    }
}

impl Drop for Evidence<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.write(); // the test's own words matter more
        }
    }
}
