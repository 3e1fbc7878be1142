//! Programs: `MISC_CHECK`'s, and those that are told of changes.

use std::{
    collections::HashMap,
    io,
    os::unix::{fs::MetadataExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal as Number, killpg},
    unistd::{Group, Pid, User, geteuid},
};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
    time::timeout,
};
use xlvs_model::health::{MiscCheck, Script, ScriptUser};

use super::net::is_out_of_files;
use crate::{
    Fault, Outcome,
    dialogue::{GRACE, Program, ProgramStep, Signal, Waited},
    script::{self, Ids, Part},
};

/// keepalived's default user of scripts, if there is such a user.
const DEFAULT_USER: &str = "keepalived_script";

/// Who programs run as. Names are looked up once: that may ask a slow directory.
#[derive(Debug, Default)]
pub(super) struct Users {
    security: bool,
    known: Mutex<HashMap<Option<ScriptUser>, Result<Ids, String>>>,
}

impl Users {
    /// Nobody is known yet. `security`: `enable_script_security`.
    pub(super) fn new(security: bool) -> Self {
        Self { security, ..Self::default() }
    }

    fn ids(&self, user: Option<&ScriptUser>) -> Result<Ids, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(user.cloned()).or_insert_with(|| look_up(user)).clone()
    }
}

/// Runs a check's program to its end, or ends it.
pub(super) async fn run(check: &MiscCheck, users: &Users) -> Outcome {
    match start(&check.script, users, Stdio::null()) {
        Ok(child) => end_of(child, check.timeout, check.dynamic).await,
        Err(fault) => fault.outcome(),
    }
}

/// The same for what a program prints, up to `limit` bytes: more is not read.
pub(super) async fn read(
    script: &Script,
    time: Duration,
    users: &Users,
    limit: u64,
) -> Result<Vec<u8>, Outcome> {
    let mut child =
        start(script, users, Stdio::piped()).map_err(|fault: NotRun| fault.outcome())?;
    let pipe = child.child.stdout.take();
    let reading = tokio::spawn(async move {
        let mut printed = Vec::new();
        match pipe {
            Some(pipe) => pipe.take(limit).read_to_end(&mut printed).await.map(|_| printed),
            None => Ok(printed),
        }
    });
    let outcome = end_of(child, time, false).await;
    if !outcome.is_good() {
        reading.abort();
        return Err(outcome);
    }
    // What it left behind may hold the pipe for as long as it likes.
    let abort = reading.abort_handle();
    match timeout(GRACE, reading).await {
        Ok(Ok(Ok(printed))) => Ok(printed),
        Ok(Ok(Err(fault))) => Err(Outcome::Unasked(format!("no word of its output: {fault}"))),
        Ok(Err(fault)) => Err(Outcome::Unasked(format!("no word of its output: {fault}"))),
        Err(_) => {
            abort.abort();
            Err(Outcome::Bad(Fault::CannotRun("its output does not end with it".into())))
        }
    }
}

/// Waits for a program's end, or brings it about.
async fn end_of(mut child: Running, time: Duration, dynamic: bool) -> Outcome {
    let began = Instant::now();
    let mut program = Program::new(time, dynamic, Duration::ZERO);
    loop {
        let left = program.wake().saturating_sub(began.elapsed());
        match timeout(left, child.child.wait()).await {
            Ok(Ok(status)) => {
                let (outcome, clean) = program.ended(waited(status));
                if clean {
                    child.signal(Number::SIGKILL);
                }
                child.over = true;
                return outcome;
            }
            Ok(Err(fault)) => return Outcome::Unasked(format!("no word of its end: {fault}")),
            Err(_) => match program.tick(began.elapsed()) {
                ProgramStep::Signal(Signal::Term, _) => child.signal(Number::SIGTERM),
                ProgramStep::Signal(Signal::Kill, _) => child.signal(Number::SIGKILL),
                ProgramStep::GiveUp(outcome) => return outcome,
                ProgramStep::Wait(_) => {}
            },
        }
    }
}

/// Starts a program that nobody waits for; it is reaped when it ends.
pub(super) fn start_alone(script: &Script, users: &Users) -> Result<(), String> {
    let mut running = start(script, users, Stdio::null())
        .map_err(|(NotRun::Here(why) | NotRun::Never(why))| why)?;
    // It outlives the daemon if it must: it tells of the daemon's end, too.
    running.over = true;
    tokio::spawn(async move { running.child.wait().await });
    Ok(())
}

/// A program in a process group of its own, which is killed when nobody waits any more.
struct Running {
    child: Child,
    group: Option<Pid>,
    over: bool,
}

impl Running {
    fn signal(&self, number: Number) {
        if let Some(group) = self.group {
            // No such process: it has ended meanwhile.
            let _ = killpg(group, number);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over {
            self.signal(Number::SIGKILL);
        }
    }
}

/// Why a program was not started.
enum NotRun {
    /// This host has no room for it now.
    Here(String),
    /// It cannot be run as it is.
    Never(String),
}

impl NotRun {
    fn outcome(self) -> Outcome {
        match self {
            Self::Here(why) => Outcome::Unasked(why),
            Self::Never(why) => Outcome::Bad(Fault::CannotRun(why)),
        }
    }
}

fn start(script: &Script, users: &Users, output: Stdio) -> Result<Running, NotRun> {
    let mut command = command(script, users).map_err(NotRun::Never)?;
    command.stdout(output);
    let child = command.spawn().map_err(|fault| match fault.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => NotRun::Here(fault.to_string()),
        _ if is_out_of_files(&fault) => NotRun::Here(fault.to_string()),
        _ => NotRun::Never(fault.to_string()),
    })?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    Ok(Running { child, group, over: false })
}

/// A program as it is to be run, once it is found to be fit.
fn command(script: &Script, users: &Users) -> Result<Command, String> {
    let name = script.argv.first().ok_or("it has no name")?;
    let path = find(name)?;
    let ids = users.ids(script.user.as_ref())?;
    let parts = parts(&path).map_err(|fault| format!("{}: {fault}", path.display()))?;
    script::judge(&parts, ids, users.security).map_err(|fault| fault.to_string())?;
    let mut command = Command::new(&path);
    command.args(&script.argv[1..]).stdin(Stdio::null()).stderr(Stdio::null()).process_group(0);
    if geteuid().is_root() && ids.uid != 0 {
        command.uid(ids.uid).gid(ids.gid);
    }
    Ok(command)
}

/// Where a program lies; a name alone is looked for in the usual places.
fn find(name: &str) -> Result<PathBuf, String> {
    let path = if name.contains('/') {
        PathBuf::from(name)
    } else {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        let mut places = path.split(':').map(|place| Path::new(place).join(name));
        places.find(|path| path.is_file()).ok_or_else(|| format!("no {name} in {path}"))?
    };
    path.canonicalize().map_err(|fault| format!("{name}: {fault}"))
}

/// The file and its directories, up to the root.
fn parts(path: &Path) -> io::Result<Vec<Part>> {
    path.ancestors()
        .map(|part| {
            let found = part.metadata()?;
            Ok(Part {
                path: part.display().to_string(),
                uid: found.uid(),
                gid: found.gid(),
                mode: found.mode(),
            })
        })
        .collect()
}

/// Who a program runs as. Where this process is not root, it cannot be anybody else.
fn look_up(user: Option<&ScriptUser>) -> Result<Ids, String> {
    let me = Ids { uid: geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
    let default = ScriptUser { user: DEFAULT_USER.into(), group: None };
    let (asked, must) = user.map_or((&default, false), |user| (user, true));
    let found = match asked.user.parse::<u32>() {
        Ok(uid) => User::from_uid(uid.into())
            .map(|user| user.map(|user| (uid, user.gid.as_raw())).or(Some((uid, uid)))),
        Err(_) => User::from_name(&asked.user)
            .map(|user| user.map(|user| (user.uid.as_raw(), user.gid.as_raw()))),
    };
    let found = found.map_err(|fault| format!("user {}: {fault}", asked.user))?;
    let Some((uid, mut gid)) = found else {
        return if must { Err(format!("there is no user {}", asked.user)) } else { Ok(me) };
    };
    if let Some(group) = &asked.group {
        gid = match group.parse() {
            Ok(gid) => gid,
            Err(_) => match Group::from_name(group) {
                Ok(Some(group)) => group.gid.as_raw(),
                _ => return Err(format!("there is no group {group}")),
            },
        };
    }
    if me.uid != 0 && uid != me.uid {
        return if must { Err(format!("only root can run it as {}", asked.user)) } else { Ok(me) };
    }
    Ok(Ids { uid, gid })
}

fn waited(status: ExitStatus) -> Waited {
    match (status.code(), status.signal()) {
        (Some(code), _) => Waited::Exit(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => Waited::Signal(signal.unwrap_or(0)),
    }
}
