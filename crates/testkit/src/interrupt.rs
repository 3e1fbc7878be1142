//! Ctrl-C, SIGTERM and SIGHUP as a flag: the handler only sets it, whoever waits looks at it, and
//! what was made is taken away on the usual way out.
#![allow(unsafe_code, reason = "a signal handler is installed by a system call")]

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

static CAME: AtomicBool = AtomicBool::new(false);

/// From here on these signals set the flag instead of ending the process.
pub fn catch() {
    extern "C" fn set_flag(_: libc::c_int) {
        CAME.store(true, Ordering::Relaxed);
    }
    let handler: extern "C" fn(libc::c_int) = set_flag;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: `action` is wholly initialised (zeroed, then the handler set), and the handler
        // does nothing but an atomic store, which is allowed at any point of a program.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// One of them came.
pub fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}

/// [`Error::Interrupted`] if one of them came.
pub fn check() -> Result<()> {
    if came() { Err(Error::Interrupted) } else { Ok(()) }
}
