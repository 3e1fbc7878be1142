use super::*;

fn read(line: &str) -> Rule {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    Rule::read(line.to_owned(), &words)
}

/// What was understood in iptables' words, what was not, and the target.
fn shown(line: &str) -> (String, String, Target) {
    let rule = read(line);
    let all: Vec<_> = rule.all.iter().map(|m| m.to_string().trim_end().to_owned()).collect();
    (all.join(" & "), rule.unknown.join(", "), rule.target)
}

#[test]
fn conditions_are_read_one_by_one() {
    for (line, all, unknown) in [
        (
            "-d 10.0.0.1/32 -i eth0 -p tcp -m tcp --dport 80",
            "-d 10.0.0.1/32 -i eth0 -p tcp -m multiport --dports 80",
            "",
        ),
        (
            "! -s 10.0.0.0/8 ! -i eth1 -p udp -m multiport ! --dports 53,67:68",
            "! -s 10.0.0.0/8 ! -i eth1 -p udp -m multiport ! --dports 53,67:68",
            "",
        ),
        ("-p tcp -m multiport --ports 80,443", "-p tcp -m multiport --ports 80,443", ""),
        ("-m mac ! --mac-source 02:00:00:00:00:01", "-m mac ! --mac-source 02:00:00:00:00:01", ""),
        (
            "-p sctp -m mark --mark 0x3/0xff -m sctp --sport 3",
            "-p sctp -m multiport --sports 3 -m mark --mark 0x3/0xff",
            "",
        ),
        ("-m mark ! --mark 0x3", "-m mark ! --mark 0x3/0xffffffff", ""),
        (
            "-p tcp -m tcp --dport 80:90 -m multiport --dports 85,95",
            "-p tcp -m multiport --dports 80:90 & -m multiport --dports 85,95",
            "",
        ),
        (
            "-m mark ! --mark 0x1 -m mark ! --mark 0x2",
            "-m mark ! --mark 0x1/0xffffffff & -m mark ! --mark 0x2/0xffffffff",
            "",
        ),
        ("-m comment --comment x -s 10.0.0.1/32", "-s 10.0.0.1/32", ""),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "-p tcp", "--tcp-flags"),
        (
            "-p tcp -m tcp ! --sport 1:5 --tcp-option 3",
            "-p tcp -m multiport ! --sports 1:5",
            "--tcp-option",
        ),
        (
            "-m conntrack --ctstate NEW -m mac --mac-source 02:00:00:00:00:01",
            "-m mac --mac-source 02:00:00:00:00:01",
            "-m conntrack",
        ),
        ("-m connmark --mark 0x1", "", "-m connmark"),
        ("-f", "", "-f"),
        ("-p 300", "", "-p 300"),
        ("-m set --match-set foo src", "", "-m set"),
    ] {
        let line = format!("{line} -j RETURN");
        assert_eq!(shown(&line), (all.to_owned(), unknown.to_owned(), Target::Return), "{line}");
    }
}

#[test]
fn targets() {
    let set = |value, mask| Target::Mark(Masked { value, mask });
    for (line, expected) in [
        ("-j MARK --set-xmark 0x3/0xffffffff", set(3, u32::MAX)),
        ("-j MARK --set-mark 8", set(8, u32::MAX)),
        ("-j MARK --set-mark 0x108/0xf", set(0x108, 0x10f)),
        ("-j MARK --or-mark 0x10", set(0x10, 0x10)),
        ("-j MARK --and-mark 0xf0", set(0, !0xf0)),
        ("-j MARK --xor-mark 0xf0", set(0xf0, 0)),
        ("-j MARK", Target::Hidden("the target MARK has words that are not known")),
        ("-j ACCEPT", Target::Accept),
        ("-j DROP", Target::Refuse),
        ("-j REJECT --reject-with tcp-reset", Target::Refuse),
        ("-j LOG --log-prefix x", Target::Nothing),
        ("-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff", Target::Nothing),
        (
            "-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
            Target::Hidden("marks of connections that netfilter tracks are not known here"),
        ),
        ("-j MINE", Target::Jump("MINE".to_owned())),
        ("-g MINE", Target::Goto("MINE".to_owned())),
        ("-s 10.0.0.1/32", Target::Nothing),
    ] {
        assert_eq!(read(line).target, expected, "{line}");
    }
}
