//! `xlvs man`: the manual pages, written from what the flags say of themselves. The faces' pages
//! hold their own help, which is the real tool's, word for word.

use std::{fs, io::Write, path::Path, path::PathBuf};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};
use xlvs_config::ipvsadm;

use super::Xlvs;
use crate::face::FACES;

/// `xlvs man`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder for the pages; it is made when it is not there.
    dir: PathBuf,
}

impl Args {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let dir = self.dir.as_path();
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        let mut xlvs = Xlvs::command().disable_help_subcommand(true);
        xlvs.build();
        verb(&xlvs, dir)?;
        for face in FACES {
            write(dir, &format!("{face}.{SECTION}"), &face_page(face))?;
        }
        Ok(())
    }
}

/// The page of a verb, and those of the verbs below it. A face is no verb with flags.
fn verb(command: &Command, dir: &Path) -> anyhow::Result<()> {
    let below =
        || command.get_subcommands().filter(|c| !c.is_hide_set() && !FACES.contains(&c.get_name()));
    for command in below() {
        verb(command, dir)?;
    }
    // Faces are told of with the other verbs, but their pages have names of their own.
    let man = Man::new(command.clone())
        .section(SECTION)
        .source(concat!("xlvs ", env!("CARGO_PKG_VERSION")))
        .manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if below().next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    let closing = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    close(&closing, command.get_name() == "xlvs").to_writer(&mut page)?;
    let text = String::from_utf8(page).context("a page is text")?;
    // clap_mangen takes faces for verbs whose pages follow the pattern.
    let text = FACES.iter().fold(text, |text, face| {
        let escaped = face.replace('-', "\\-");
        text.replace(&format!("xlvs\\-{escaped}({SECTION})"), &format!("{escaped}({SECTION})"))
    });
    write(dir, &man.get_filename(), &text)
}

/// What a verb's help ends with: notes, then examples as they are to be typed.
fn close(text: &str, is_top: bool) -> Roff {
    let mut page = Roff::new();
    let (notes, examples) = text.split_once("Examples:\n").unwrap_or((text, ""));
    if !notes.trim().is_empty() {
        page.control("SH", ["NOTES"]);
        for line in notes.trim().lines() {
            if line.is_empty() {
                page.control("PP", []);
            } else {
                page.text([roman(line)]);
            }
        }
    }
    if !examples.is_empty() {
        page.control("SH", ["EXAMPLES"]);
        verbatim(&mut page, examples);
    }
    if is_top {
        page.control("SH", ["FILES"]);
        for (file, about) in FILES {
            page.control("TP", []);
            page.text([bold(*file)]);
            page.text([roman(*about)]);
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(if is_top { SEE_ALSO } else { "xlvs(8)" })]);
    page
}

fn face_page(face: &str) -> String {
    let (about, synopsis, text) = match face {
        "ipvsadm-save" => (
            "save the table of virtual services",
            "ipvsadm-save [-n]",
            "Prints the services and servers of the xlvs director of this network namespace as \
             lines for ipvsadm-restore(8). With -n addresses and ports are printed as numbers.",
        ),
        "ipvsadm-restore" => (
            "restore the table of virtual services",
            "ipvsadm-restore < FILE",
            "Empties the table of the xlvs director of this network namespace, then carries out \
             the lines of ipvsadm-save(8) from standard input.",
        ),
        _ => (
            "administration of virtual services, as with the kernel's IPVS",
            "ipvsadm [COMMAND] [OPTIONS]",
            "This is ipvsadm for the xlvs director of this network namespace: the options, the \
             text and the exit codes are those of ipvsadm 1.31 for the kernel's ip_vs. What it \
             says of itself:",
        ),
    };
    let mut page = Roff::new();
    let title = face.to_uppercase();
    let source = concat!("xlvs ", env!("CARGO_PKG_VERSION"));
    page.control("TH", [title.as_str(), SECTION, "", source, MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{face} - {about}"))]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold(synopsis)]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(text)]);
    if face == "ipvsadm" {
        verbatim(&mut page, &ipvsadm::help("ipvsadm"));
    }
    page.control("SH", ["ENVIRONMENT"]);
    page.control("TP", []);
    page.text([bold("XLVS_INSTANCE")]);
    page.text([roman("The director's name, where it is not that of this network namespace.")]);
    page.control("SH", ["SEE ALSO"]);
    let others = FACES.into_iter().filter(|other| *other != face);
    let others: Vec<_> = others.map(|other| format!("{other}(8)")).collect();
    page.text([roman(format!("{}, xlvs(8)", others.join(", ")))]);
    page.render()
}

/// Lines as they are, without filling.
fn verbatim(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.control("nf", []);
    for line in text.trim_end().lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = dir.join(name);
    let cannot = || format!("cannot write {}", path.display());
    let mut file = fs::File::create(&path).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)
}

/// Administration.
const SECTION: &str = "8";
const MANUAL: &str = "Linux Virtual Server on XDP";

const FILES: &[(&str, &str)] = &[
    ("/etc/xlvs/environment", "Options of the daemon that xlvs.service starts."),
    ("/run/xlvs/NAME", "A director's socket, and its programs and tables in the kernel."),
    ("/var/lib/xlvs/NAME", "Its state: services, servers, settings."),
];

const SEE_ALSO: &str = "ipvsadm(8), ipvsadm-save(8), ipvsadm-restore(8), systemctl(1); \
     /usr/share/doc/xlvs.";

const EXAMPLES: &str = "\
Example:
  xlvs man /usr/share/man/man8";
