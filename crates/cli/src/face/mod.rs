//! The faces: `ipvsadm`, `ipvsadm-save` and `ipvsadm-restore`, byte for byte.
//!
//! They are found by the name xlvs is called by, or as its first argument. What a line means is
//! `xlvs_config`'s business, what directors do is theirs; here the one is put to the other and
//! answers are written as the real tool writes them.

mod list;
mod names;
mod restore;
mod sort;
mod terms;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
};

use xlvs_api::{ClientError, Director, Zero};
use xlvs_config::ipvsadm::{self, Command, Refusal, Resolver};
use xlvs_model::{Change, Fault};

use self::names::SystemNames;
pub(crate) use self::{
    sort::as_held,
    terms::{tunnel_info, words},
};

/// The names of the faces.
pub(crate) const FACES: [&str; 3] = ["ipvsadm", "ipvsadm-save", "ipvsadm-restore"];

/// A face that was called, by its own name or as the first argument of xlvs.
pub(crate) struct Call {
    face: &'static str,
    /// The name in its texts.
    program: String,
    args: Vec<String>,
}

/// The face that the arguments (the program's name first) call, if they do.
pub(crate) fn called(args: &[String]) -> Option<Call> {
    let face_of = |name: &str| {
        let base = Path::new(name).file_name()?.to_str()?.to_owned();
        FACES.into_iter().find(|face| **face == base)
    };
    let (program, rest) = args.split_first()?;
    if let Some(face) = face_of(program) {
        return Some(Call { face, program: program.clone(), args: rest.to_vec() });
    }
    let (verb, rest) = rest.split_first()?;
    let face = FACES.into_iter().find(|face| face == verb)?;
    Some(Call { face, program: face.to_owned(), args: rest.to_vec() })
}

impl Call {
    /// Runs it on the process's own streams.
    pub(crate) fn run(&self, open: &mut Open<'_>) -> ExitCode {
        let (names, mut out, mut err) = (SystemNames::default(), io::stdout(), io::stderr());
        let (program, names) = (&self.program, &names);
        let tool = Tool { program, names, salt: 0, out: &mut out, err: &mut err };
        ExitCode::from(self.run_as(tool, open, &mut io::stdin()))
    }

    fn run_as(&self, mut tool: Tool<'_>, open: &mut Open<'_>, input: &mut dyn Read) -> u8 {
        match self.face {
            "ipvsadm-save" => tool.save(&self.args, open),
            "ipvsadm-restore" => tool.restore_afresh(open, input),
            _ => tool.ipvsadm(&self.args, open, input),
        }
    }
}

/// Connects to the director.
pub(crate) type Open<'a> = dyn FnMut() -> Result<Box<dyn Director>, ClientError> + 'a;

/// What an action came to: `Ok` is the status of one command, `Err` ends the program with it.
type Status = Result<u8, u8>;

/// One run of the tool.
struct Tool<'a> {
    program: &'a str,
    names: &'a dyn Resolver,
    /// Where the kernel's table of services would begin.
    salt: u8,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl Tool<'_> {
    /// `ipvsadm ARGS`.
    fn ipvsadm(&mut self, args: &[String], open: &mut Open<'_>, input: &mut dyn Read) -> u8 {
        let command = if args.is_empty() {
            Ok(Command::List(list::EVERYTHING))
        } else {
            ipvsadm::parse(args, self.names)
        };
        // The two that need no director; the real tool asks for the kernel's first, but then it
        // loads the module by itself.
        if matches!(command, Ok(Command::Help | Command::Version)) {
            return self.help_or_version(command == Ok(Command::Help));
        }
        let mut director = match open() {
            Ok(director) => director,
            Err(error) => return self.cannot_begin(&error),
        };
        let status = match command {
            Ok(Command::Restore) => self.restore(director.as_mut(), input),
            Ok(command) => self.carry_out(command, director.as_mut()),
            Err(refusal) => self.refuse(&refusal),
        };
        let (Ok(status) | Err(status)) = status;
        status
    }

    /// `ipvsadm-save ARGS`: a script around `ipvsadm -S`.
    fn save(&mut self, args: &[String], open: &mut Open<'_>) -> u8 {
        if args.iter().any(|arg| arg.starts_with('-') && arg != "-n") {
            let base = Path::new(self.program).file_name().unwrap_or_default();
            let text = format!("{}: {}", base.to_string_lossy(), ipvsadm::SAVE_HELP);
            self.complain(text.trim_end());
            return 1;
        }
        let mut line = vec!["-S".to_owned()];
        line.extend(args.iter().any(|arg| arg == "-n").then(|| "-n".to_owned()));
        self.as_ipvsadm().ipvsadm(&line, open, &mut io::empty())
    }

    /// The script's own calls are to `ipvsadm`.
    fn as_ipvsadm(&mut self) -> Tool<'_> {
        let Self { names, salt, .. } = *self;
        Tool { program: "ipvsadm", names, salt, out: self.out, err: self.err }
    }

    /// Carries out one command that is not `-R`.
    fn carry_out(&mut self, command: Command, director: &mut dyn Director) -> Status {
        match command {
            Command::Help => Ok(self.help_or_version(true)),
            Command::Version => Ok(self.help_or_version(false)),
            Command::List(list) => self.list(&list, director),
            Command::Save { numeric } => self.list_rules(numeric, director),
            Command::Change(change) => Ok(self.change(&[change], director)),
            Command::Zero(service) => Ok(self.zero(Zero { service }, director)),
            Command::UnknownScheduler { service, edit } => match director.services() {
                Ok(services) => {
                    let exists = services.iter().any(|s| s.key == service);
                    self.complain(match (edit, exists) {
                        (false, true) => "Service already exists",
                        (true, false) => "No such service",
                        _ => "Scheduler or persistence engine not found",
                    });
                    Ok(255)
                }
                Err(error) => Ok(self.report(&error)),
            },
            // Within `-R`; at the top it goes to `restore`.
            Command::Restore => self.refuse(&Refusal::NoCommand),
        }
    }

    /// Makes changes and complains of each that was refused; the status is that of the last.
    fn change(&mut self, changes: &[Change], director: &mut dyn Director) -> u8 {
        let outcome = match director.change(changes) {
            Ok(outcome) => outcome,
            Err(error) => return self.report(&error),
        };
        let mut status = 0;
        for (change, fault) in changes.iter().zip(&outcome.faults) {
            status = fault.map_or(0, |fault| {
                self.complain(fault_text(change, fault));
                255
            });
        }
        if let Some(why) = outcome.not_saved {
            self.complain(&format!("xlvs: in force, but not saved for the next start: {why}"));
        }
        status
    }

    fn zero(&mut self, what: Zero, director: &mut dyn Director) -> u8 {
        match director.zero(what) {
            Ok(()) => 0,
            Err(ClientError::Refused(error)) if error.fault == Some(Fault::NoSuchService) => {
                self.complain("No such service");
                255
            }
            Err(error) => self.report(&error),
        }
    }

    fn help_or_version(&mut self, help: bool) -> u8 {
        let text = if help { ipvsadm::help(self.program) } else { ipvsadm::version().to_owned() };
        self.say(&text).unwrap_or_else(|status| status)
    }

    fn refuse(&mut self, refusal: &Refusal) -> Status {
        self.complain(&refusal.message(self.program));
        if refusal.ends_restore() { Err(refusal.status()) } else { Ok(refusal.status()) }
    }

    /// There is no director to talk to: the real tool's first line and status without `ip_vs`, and
    /// what to do. Who may not talk to one is told in the real tool's words alone.
    fn cannot_begin(&mut self, error: &ClientError) -> u8 {
        match error {
            ClientError::Denied { .. } => {
                self.complain("Can't initialize ipvs: Permission denied (you must be root)");
                self.complain(
                    "Are you sure that IP Virtual Server is built in the kernel or as module?",
                );
                return 2;
            }
            _ if error.is_absence() => {
                self.complain("Can't initialize ipvs: Protocol not available");
            }
            _ => {}
        }
        self.report(error);
        2
    }

    /// The conversation with the director went wrong.
    fn report(&mut self, error: &ClientError) -> u8 {
        let hint = error.hint().map(|hint| format!("; try: {hint}")).unwrap_or_default();
        self.complain(&format!("xlvs: {error}{hint}"));
        255
    }

    /// Writes to standard output. A reader who left ends the program, as `SIGPIPE` would.
    fn say(&mut self, text: &str) -> Status {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_or(Err(BROKEN_PIPE), |()| Ok(0))
    }

    fn complain(&mut self, line: &str) {
        // Nothing is left to tell it to when standard error is closed.
        drop(writeln!(self.err, "{line}"));
    }
}

/// A fault in the real tool's words, which depend on what was asked.
fn fault_text(change: &Change, fault: Fault) -> &'static str {
    let of_server = matches!(
        change,
        Change::AddServer { .. } | Change::EditServer { .. } | Change::DeleteServer { .. }
    );
    match fault {
        Fault::ServiceExists => "Service already exists",
        Fault::NoSuchService if of_server => "Service not defined",
        Fault::NoSuchService => "No such service",
        Fault::ServerExists => "Destination already exists",
        Fault::NoSuchServer => "No such destination",
        Fault::NoSuchEngine => "Scheduler or persistence engine not found",
        Fault::OutOfRange => "Numerical result out of range",
        Fault::DaemonRuns => "Daemon has already run",
        Fault::NoDaemon => "No daemon is running",
        Fault::NoSuchDevice => "No such device",
        Fault::TablesFull => "Memory allocation problem",
        // `EINVAL`, and faults of what the real tool does not know.
        _ => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
    }
}

/// 128 + `SIGPIPE`.
const BROKEN_PIPE: u8 = 141;
