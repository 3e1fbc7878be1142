//! `xlvs proc` where there was traffic: a director of the connections that the recorded
//! `ipvsadm -Lcn` listed prints what the recorded `/proc/net` held a moment later.

use std::collections::BTreeMap;

use xlvs_api::{EngineData, Rate, Stats, TotalsView};

use super::{
    batch::connection,
    golden,
    transcript::{Block, read},
    world::World,
};

/// A line without when its connection expires, and that: `/proc` was read up to a second after the
/// list. How it is written is compared by its width.
fn cut(line: &str) -> (String, u64) {
    // IPv6 addresses push everything to the right, so the columns are counted from the state on.
    let (head, rest) = line.split_at(line.rfind(" SYNC ").or(line.rfind(" LOCAL ")).map_or_else(
        || {
            let states = ["ESTABLISHED", "TIME_WAIT", "FIN_WAIT", "CLOSE_WAIT", "ASSURED", "NONE"];
            let at = states.iter().find_map(|state| line.find(state));
            at.or(line.rfind("UDP   ")).unwrap() + "ESTABLISHED".len()
        },
        |at| at + " LOCAL ".len(),
    ));
    let (expires, rest) = rest.split_at(" 1234567".len());
    (format!("{head}{}{rest}", "_".repeat(expires.len())), expires.trim().parse().unwrap())
}

fn compare(actual: &str, expected: &str, block: &Block) {
    let (title, lines) = expected.split_once('\n').unwrap();
    let (our_title, our_lines) = actual.split_once('\n').unwrap();
    assert_eq!(our_title, title, "{}", block.command);
    // The order is the kernel's hash's.
    let set = |lines: &str| -> BTreeMap<_, _> { lines.lines().map(cut).collect() };
    let (ours, theirs) = (set(our_lines), set(lines));
    assert_eq!(ours.len(), our_lines.lines().count(), "no line twice");
    assert!(ours.keys().eq(theirs.keys()), "{}\n{actual}\n{expected}", block.command);
    for (line, expires) in theirs {
        assert!(ours[&line].abs_diff(expires) <= 1, "{line}: {} and {expires}", ours[&line]);
    }
}

#[test]
fn connections_as_the_kernel_had_them() {
    let (world, mut compared) = (World::new(), 0);
    for block in read(&golden("04-traffic-proc")) {
        let out = &block.answer.out;
        if block.command.starts_with("ipvsadm") {
            // Two lines are the title.
            let mut listed: Vec<_> = out.lines().skip(2).map(connection).collect();
            for call in listed.iter_mut().filter(|c| c.state == "NONE") {
                // What `-Lcn` alone does not show. (Its file has it; of the backup only the other
                // file was read, which does not.)
                let (name, data) = ("sip".to_owned(), "f81d4fae-7dec@10.1.1.8".to_owned());
                call.engine = Some(EngineData { name, data });
            }
            world.memory.borrow_mut().connections = listed;
        } else if let Some(name) = block.command.strip_prefix("cat /proc/net/ip_vs_conn") {
            let is_backup = out.contains(" SYNC ");
            for each in &mut world.memory.borrow_mut().connections {
                each.synced = is_backup;
            }
            compare(&world.proc(&format!("ip_vs_conn{name}")), out, &block);
            compared += out.lines().count() - 1;
        }
    }
    assert_eq!(compared, 65 + 65 + 17 + 12);
}

#[test]
fn figures_as_the_kernel_had_them() {
    let world = World::new();
    let stats = |connections, in_packets, out_packets, in_bytes, out_bytes| Stats {
        connections,
        in_packets,
        out_packets,
        in_bytes,
        out_bytes,
    };
    world.memory.borrow_mut().totals = TotalsView {
        stats: stats(29, 89, 25, 5323, 1740),
        rate: Rate { cps: 2, inpps: 4, outpps: 1, inbps: 229, outbps: 69 },
        cpus: vec![stats(23, 57, 11, 3371, 737), stats(6, 32, 14, 1952, 1003)],
    };
    let blocks = read(&golden("04-traffic-proc"));
    let of_stats = |b: &&Block| b.command.starts_with("cat /proc/net/ip_vs_stats");
    let blocks: Vec<_> = blocks.iter().filter(of_stats).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        assert_eq!(world.shell(&block.command), block.answer, "{}", block.command);
    }
}

#[test]
fn what_no_recording_has() {
    let world = World::new();
    for line in [
        "-A -u 10.0.0.1:80 -s sh -p 2678400 -o",
        "-A -f 16 -6 -s rr -p 60 -M 128",
        "-A -u [fd00::1]:53 -o",
    ] {
        world.shell(&format!("ipvsadm {line}"));
    }
    world.shell("ipvsadm -a -u 10.0.0.1:80 -r 10.0.1.1 -w 2147483647 -m");
    let text = world.proc("ip_vs");
    for line in [
        "UDP  0A000001:0050 sh ops  persistent 669600000 FFFFFFFF\n",
        "  -> 0A000101:0050      Masq    2147483647 0          0         \n",
        "FWM  00000010 rr persistent 15000 80000000\n",
        "UDP  [fd00:0000:0000:0000:0000:0000:0000:0001]:0035 wlc \n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
