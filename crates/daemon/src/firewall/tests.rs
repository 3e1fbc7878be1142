#![expect(clippy::unwrap_used, reason = "tests")]

use xlvs_model::{Change, MarkRule};
use xlvs_netfilter::{Tool, tables};

use super::*;

fn firewall(save: &str) -> Firewall {
    Firewall::new(true, tables(Tool::Nft, save), Vec::new())
}

fn model(services: &[&str]) -> Model {
    let mut model = Model::default();
    for service in services {
        let json = format!(r#"{{"op":"add_service","service":"{service}","scheduler":"rr"}}"#);
        let change: Change = serde_json::from_str(&json).unwrap();
        model.apply(&change).unwrap();
    }
    model
}

const MARK: &str = "-j MARK --set-xmark 0x8/0xffffffff";

#[test]
fn each_worry_says_what_to_do() {
    let web = &["tcp:10.0.0.1:80"][..];
    let rows: [(&str, &[&str], &str, &str); 6] = [
        (
            "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.0/24 -d 10.0.0.1/32 -j DROP\n",
            web,
            "XDP runs before netfilter: `-A INPUT -s 192.0.2.0/24 -d 10.0.0.1/32 -j DROP` of \
             iptables-nft (table filter) no longer keeps packets from tcp:10.0.0.1:80. \
             Try: xlvs deny add 192.0.2.0/24 --service tcp:10.0.0.1:80",
            "one service, clients named",
        ),
        (
            "*filter\n:INPUT DROP [0:0]\n",
            &["tcp:10.0.0.1:80", "tcp:10.0.0.2:80", "tcp:10.0.0.3:80", "tcp:10.0.0.4:80"],
            "XDP runs before netfilter: `policy DROP of INPUT` of iptables-nft (table filter) no \
             longer keeps packets from tcp:10.0.0.1:80, tcp:10.0.0.2:80, tcp:10.0.0.3:80 and 1 \
             more. Try: xlvs allow add CIDR [--service SERVICE]",
            "many services",
        ),
        (
            "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -f MARK\n",
            &[],
            "mark rule `-A PREROUTING -f MARK` is not mirrored: the condition -f is not looked at",
            "a mark rule that is left out",
        ),
        (
            "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 10.0.0.1/32 -p tcp -m tcp \
             --dport 80 MARK\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 80 -j DROP\n",
            &["fwmark:8"],
            "XDP runs before netfilter: `-A INPUT -p tcp --dport 80 -j DROP` of iptables-nft \
             (table filter) no longer keeps packets from fwmark:8. \
             Try: xlvs deny add CIDR --service fwmark:8",
            "a service of marks, by the rules that give the mark",
        ),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -d 10.0.0.9/32 -j DROP\n", web, "", "another's"),
        ("", &["fwmark:8", "tcp:[fd00::1]:80"], "", "nothing to read"),
    ];
    for (save, services, expected, sentence) in rows {
        let said =
            firewall(&save.replace("MARK\n", &format!("{MARK}\n"))).warnings(&model(services));
        let expected = expected.replace("MARK`", &format!("{MARK}`"));
        assert_eq!(said.join("\n"), expected, "{sentence}");
    }
}

#[test]
fn lists_that_replace_a_rule_end_the_worry() {
    let drop = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.0/24 -d 10.0.0.1/32 -j DROP\n";
    let policy = "*filter\n:INPUT DROP [0:0]\n";
    let except = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT ! -s 192.0.2.0/24 -j DROP\n";
    let access = |line: &str| {
        let (verdict, rest) = line.split_once(' ').unwrap();
        let mut words = rest.split(' ');
        let network = words.next().unwrap().parse().unwrap();
        let service = words.next().map(|key| key.parse().unwrap());
        let verdict = if verdict == "allow" { Verdict::Allow } else { Verdict::Deny };
        Change::AddAccess { verdict, network, service }
    };
    for (save, lists, left, sentence) in [
        (drop, &["deny 192.0.2.0/24 tcp:10.0.0.1:80"][..], 0, "the very same"),
        (drop, &["deny 192.0.0.0/16"], 0, "more of them, of every service"),
        (drop, &["deny 192.0.2.0/25"], 1, "half of them"),
        (drop, &["deny 192.0.2.0/24 tcp:10.0.0.2:80"], 1, "another service's"),
        (drop, &["deny 192.0.2.0/24", "allow 192.0.2.7"], 1, "with an exception"),
        (drop, &["allow 198.51.100.0/24"], 0, "others alone may come in"),
        (drop, &["allow 192.0.2.7"], 1, "one of them may"),
        (policy, &["deny 192.0.2.0/24"], 1, "a policy refuses more"),
        (policy, &["allow 192.0.2.0/24 tcp:10.0.0.1:80"], 1, "one service has its list"),
        (policy, &["allow 192.0.2.0/24"], 0, "all have"),
        (except, &["allow 192.0.2.0/24"], 0, "nobody else, in other words"),
    ] {
        let mut model = model(&["tcp:10.0.0.1:80", "tcp:10.0.0.2:80"]);
        for line in lists {
            model.apply(&access(line)).unwrap();
        }
        assert_eq!(firewall(save).warnings(&model).len(), left, "{lists:?}: {sentence}");
    }
}

#[test]
fn a_missing_iptables_matters_to_services_of_marks_alone() {
    let none = Firewall::default();
    assert_eq!(none.warnings(&model(&["tcp:10.0.0.1:80"])), [""; 0]);
    let mut marks = model(&["fwmark:8"]);
    let said = none.warnings(&marks);
    assert!(said.len() == 1 && said[0].contains("no iptables here"), "{said:?}");
    let rule: MarkRule = serde_json::from_str(r#"{"then":{"set":"8"}}"#).unwrap();
    marks.apply(&Change::AddMark { at: None, rule }).unwrap();
    assert_eq!(none.warnings(&marks), [""; 0], "the director has a rule of its own");
}

#[test]
fn long_lists_are_cut() {
    let rules = (0..12).map(|n| format!("-A INPUT -s 192.0.2.{n}/32 -j DROP\n"));
    let save = format!("*filter\n:INPUT ACCEPT [0:0]\n{}", rules.collect::<String>());
    let said = firewall(&save).warnings(&model(&["tcp:10.0.0.1:80"]));
    assert_eq!(said.len(), 9);
    assert_eq!(said[8], "4 more rules of the firewall no longer guard services");
}

#[test]
fn what_cannot_be_read_is_said() {
    let firewall = Firewall::new(true, Vec::new(), vec!["iptables-nft-save failed: no".to_owned()]);
    let said = firewall.warnings(&Model::default());
    assert_eq!(said, ["the host's firewall cannot be read: iptables-nft-save failed: no"]);
}
