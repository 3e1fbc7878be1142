//! TOML to the model; each mistake with its place.

use std::{collections::BTreeMap, ops::Range};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use xlvs_model::{
    Change, Model, Server, ServiceKey, Terms, Tuning,
    health::{Check, Origin, RealServer, VirtualServer},
};

use super::{
    keys::{CHECK, Is, KEYS, TOP},
    shape,
};
use crate::{
    Config, Host, Report,
    assemble::{open, span},
    suggest::nearest,
};

/// Reads a file. With errors in the report, the configuration is what could be made of the rest,
/// and must not be put in force.
pub fn load(path: &str, host: &dyn Host) -> (Config, Report) {
    let mut report = Report::default();
    let config = read(path, host, &mut report);
    report.sort();
    (config, report)
}

fn read(path: &str, host: &dyn Host, report: &mut Report) -> Config {
    let Some((file, text)) = open(path, host, report) else { return Config::default() };
    let tree = match DeTable::parse(&text) {
        Ok(tree) => tree,
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            report
                .error(span(file, at.start, at.end.max(at.start + 1)), error.message().to_owned());
            return Config::default();
        }
    };
    let mut places = Places { file, spans: BTreeMap::new(), report };
    let value = places.table(TOP, tree.get_ref(), "");
    let (mut config, origins) = config(&value, &mut |path, message| places.error(path, message));
    for (of, at) in config.virtual_servers.iter_mut().zip(&origins) {
        of.origin = places.origin(&format!("/service/{at}"));
        for (number, server) in of.servers.iter_mut().enumerate() {
            server.origin = places.origin(&format!("/service/{at}/server/{number}"));
            let origin = server.origin.clone();
            server.checks.iter_mut().for_each(|check| check.origin.clone_from(&origin));
        }
    }
    config
}

/// Where each value was written.
struct Places<'a> {
    file: u16,
    spans: BTreeMap<String, Range<usize>>,
    report: &'a mut Report,
}

impl Places<'_> {
    /// The innermost place that is known of a path.
    fn find(&self, mut path: &str) -> Option<Range<usize>> {
        loop {
            if let Some(range) = self.spans.get(path) {
                return Some(range.clone());
            }
            path = path.rsplit_once('/')?.0;
        }
    }

    fn error(&mut self, path: &str, message: String) {
        let at = self.find(path).map(|range| span(self.file, range.start, range.end));
        self.report.error(at, message);
    }

    fn origin(&self, path: &str) -> Option<Origin> {
        let range = self.find(path)?;
        let place = self.report.location(span(self.file, range.start, range.end));
        Some(Origin { file: place.file, line: place.line })
    }

    /// A table of a block, its keys looked at.
    fn table(&mut self, block: &str, table: &DeTable<'_>, path: &str) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let here = format!("{path}/{name}");
            self.spans.insert(here.clone(), value.span());
            let Some(row) = KEYS.iter().find(|row| row.block == block && row.name == name) else {
                self.unknown(block, name, key.span());
                continue;
            };
            if let Some(value) = self.value(row.is, value, &here, name) {
                map.insert(name.to_owned(), value);
            }
        }
        Value::Object(map)
    }

    fn unknown(&mut self, block: &str, name: &str, at: Range<usize>) {
        let names = KEYS.iter().filter(|row| row.block == block).map(|row| row.name);
        let label = nearest(name, names).map(|near| format!("did you mean `{near}`?"));
        let place =
            if block.is_empty() { "at the top level".into() } else { format!("in a {block}") };
        self.report
            .error(span(self.file, at.start, at.end), format!("unknown key `{name}` {place}"))
            .label(label.unwrap_or_default())
            .means("nothing of it is in force");
    }

    fn value(
        &mut self,
        is: Is,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        name: &str,
    ) -> Option<Value> {
        let wanted = match (is, value.get_ref()) {
            (Is::Table(block), DeValue::Table(table)) => {
                return Some(self.table(block, table, path));
            }
            (Is::Tables(block), DeValue::Array(list)) => {
                let mut tables = Vec::new();
                for (at, item) in list.iter().enumerate() {
                    let here = format!("{path}/{at}");
                    self.spans.insert(here.clone(), item.span());
                    let DeValue::Table(table) = item.get_ref() else {
                        self.wrong(item.span(), name, "tables");
                        continue;
                    };
                    tables.push(self.table(block, table, &here));
                }
                return Some(Value::Array(tables));
            }
            (Is::Text, DeValue::String(_))
            | (Is::Bool, DeValue::Boolean(_))
            | (Is::Json, _)
            | (Is::Seconds, DeValue::Integer(_) | DeValue::Float(_)) => return Some(plain(value)),
            (Is::Number, DeValue::Integer(_)) if plain(value).as_u64().is_some() => {
                return Some(plain(value));
            }
            (Is::Texts, DeValue::Array(list))
                if list.iter().all(|item| matches!(item.get_ref(), DeValue::String(_))) =>
            {
                return Some(plain(value));
            }
            (Is::Texts, DeValue::String(_)) => return Some(json!([plain(value)])),
            (Is::Text, _) => "a text",
            (Is::Bool, _) => "true or false",
            (Is::Number, _) => "a whole number from 0 on",
            (Is::Seconds, _) => "seconds",
            (Is::Texts, _) => "a list of texts",
            (Is::Table(_), _) => "a table",
            (Is::Tables(_), _) => "tables: [[...]]",
        };
        self.wrong(value.span(), name, wanted);
        None
    }

    fn wrong(&mut self, at: Range<usize>, name: &str, wanted: &str) {
        let at = span(self.file, at.start, at.end);
        self.report.error(at, format!("`{name}` takes something else")).label(wanted);
    }
}

fn plain(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => json!(text.as_ref()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            json!(i64::from_str_radix(&digits, number.radix()).unwrap_or(i64::MAX))
        }
        DeValue::Float(number) => {
            json!(number.as_str().replace('_', "").parse::<f64>().unwrap_or(0.0))
        }
        DeValue::Boolean(is) => json!(is),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(list) => Value::Array(list.iter().map(plain).collect()),
        DeValue::Table(table) => {
            let pairs = table.iter().map(|(key, value)| (key.get_ref().to_string(), plain(value)));
            Value::Object(pairs.collect())
        }
    }
}

/// The model of a file's tables, and which service each virtual server was; mistakes go to `tell`
/// with the path of what is wrong.
pub(super) fn config(file: &Value, tell: &mut dyn FnMut(&str, String)) -> (Config, Vec<usize>) {
    let mut config = Config {
        globals: part(file.get("global"), "/global", tell).unwrap_or_default(),
        ssl: part(file.get("ssl"), "/ssl", tell),
        vrrp: part(file.get("vrrp"), "/vrrp", tell).unwrap_or_default(),
        ..Config::default()
    };
    let (mut model, mut origins) = (Model::default(), Vec::new());
    for (at, table) in file["service"].as_array().into_iter().flatten().enumerate() {
        let path = format!("/service/{at}");
        if let Some(of) = service(table, &path, &mut model, tell) {
            config.virtual_servers.push(of);
            origins.push(at);
        }
    }
    config.services = model.services.iter().cloned().collect();
    if let Some(exact) = part(file.get("exact"), "/exact", tell) {
        config.services = exact;
    }
    (config, origins)
}

fn part<T: DeserializeOwned>(
    value: Option<&Value>,
    path: &str,
    tell: &mut dyn FnMut(&str, String),
) -> Option<T> {
    let value = value?;
    serde_json::from_value(value.clone()).map_err(|error| tell(path, error.to_string())).ok()
}

fn service(
    table: &Value,
    path: &str,
    model: &mut Model,
    tell: &mut dyn FnMut(&str, String),
) -> Option<VirtualServer> {
    let (of, terms) = shape::model_service(table);
    let mut of: VirtualServer = part(Some(&of), path, tell)?;
    let terms: Terms = part(Some(&terms), path, tell)?;
    let tuning: Option<Tuning> = part(table.get("tuning"), &format!("{path}/tuning"), tell);
    if of.services.is_empty() {
        tell(path, "a service listens nowhere: listen = [\"tcp:10.0.0.1:80\"]".to_owned());
        return None;
    }
    if of.name.is_empty() {
        of.name = match of.services[0] {
            ServiceKey::Socket { address, port, .. } => format!("{address} {port}"),
            ServiceKey::Mark { mark, .. } => format!("fwmark {mark}"),
        };
    }
    for key in of.services.clone() {
        let changes = [
            Some(Change::AddService { service: key, terms: terms.clone() }),
            tuning.clone().map(|tuning| Change::TuneService { service: key, tuning }),
        ];
        for change in changes.into_iter().flatten() {
            if let Err(fault) = model.apply(&change) {
                tell(&format!("{path}/listen"), format!("{key}: {fault}"));
                return None;
            }
        }
    }
    for (at, table) in table["server"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}/server/{at}");
        if let Some(server) = server(table, &of, &path, model, tell) {
            of.servers.push(server);
        }
    }
    let shared = checks(table, path, tell);
    for server in of.servers.iter_mut().filter(|server| server.checks.is_empty()) {
        server.checks.clone_from(&shared);
    }
    Some(of)
}

fn server(
    table: &Value,
    of: &VirtualServer,
    path: &str,
    model: &mut Model,
    tell: &mut dyn FnMut(&str, String),
) -> Option<RealServer> {
    let mut value = shape::model_server(table);
    if value.get("inhibit_on_failure").is_none() && of.inhibit_on_failure {
        // What is not said is the service's; the writer says what is not.
        value["inhibit_on_failure"] = json!(table.get("inhibit_on_failure").is_none());
    }
    let mut server: RealServer = part(Some(&value), path, tell)?;
    for service in &of.services {
        let server: Server = VirtualServer::server_of(service, &server.server);
        if let Err(fault) = model.apply(&Change::AddServer { service: *service, server }) {
            tell(path, format!("{}: {fault}", server.key));
            return None;
        }
    }
    server.checks = checks(table, path, tell);
    Some(server)
}

fn checks(table: &Value, path: &str, tell: &mut dyn FnMut(&str, String)) -> Vec<Check> {
    let tables = table[CHECK].as_array().into_iter().flatten().enumerate();
    let checks = tables.filter_map(|(at, table)| {
        part(Some(&shape::model_check(table)), &format!("{path}/{CHECK}/{at}"), tell)
    });
    checks.collect()
}
