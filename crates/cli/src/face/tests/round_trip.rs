//! Whatever the table holds, what `-S` writes of it makes the same table again, but for what the
//! real tool does not save either: thresholds, and a mask or a tunnel that has no effect.

use xlvs_model::{Change, Method, Model, Server, Tunnel};

use super::world::World;

/// Numbers that look drawn at random (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// A line that most likely works.
fn line(dice: &mut Dice) -> String {
    let service = dice.of(&[
        "-t 10.6.0.1:80",
        "-u 10.6.0.1:80",
        "-u [fd06::1]:53",
        "-t [fd06::1]:0",
        "--sctp-service 10.6.0.2:80",
        "-f 1",
        "-f 2147483647 -6",
    ]);
    if dice.below(3) == 0 {
        let scheduler = dice.of(&["rr", "wlc", "sh", "mh", "lblcr", "twos", "chbl", "none"]);
        let verb = dice.of(&["-A", "-E"]);
        let persistence =
            dice.of(&["", "-p", "-p 60", "-p 7 -M 64", "-p 9 -M 255.255.0.0", "-p 1"]);
        let rest = dice.of(&["", "-o", "-b flag-1", "-b flag-2,flag-1", "--pe sip", "--pe sip -o"]);
        return format!("{verb} {service} -s {scheduler} {persistence} {rest}");
    }
    let verb = dice.of(&["-a", "-a", "-a", "-e", "-e", "-d"]);
    let host =
        dice.of(&["10.5.0.1", "10.5.0.2:80", "[fd05::1]:80", "[fd05::2]:81", "127.0.0.1:53"]);
    if verb == "-d" {
        return format!("-d {service} -r {host}");
    }
    let method = dice.of(&[
        "-g",
        "-m",
        "-i",
        "-i --tun-type gre",
        "-i --tun-type gre --tun-csum",
        "-i --tun-type gue --tun-port 6080",
        "-i --tun-type gue --tun-port 1 --tun-remcsum",
    ]);
    let weight = dice.of(&["", "-w 0", "-w 3", "-w 2147483647", "-w 1 -x 9 -y 3"]);
    format!("{verb} {service} -r {host} {method} {weight}")
}

/// Without what is not saved, in an order that does not hang on the order of typing.
fn saved_part(model: &Model) -> Vec<(String, String, Vec<Server>)> {
    let mut list: Vec<_> = model
        .services
        .iter()
        .map(|service| {
            let mut servers = service.servers.clone();
            for server in &mut servers {
                (server.upper, server.lower) = (0, 0);
                if server.method != Method::Tunnel {
                    server.tunnel = Tunnel::Ipip;
                }
            }
            servers.sort_by_key(|server| server.key);
            (service.key.to_string(), format!("{:?}", service.terms), servers)
        })
        .collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

#[test]
fn what_is_saved_makes_the_same_table() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut services, mut servers) = (0, 0);
    for _ in 0..50 {
        let world = World::new();
        for _ in 0..60 {
            world.shell(&format!("ipvsadm {}", line(&mut dice)));
        }
        let saved = world.shell("ipvsadm -S -n");
        let again = World::new();
        let words = ["ipvsadm".to_owned(), "-R".to_owned()];
        let restored = again.run(&words, &saved.out);
        assert_eq!((restored.err.as_str(), restored.status), ("", 0), "{}", saved.out);
        let (before, after) = (world.memory.borrow(), again.memory.borrow());
        assert_eq!(saved_part(&before.model), saved_part(&after.model), "{}", saved.out);
        services += before.model.services.len();
        servers += before.model.services.iter().map(|s| s.servers.len()).sum::<usize>();
    }
    assert!(services > 100 && servers > 100, "{services} services, {servers} servers");
}

#[test]
fn changes_are_json_and_back() {
    let mut dice = Dice(7);
    let mut seen = 0;
    for _ in 0..2000 {
        let words = xlvs_config::ipvsadm::words(&line(&mut dice));
        let parsed = xlvs_config::ipvsadm::parse(&words, &super::world::Names);
        let Ok(xlvs_config::ipvsadm::Command::Change(change)) = parsed else { continue };
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change, "{json}");
        seen += 1;
    }
    assert!(seen > 1000, "{seen}");
}
