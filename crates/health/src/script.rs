//! Which programs may be run: keepalived's script security, as a pure judgement over what the file
//! system says.
//!
//! A program that runs as root is not run, under `enable_script_security`, when somebody else than
//! root could put another in its place: the file or one of its directories belongs to another user,
//! or may be written to by others (a directory with the sticky bit excepted).

use thiserror::Error;

/// What `stat` says of a program or of one of the directories above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its path.
    pub path: String,
    /// Who it belongs to.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its type and permissions.
    pub mode: u32,
}

/// Who a program runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Why a program is not run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScriptFault {
    /// It is a directory or the like.
    #[error("{0} is not a file")]
    NotAFile(String),
    /// The user that it would run as may not.
    #[error("{path} is not executable for user {uid}: chmod +x it, or say another `user`")]
    NotExecutable {
        /// Which file.
        path: String,
        /// As whom.
        uid: u32,
    },
    /// Somebody else than root may change it.
    #[error(
        "{0} can be changed by others than root, and `enable_script_security` is set: chown and \
         chmod it, or say a `user`"
    )]
    Insecure(String),
}

/// Judges a program: its own part first, then its directories up to the root.
pub fn judge(parts: &[Part], ids: Ids, security: bool) -> Result<(), ScriptFault> {
    let Some(file) = parts.first() else { return Ok(()) };
    if file.mode & TYPE != REGULAR {
        return Err(ScriptFault::NotAFile(file.path.clone()));
    }
    if !may_execute(file, ids) {
        return Err(ScriptFault::NotExecutable { path: file.path.clone(), uid: ids.uid });
    }
    if security && ids.uid == 0 {
        for part in parts {
            if may_be_changed(part) {
                return Err(ScriptFault::Insecure(part.path.clone()));
            }
        }
    }
    Ok(())
}

const fn may_execute(file: &Part, ids: Ids) -> bool {
    let bits = if ids.uid == 0 {
        0o111
    } else if file.uid == ids.uid {
        0o100
    } else if file.gid == ids.gid {
        0o010
    } else {
        0o001
    };
    file.mode & bits != 0
}

const fn may_be_changed(part: &Part) -> bool {
    let is_sticky = part.mode & TYPE == DIRECTORY && part.mode & STICKY != 0;
    let by_group = part.gid != 0 && part.mode & 0o020 != 0;
    let by_all = part.mode & 0o002 != 0;
    part.uid != 0 || (!is_sticky && (by_group || by_all))
}

const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const STICKY: u32 = 0o1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &str, uid: u32, gid: u32, mode: u32) -> Part {
        Part { path: path.into(), uid, gid, mode }
    }

    #[test]
    fn rows() {
        const ROOT: Ids = Ids { uid: 0, gid: 0 };
        const USER: Ids = Ids { uid: 7, gid: 7 };
        let root_dir = part("/", 0, 0, DIRECTORY | 0o755);
        let file = |uid, gid, mode| part("/c", uid, gid, REGULAR | mode);
        let not_executable = |uid| Err(ScriptFault::NotExecutable { path: "/c".into(), uid });
        let insecure = |path: &str| Err(ScriptFault::Insecure(path.into()));
        for (file, above, ids, security, expected, why) in [
            (file(0, 0, 0o755), &root_dir, ROOT, true, Ok(()), "root's own"),
            (file(7, 7, 0o755), &root_dir, ROOT, true, insecure("/c"), "another's"),
            (file(7, 7, 0o755), &root_dir, ROOT, false, Ok(()), "without security"),
            (file(7, 7, 0o755), &root_dir, USER, true, Ok(()), "not run as root"),
            (file(0, 7, 0o775), &root_dir, ROOT, true, insecure("/c"), "a group's"),
            (file(0, 0, 0o775), &root_dir, ROOT, true, Ok(()), "root's group's"),
            (file(0, 0, 0o757), &root_dir, ROOT, true, insecure("/c"), "everybody's"),
            (
                file(0, 0, 0o755),
                &part("/", 0, 0, DIRECTORY | 0o777),
                ROOT,
                true,
                insecure("/"),
                "in everybody's directory",
            ),
            (
                file(0, 0, 0o755),
                &part("/", 0, 0, DIRECTORY | 0o1777),
                ROOT,
                true,
                Ok(()),
                "where each owns what is his",
            ),
            (file(0, 0, 0o644), &root_dir, ROOT, false, not_executable(0), "no program"),
            (file(0, 0, 0o700), &root_dir, USER, false, not_executable(7), "root's alone"),
            (file(7, 0, 0o100), &root_dir, USER, false, Ok(()), "the user's"),
            (file(0, 7, 0o010), &root_dir, USER, false, Ok(()), "the group's"),
            (
                part("/c", 0, 0, DIRECTORY | 0o755),
                &root_dir,
                ROOT,
                false,
                Err(ScriptFault::NotAFile("/c".into())),
                "a directory",
            ),
        ] {
            assert_eq!(judge(&[file, above.clone()], ids, security), expected, "{why}");
        }
    }
}
