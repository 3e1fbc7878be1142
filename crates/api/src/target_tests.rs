#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn folder(run_dir: &Path, instance: &str, netns: &str) {
    let folder = run_dir.join(instance);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("netns"), netns).unwrap();
}

#[test]
fn the_director_of_the_callers_namespace_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target { run_dir: dir.path().to_owned(), instance: None };
    assert_eq!(target.candidates().unwrap(), [], "an empty folder has none");

    folder(dir.path(), "other", "4:1");
    assert_eq!(target.candidates().unwrap(), [], "another namespace's is not ours");
    let ClientError::NoDirector { others, .. } = target.nobody() else { panic!() };
    assert_eq!(others, ["other"]);

    folder(dir.path(), "mine", &format!("{}\n", network_namespace().unwrap()));
    let found = target.candidates().unwrap();
    assert_eq!(found[0].socket, dir.path().join("mine/api.sock"));
    assert_eq!(found.len(), 1);
}

#[test]
fn what_is_wrong_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut target = Target { run_dir: dir.path().join("missing"), instance: None };
    let error = crate::Client::connect(&target).unwrap_err();
    assert!(matches!(error, ClientError::NoDirector { .. }), "{error}");

    target = Target { run_dir: dir.path().to_owned(), instance: Some("b".into()) };
    let error = crate::Client::connect(&target).unwrap_err();
    assert!(matches!(error, ClientError::NoInstance { .. }), "{error}");

    folder(dir.path(), "b", "4:1");
    let error = crate::Client::connect(&target).unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    assert_eq!(
        error.hint().unwrap(),
        "xlvs run --interface IF --instance b",
        "a named instance is started by its name"
    );
}
