//! `xlvs mark`.

use std::io::Write;

use xlvs_api::{Director, MarksView};
use xlvs_model::{
    Change, InterfacePattern, IpProtocol, Is, MacAddress, MarkMatch, MarkRule, MarkThen, Masked,
    ParsePartError, Ports, Prefix,
};

use super::{Where, service::change_one};
use crate::output::{self, Format, Output};

/// `xlvs mark`
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List mark rules: the host's, which are followed, and the director's own.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        place: Where,
        #[command(flatten)]
        output: Output,
    },
    /// Add a rule. Its words are those of iptables; a value that begins with `!` must not be so.
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        #[command(flatten)]
        matches: Box<Matches>,
        #[command(flatten)]
        then: Then,
        /// Before the rule of this number [default: after all].
        #[arg(long, value_name = "NUMBER")]
        at: Option<u32>,
        #[command(flatten)]
        place: Where,
    },
    /// Remove a rule.
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove {
        /// Its number, as `xlvs mark list` shows it.
        number: u32,
        #[command(flatten)]
        place: Where,
    },
}

/// Which packets.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Which packets")]
pub(super) struct Matches {
    /// Whom they are from.
    #[arg(long, short, value_name = "ADDRESS[/MASK]")]
    source: Option<Is<Prefix>>,
    /// Whom they are to.
    #[arg(long, short, value_name = "ADDRESS[/MASK]")]
    destination: Option<Is<Prefix>>,
    /// What they carry: tcp, udp, sctp, or a number.
    #[arg(long, short, value_name = "PROTOCOL")]
    protocol: Option<Is<IpProtocol>>,
    /// Their source port, one of up to 15: 1000:2000,3000.
    #[arg(long, value_name = "PORTS")]
    sport: Option<Is<Ports>>,
    /// Their destination port.
    #[arg(long, value_name = "PORTS")]
    dport: Option<Is<Ports>>,
    /// Either of their ports.
    #[arg(long, value_name = "PORTS")]
    ports: Option<Is<Ports>>,
    /// By which interface they come: eth0, or eth+ for all whose names begin so.
    #[arg(long, short, value_name = "NAME")]
    in_interface: Option<Is<InterfacePattern>>,
    /// Their source Ethernet address.
    #[arg(long, value_name = "MAC")]
    mac_source: Option<Is<MacAddress>>,
    /// The mark that rules before gave them.
    #[arg(long, value_name = "VALUE[/MASK]")]
    mark: Option<Is<Masked>>,
}

/// What happens to them.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = "What happens to them")]
pub(super) struct Then {
    /// Their mark becomes this.
    #[arg(long, value_name = "VALUE[/MASK]")]
    set_mark: Option<Masked>,
    /// Bits of the mask are cleared, then bits of the value flipped.
    #[arg(long, value_name = "VALUE[/MASK]")]
    set_xmark: Option<Masked>,
    /// These bits are set.
    #[arg(long, value_name = "BITS", value_parser = bits)]
    or_mark: Option<u32>,
    /// All bits but these are cleared.
    #[arg(long, value_name = "BITS", value_parser = bits)]
    and_mark: Option<u32>,
    /// These bits are flipped.
    #[arg(long, value_name = "BITS", value_parser = bits)]
    xor_mark: Option<u32>,
    /// Nothing; no later rule of the director is asked.
    #[arg(long)]
    accept: bool,
}

impl Verb {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let place = match self {
            Self::List { place, .. } | Self::Add { place, .. } | Self::Remove { place, .. } => {
                place
            }
        };
        self.run_on(&mut place.connect()?, &mut output::stdout())
    }

    /// Does it to a director.
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        match self {
            Self::List { output, .. } => list(&director.marks()?, *output, out),
            Self::Add { matches, then, at, .. } => {
                let rule = MarkRule { matches: matches.model(), then: then.model() };
                let what = rule.to_string();
                change_one(director, Change::AddMark { at: *at, rule }, &what)
            }
            Self::Remove { number, .. } => {
                let what = format!("rule {number}");
                change_one(director, Change::RemoveMark { at: *number }, &what)
            }
        }
    }
}

impl Matches {
    fn model(&self) -> MarkMatch {
        let this = self.clone();
        MarkMatch {
            source: this.source,
            destination: this.destination,
            protocol: this.protocol,
            source_ports: this.sport,
            destination_ports: this.dport,
            ports: this.ports,
            interface: this.in_interface,
            source_mac: this.mac_source,
            mark: this.mark,
        }
    }
}

impl Then {
    /// One of them is given: clap sees to it.
    fn model(&self) -> MarkThen {
        let set = self.set_mark.map(Masked::set).or(self.set_xmark);
        let set = set.or(self.or_mark.map(Masked::or)).or(self.and_mark.map(Masked::and));
        set.or(self.xor_mark.map(Masked::xor)).map_or(MarkThen::Stop, MarkThen::Set)
    }
}

fn list(marks: &MarksView, format: Output, out: &mut dyn Write) -> anyhow::Result<()> {
    if format.output == Format::Json {
        return output::json(out, marks);
    }
    let followed = marks.followed.iter().map(|followed| {
        let rule = format!("{}{}", "  ".repeat(followed.depth), followed.rule);
        ["-".to_owned(), "host".to_owned(), rule]
    });
    let own = (1_u32..)
        .zip(&marks.own)
        .map(|(n, rule)| [n.to_string(), "director".to_owned(), rule.to_string()]);
    output::table(out, ["NUMBER", "OF", "RULE"], followed.chain(own))?;
    for note in &marks.not_mirrored {
        writeln!(out, "not mirrored: {}: {}", note.text, note.reason)?;
    }
    Ok(())
}

/// A number without a mask.
fn bits(text: &str) -> Result<u32, ParsePartError> {
    let masked: Masked = text.parse()?;
    let expected = "a mark like 8 or 0x10";
    let wrong = || ParsePartError { word: text.to_owned(), expected };
    (!text.contains('/')).then_some(masked.value).ok_or_else(wrong)
}

const LIST_EXAMPLES: &str = "\
Examples:
  xlvs mark list
  xlvs mark list -o json | jq '.own'";
const ADD_EXAMPLES: &str = "\
Examples:
  xlvs mark add -d 10.0.0.1 -p tcp --dport 80,443 --set-mark 8
  xlvs mark add -d 10.0.0.1 -p tcp --dport 80 --mac-source '!02:00:00:00:00:01' --set-mark 3
  xlvs mark add -s 192.0.2.0/24 -i eth+ --or-mark 0x10 --at 1";
const REMOVE_EXAMPLES: &str = "\
Example:
  xlvs mark remove 2";
