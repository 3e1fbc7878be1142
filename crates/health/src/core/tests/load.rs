//! Weights that follow loads, in simulated time.

use xlvs_model::health::LoadCheck;

use super::*;
use crate::Load;

fn load(weight: u32) -> Check {
    let terms = LoadCheck { script: script("rup"), timeout: s(5), weight };
    Check { kind: Kind::Load(terms), ..tcp() }
}

fn says(hundredths: u32) -> Outcome {
    let weight = Some(Weight::Load(Load(hundredths)));
    Outcome::Good(Good { code: None, weight })
}

#[test]
fn a_weight_follows_the_load_from_the_weight_that_there_is() {
    let terms = service(vec![server(1, 100, vec![tcp(), load(100)])]);
    let (mut world, _) = World::new(config(vec![terms]));
    let mut weights = |loads: &[Outcome]| {
        let mut said = Vec::new();
        for outcome in loads {
            let is_load = |ask: &Ask| matches!(ask.kind, Kind::Load(_));
            let answer = |ask: &Ask| if is_load(ask) { outcome.clone() } else { Outcome::GOOD };
            said.push(world.step(answer).1);
        }
        said
    };
    let unknown = Outcome::Unasked("no load in `?`".into());
    let told = |weight: u32| vec![format!("10.0.1.1 up weight {weight}")];
    assert_eq!(weights(&[says(0)]), [told(150)], "half as much more");
    assert_eq!(weights(&[says(0), says(100)]), [told(200), vec![]], "and on; then it is right");
    assert_eq!(weights(&[unknown]), [vec![] as Vec<String>], "nobody knows: it stays");
    assert_eq!(weights(&[says(200), says(900)]), [told(150), told(100)], "busy, never below 100");
    let cause = world.core.snapshot(world.now).services[0].servers[0].health.cause.clone();
    assert_eq!(cause, "LOAD rup asks for weight 100 at load 9.00");
}

#[test]
fn nobody_asks_a_server_that_is_down_and_it_begins_anew() {
    let terms = service(vec![server(1, 4, vec![tcp(), load(4)])]);
    let (mut world, _) = World::new(config(vec![terms]));
    let answer = |ask: &Ask| match ask.kind {
        Kind::Load(_) => says(0),
        _ => Outcome::GOOD,
    };
    assert_eq!(world.step(answer).1, ["10.0.1.1 up weight 6"]);
    let (_, said) = world.step(|ask| match ask.kind {
        Kind::Load(_) => says(100),
        _ => Outcome::Bad(Fault::Refused),
    });
    assert_eq!(said[0], "10.0.1.1 down");
    let (asked, said) = world.step(|_| Outcome::GOOD);
    let (mut asked, mut said) = (asked, said);
    while said.is_empty() {
        (asked, said) = world.step(|_| Outcome::GOOD);
    }
    assert!(!asked.iter().any(|name| name.starts_with("LOAD")), "{asked:?}");
    assert_eq!(said[0], "10.0.1.1 up", "with the weight that is written: {said:?}");
}
