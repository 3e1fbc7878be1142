//! From one format to another and back: the same model.

use std::{fs, path::PathBuf};

use xlvs_config::{Config, Format, load, load_as, write};

use crate::host::InMemory;

/// Every sample of every format that loads without errors, as its text.
fn samples() -> Vec<(String, Config)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut samples = Vec::new();
    for folder in [
        "keepalived/debian",
        "keepalived/seed",
        "keepalived/oracle",
        "piranha",
        "ldirectord",
        "save",
    ] {
        for file in fs::read_dir(root.join(folder)).expect(folder) {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if !path.is_file()
                || ends(&name, "md")
                || folder.ends_with("oracle") && ends(&name, "save")
            {
                continue;
            }
            let format = match folder {
                "piranha" => Format::LvsCf,
                "ldirectord" => Format::Ldirectord,
                "save" => Format::IpvsadmSave,
                _ => Format::Keepalived,
            };
            let text = fs::read(&path).expect("its text");
            let host = InMemory::default().with(&name, text);
            let (config, _) = load_as(Some(format), &name, &host);
            samples.push((format!("{folder}/{name}"), config));
        }
    }
    let examples = root.join("../../../../docs/examples");
    for file in fs::read_dir(examples).expect("the examples") {
        let path = file.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let host = InMemory::default().with(&name, fs::read(&path).expect("its text"));
        samples.push((format!("examples/{name}"), load(&name, &host).0));
    }
    let (bfd, _) = load("keepalived.conf", &InMemory::of(BFD));
    samples.push(("keepalived/bfd".into(), bfd));
    samples.sort_by(|a, b| a.0.cmp(&b.0));
    samples
}

const BFD: &str = "bfd_instance one {\n neighbor_ip 10.0.1.1\n min_rx 50\n min_tx 20.5\n \
                   multiplier 3\n max_hops -1\n}\nvirtual_server 10.0.0.1 80 {\n protocol TCP\n \
                   real_server 10.0.1.1 80 {\n BFD_CHECK {\n name one\n }\n }\n}\n";

fn ends(name: &str, with: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| end == with)
}

#[test]
fn every_sample_converts_and_back_to_the_same_model() {
    let samples = samples();
    assert!(samples.len() >= 35, "{}", samples.len());
    for (name, config) in &samples {
        for (written, file) in
            [(write::to_keepalived(config), "keepalived.conf"), (write::to_toml(config), "x.toml")]
        {
            let host = InMemory::default().with(file, written.text.clone());
            let (again, report) = load(file, &host);
            assert_eq!(
                format!("{:#}", again.bare()),
                format!("{:#}", config.bare()),
                "{name} as {file}: {}\n{}",
                report.render(false),
                written.text
            );
            assert!(!report.has_errors(), "{name} as {file}: {}", report.render(false));
        }
    }
}

#[test]
fn what_keepalived_says_itself_is_not_in_additions() {
    for (name, config) in samples().iter().filter(|(name, _)| name.starts_with("keepalived/")) {
        let written = write::to_keepalived(config);
        assert_eq!(written.told, Vec::<String>::new(), "{name}: {}", written.text);
    }
}

#[test]
fn what_cannot_be_said_is_told_with_its_place() {
    let (_, config) =
        samples().into_iter().find(|(name, _)| name == "piranha/jboss.cf").expect("it");
    let written = write::to_keepalived(&config);
    let said = |what: &str| written.told.iter().any(|line| line.contains(what));
    assert!(
        said(
            "jboss.cf:12: keepalived cannot say `virtual_servers tcp:192.168.104.99:80 load_monitor`"
        ),
        "{:#?}",
        written.told
    );
    assert!(said("jboss.cf:27: keepalived cannot say"), "{:#?}", written.told);
    assert!(written.text.contains("virtual_server 192.168.104.99 80 {"), "{}", written.text);
    let plain: String = written.text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(plain.contains("real_server 192.168.104.69 80"), "keepalived reads the rest: {plain}");
}

#[test]
fn additions_that_cannot_be_are_told_of() {
    for (line, expected, why) in [
        ("#xlvs set nothing", "a #xlvs line without ` = `", "half a line"),
        ("#xlvs set a b = {", "this is no JSON", "no JSON"),
        (
            "#xlvs set virtual_servers tcp:10.0.0.1:80 comment = 1",
            "there is no `tcp:10.0.0.1:80`",
            "no such service",
        ),
        ("#xlvs set globals flush = 7", "what #xlvs lines set cannot be", "another kind"),
    ] {
        let (_, report) = load("keepalived.conf", &InMemory::of(format!("{line}\n")));
        let text = report.render(false);
        assert!(report.has_errors() && text.contains(expected), "{why}: {text}");
    }
}
