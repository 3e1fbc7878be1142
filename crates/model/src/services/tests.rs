#![expect(clippy::unwrap_used, reason = "tests")]

use crate::{Change, Model};

fn model(ports: &[u16]) -> Model {
    let mut model = Model::default();
    for port in ports {
        model.apply(&add(*port)).unwrap();
    }
    model
}

fn add(port: u16) -> Change {
    let text =
        format!(r#"{{"op":"add_service","service":"tcp:10.0.0.1:{port}","scheduler":"rr"}}"#);
    serde_json::from_str(&text).unwrap()
}

fn delete(port: u16) -> Change {
    Change::DeleteService { service: format!("tcp:10.0.0.1:{port}").parse().unwrap() }
}

fn edit(model: &mut Model, changes: &[Change]) -> crate::Edit {
    model.edit(changes, |_, change| Ok(std::borrow::Cow::Borrowed(change)))
}

fn ports(model: &Model) -> Vec<String> {
    let written = serde_json::to_value(model).unwrap();
    let services = written["services"].as_array().unwrap();
    let port =
        |s: &serde_json::Value| s["key"].as_str().unwrap().rsplit(':').next().map(Into::into);
    services.iter().filter_map(port).collect()
}

#[test]
fn the_order_is_that_of_adding() {
    let mut model = model(&[80, 22, 443, 21]);
    assert_eq!(ports(&model), ["80", "22", "443", "21"]);
    model.apply(&delete(22)).unwrap();
    model.apply(&add(22)).unwrap();
    assert_eq!(ports(&model), ["80", "443", "21", "22"], "added again: the last");
    assert_eq!(model.services[1].key.to_string(), "tcp:10.0.0.1:443");
    assert_eq!(model.services.len(), 4);
}

#[test]
fn what_is_written_is_read_back_in_order() {
    let mut model = model(&[9, 3, 7, 1]);
    model.apply(&delete(3)).unwrap();
    let read: Model = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
    assert_eq!(read, model);
    assert_eq!(ports(&read), ["9", "7", "1"]);
    assert!(read.service(&"tcp:10.0.0.1:7".parse().unwrap()).is_some(), "the index is there");
}

#[test]
fn a_list_with_a_service_twice_is_refused() {
    let mut written = serde_json::to_value(model(&[80])).unwrap();
    let services = written["services"].as_array_mut().unwrap();
    services.push(services[0].clone());
    let twice = written.to_string();
    let error = serde_json::from_str::<Model>(&twice).unwrap_err().to_string();
    assert!(error.starts_with("the service tcp:10.0.0.1:80 is there twice"), "{error}");
}

#[test]
fn a_copy_is_not_changed_with_its_original() {
    let mut model = model(&[80, 81]);
    let copy = model.clone();
    model.apply(&delete(80)).unwrap();
    assert_eq!(ports(&copy), ["80", "81"]);
    assert_eq!(ports(&model), ["81"]);
    assert_ne!(copy, model);
}

#[test]
fn what_was_taken_back_is_where_it_was() {
    let mut model = model(&[80, 22, 443]);
    let done = edit(&mut model, &[delete(22), add(22), delete(80), add(9)]);
    assert_eq!(ports(&model), ["443", "22", "9"]);
    let touched: Vec<_> = done.touched().iter().map(ToString::to_string).collect();
    assert_eq!(touched.len(), 3, "{touched:?}");
    model.undo(done);
    assert_eq!(ports(&model), ["80", "22", "443"]);
    assert!(!edit(&mut model, &[]).changed());
    assert!(!edit(&mut model, &[add(80), delete(1)]).changed(), "refused");
}
