//! Servers that are down and whose clients are reset.

use xlvs_datapath::tables::DEST_RESET;
use xlvs_model::{Effective, Finding, Health, Touched, Tuning};

use super::*;

const FIRST: &str = "10.1.0.1:80";

/// A lab of a service that resets clients of servers that are down.
struct Site {
    lab: Lab,
    effective: Effective,
}

impl Site {
    fn start() -> Self {
        let mut lab = Lab::new();
        lab.make(&["A tcp:10.0.0.1:80 rr"]);
        let add = |n| format!("a {WEB} 10.1.0.{n}:80 3");
        lab.make(&[&add(1), &add(2)]);
        let tuning = Tuning { reset_on_down: true, ..Tuning::default() };
        lab.model.apply(&Change::TuneService { service: service(WEB), tuning }).unwrap();
        let effective = Effective::of(&lab.model);
        Self { lab, effective }
    }

    /// Puts in force what follows now; the writes in words.
    fn follow(&mut self) -> Vec<&'static str> {
        let touched: Touched = [service(WEB)].into();
        self.effective.follow(&self.lab.model, &touched);
        let mut compiler = self.lab.plane.compiler().clone();
        let model = self.effective.model();
        let writes = compiler.compile(model, Some(&touched), 0, |_| Ok(0)).unwrap();
        self.lab.plane.apply_touched(model, &touched).unwrap();
        writes.iter().map(word).collect()
    }

    fn find(&mut self, health: Option<(bool, bool)>) -> Vec<&'static str> {
        let health =
            health.map(|(up, inhibit)| Health { up, inhibit, weight: None, cause: String::new() });
        let server = FIRST.parse().unwrap();
        let news = Finding::Server { service: service(WEB), server, health };
        assert!(self.effective.hear(&self.lab.model, news));
        self.follow()
    }

    fn slot(&self) -> u32 {
        let dests = self.lab.plane.home().dests().unwrap();
        let found = dests.iter().find(|(_, d)| socket(d.addr, d.port).to_string() == FIRST);
        found.unwrap().0
    }

    /// In its list, resets its clients, and whether packets know that there is such a one.
    fn flags(&self) -> (bool, bool, bool) {
        let flags = self.lab.dest(self.slot()).flags;
        let known = self.lab.plane.home().settings().unwrap().flags & SETTING_REMOVED != 0;
        (flags & DEST_AVAILABLE != 0, flags & DEST_RESET != 0, known)
    }
}

#[test]
fn a_server_that_is_down_says_so_and_one_that_is_back_does_not() {
    let mut site = Site::start();
    assert_eq!(site.flags(), (true, false, false));
    let out = ["orders", "plan", "service", "retire", "retire", "settings"];
    assert_eq!(site.find(Some((false, false))), out, "out of the list");
    assert_eq!(site.flags(), (false, true, true));
    let back = ["dest", "orders", "plan", "service", "settings"];
    assert_eq!(site.find(Some((true, false))), back, "it resets nobody before it is chosen");
    assert_eq!(site.flags(), (true, false, false));
    assert_eq!(site.lab.dest(site.slot()).sealed().ready & 0xffff, 0, "no neighbour yet");
    site.find(Some((false, true)));
    assert_eq!(site.flags(), (true, true, true), "with weight 0 in the list");
    let slot = site.slot();
    let weight = |site: &Site| {
        let (list, _) = site.lab.seen(WEB).unwrap();
        list.into_iter().find(|(s, _)| *s == slot).unwrap().1
    };
    assert_eq!(weight(&site), 0);
    site.find(None);
    assert_eq!((site.flags(), weight(&site)), ((true, false, false), 3), "nobody checks it");
}

#[test]
fn without_the_option_nobody_is_reset_and_with_it_at_once() {
    let mut site = Site::start();
    let tune = |site: &mut Site, reset_on_down| {
        let tuning = Tuning { reset_on_down, ..Tuning::default() };
        let change = Change::TuneService { service: service(WEB), tuning };
        site.lab.model.apply(&change).unwrap();
        site.follow()
    };
    tune(&mut site, false);
    site.find(Some((false, false)));
    assert_eq!(site.flags(), (false, false, true));
    assert_eq!(tune(&mut site, true), ["retire"]);
    assert_eq!(site.flags(), (false, true, true));
    assert_eq!(tune(&mut site, false), ["retire"]);
    assert_eq!(site.flags(), (false, false, true));
}

#[test]
fn a_server_that_is_deleted_is_one_that_was_removed() {
    for line in ["d tcp:10.0.0.1:80 10.1.0.1:80", "D tcp:10.0.0.1:80", "C"] {
        for whole in [false, true] {
            let mut site = Site::start();
            site.find(Some((false, false)));
            site.lab.model.apply(&change(line)).unwrap();
            if whole {
                site.lab.plane.apply(&site.lab.model).unwrap();
            } else {
                site.follow();
            }
            assert_eq!(site.flags(), (false, false, true), "{line}, {whole}");
        }
    }
}
