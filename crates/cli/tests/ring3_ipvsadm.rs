//! All that `ipvsadm` can ask for, asked of a real daemon: it is held, listed, saved, kept over a
//! restart and restored, and the status says what of it is not forwarded yet. Needs root; says so
//! when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::fs;

use xlvs_testkit::Plan;

use site::Site;

/// What was typed in the recording and went well.
fn typed() -> String {
    let blocks = include_str!("golden/02-rich-add").split("$ ipvsadm ");
    let good = blocks.filter_map(|block| block.strip_suffix("\n--- rc 0\n\n"));
    good.filter(|line| !line.contains("\n---") && !line.starts_with("-L"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// What the real tool saved of it.
fn saved() -> String {
    let block = include_str!("golden/05-save-restore").lines();
    let rules = block.skip_while(|line| !line.starts_with("-A"));
    rules.take_while(|line| line.starts_with('-')).flat_map(|line| [line, "\n"]).collect()
}

/// What the real tool listed of it.
fn listed() -> String {
    let block = include_str!("golden/03-rich-list").split("\n--- rc").next().unwrap();
    block.lines().skip(3).flat_map(|line| [line, "\n"]).collect()
}

/// Feeds lines to one of the faces.
fn feed(site: &Site, face: &str, lines: &str) {
    let file = site.lab.folder().join("lines");
    fs::write(&file, lines).unwrap();
    site.run("director", "/bin/sh", &["-c", &format!("{face} <{}", file.display())]);
}

/// What a command that the director refuses says.
fn refused(site: &Site, args: &str) -> String {
    let output = site.attempt("director", args);
    assert_eq!(output.status.code(), Some(255), "{args}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn everything_is_held_listed_saved_and_restored() {
    let Some(mut site) = Site::build(&Plan::one_arm(1, 1)) else { return };
    let daemon = site.start_director("--interface eth0");
    feed(&site, "ipvsadm -R", &typed());
    let table = || {
        let text = site.xlvs("director", "ipvsadm -Ln");
        text.split_once('\n').unwrap().1.to_owned()
    };
    assert_eq!(table(), listed());
    assert_eq!(site.xlvs("director", "ipvsadm -Sn"), saved());
    let thresholds = site.xlvs("director", "ipvsadm -Ln -u 10.0.0.3:53 --thresholds");
    assert!(thresholds.contains("10.0.1.1:53                  100        50 "), "{thresholds}");

    let status = site.xlvs("director", "status");
    for (part, why) in [
        ("not forwarded yet (SCTP): sctp:10.0.0.17:80", "another protocol"),
        ("not forwarded yet (IPv6): ", "services and servers of the other family"),
        ("[fd00::9]:80 of tcp:10.0.0.20:80", "one server of a service"),
        ("not forwarded yet (a GUE tunnel): 10.0.1.5:80 of tcp:10.0.0.19:80", "another tunnel"),
    ] {
        assert!(status.contains(part), "{why}: {status}");
    }

    site.kill(daemon);
    site.start_director("");
    assert_eq!(site.xlvs("director", "ipvsadm -Sn"), saved(), "after a restart");

    // A mark beyond 2^31 is saved as a negative number, which the real tool refuses to read again.
    let rules = saved().replace("-f -1 ", "-f 4294967295 ");
    feed(&site, "ipvsadm-restore", &rules);
    assert_eq!(site.xlvs("director", "ipvsadm -Sn"), saved(), "after it was restored");
    site.xlvs("director", "ipvsadm -C");
    assert_eq!(site.xlvs("director", "ipvsadm -Sn"), "");
    site.xlvs("director", "detach");
}

#[test]
fn sync_daemons_are_accepted_and_shown() {
    let Some(mut site) = Site::build(&Plan::one_arm(1, 1)) else { return };
    let daemon = site.start_director("--interface eth0");
    let master = "ipvsadm --start-daemon master --mcast-interface";
    assert_eq!(refused(&site, &format!("{master} nosuch0")), "No such device\n");
    site.xlvs("director", &format!("{master} eth0 --syncid 7"));
    assert_eq!(refused(&site, &format!("{master} eth0")), "Daemon has already run\n");
    site.xlvs("director", "ipvsadm --start-daemon backup --mcast-interface lo");
    let shown = "\
master sync daemon (mcast=eth0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)
backup sync daemon (mcast=lo, syncid=0, maxlen=65507, group=224.0.0.81, port=8848, ttl=1)
";
    assert_eq!(site.xlvs("director", "ipvsadm -L --daemon"), shown);
    assert!(site.xlvs("director", "status").contains("not forwarded yet (sync daemons): master"));
    site.kill(daemon);
    site.start_director("");
    assert_eq!(site.xlvs("director", "ipvsadm -L --daemon"), shown, "after a restart");
    site.xlvs("director", "ipvsadm --stop-daemon master");
    assert_eq!(refused(&site, "ipvsadm --stop-daemon master"), "No daemon is running\n");
    site.xlvs("director", "detach");
}
