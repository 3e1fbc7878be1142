//! A change costs what it touches, and can be taken back.

use super::*;

#[test]
fn a_change_among_many_looks_at_nothing_else() {
    let sizes = Sizes {
        services: 2048,
        plans: 2048,
        orders: 4096,
        dests: 2048,
        buckets: 64,
        policies: 4,
        ports: 1,
        conns: 1,
    };
    let mut lab = Lab::sized(Memory::new(sizes));
    for n in 1..=500 {
        for line in [
            format!("A tcp:10.0.0.1:{n} wrr"),
            format!("a tcp:10.0.0.1:{n} 10.1.0.1:80 1"),
            format!("a tcp:10.0.0.1:{n} 10.1.0.2:80 1"),
        ] {
            lab.model.apply(&change(&line)).unwrap();
        }
    }
    lab.plane.apply(&lab.model).unwrap();
    for (line, expected, plans_read) in [
        ("e tcp:10.0.0.1:250 10.1.0.2:80 7", &["orders", "plan", "service"][..], 1),
        ("e tcp:10.0.0.1:250 10.1.0.2:80 1", &[], 0),
        ("E tcp:10.0.0.1:250 rr", &["orders", "plan", "service"], 1),
        ("a tcp:10.0.0.1:250 10.1.0.3:80 1", &["dest", "orders", "plan", "service"], 1),
        ("d tcp:10.0.0.1:250 10.1.0.1:80", &["orders", "plan", "service", "retire", "settings"], 1),
        ("D tcp:10.0.0.1:250", &["no service", "retire", "retire", "settings"], 0),
        ("A tcp:10.0.0.1:501 rr", &["plan", "service", "settings"], 0),
    ] {
        let mut model = lab.model.clone();
        let changes = [change(line)];
        let edit = model.edit(&changes, |_, change| Ok(Cow::Borrowed(change)));
        let mut compiler = lab.plane.compiler().clone();
        let mut reads = 0;
        let read = |_| {
            reads += 1;
            Ok(0)
        };
        let writes = compiler.compile(&model, Some(&edit.touched()), 0, read).unwrap();
        assert_eq!(writes.iter().map(word).collect::<Vec<_>>(), expected, "{line}");
        assert_eq!(reads, plans_read, "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Full or not: what a compilation changed can be taken back to the last bit.
    #[test]
    fn nothing_is_left_of_what_was_taken_back(
        steps in prop::collection::vec((lines(), any::<bool>(), 0u64..2), 1..40),
    ) {
        let sizes = Sizes { services: 6, plans: 12, orders: 12, dests: 5, buckets: 64, policies: 4, ports: 1, conns: 1 };
        let mut compiler = Compiler::adopt(&Memory::new(sizes)).unwrap();
        let (mut model, mut now) = (Model::default(), 0);
        for (line, all, pause) in steps {
            now += pause * SECOND;
            let changes = [change(&line)];
            let edit = model.edit(&changes, |_, change| Ok(Cow::Borrowed(change)));
            let touched = edit.touched();
            let touched = if all { None } else { Some(&touched) };
            // What rested long enough wakes at the beginning and stays awake.
            compiler.begin(now);
            compiler.roll_back();
            let before = format!("{compiler:?}");
            compiler.begin(now);
            let writes = compiler.compile(&model, touched, now, |_| Ok(0));
            compiler.roll_back();
            prop_assert_eq!(format!("{compiler:?}"), before, "{}: {:?}", line, writes);
            if writes.is_err() {
                model.undo(edit);
                continue;
            }
            compiler.begin(now);
            let again = compiler.compile(&model, touched, now, |_| Ok(0)).unwrap();
            compiler.commit();
            prop_assert_eq!(format!("{again:?}"), format!("{:?}", writes.unwrap()), "{}", line);
        }
    }
}
