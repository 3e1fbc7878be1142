//! The VRRP half, as it was written.

use std::time::Duration;

use xlvs_model::vrrp::{Options, VirtualAddress, Vrrp, Written};

use super::keepalived::{Page, quoted};

/// All of it but what stands in `global_defs`.
pub(super) fn vrrp(vrrp: &Vrrp, page: &mut Page) {
    for block in &vrrp.blocks {
        page.open(&format!("{} {}", block.keyword, block.name));
        options(&block.options, page);
        page.close();
    }
    for instance in &vrrp.instances {
        page.open(&format!("vrrp_instance {}", instance.name));
        options(&instance.options, page);
        page.close();
    }
    let addresses: Vec<Vec<String>> = vrrp.static_addresses.iter().map(address).collect();
    for (keyword, lines) in [
        ("static_ipaddress", &addresses),
        ("static_routes", &vrrp.static_routes),
        ("static_rules", &vrrp.static_rules),
        ("linkbeat_interfaces", &vrrp.linkbeat_interfaces),
        ("interface_up_down_delays", &vrrp.interface_delays),
    ] {
        if !lines.is_empty() {
            block(keyword, lines, page);
        }
    }
}

fn address(of: &VirtualAddress) -> Vec<String> {
    let mut words = vec![format!("{}/{}", of.address, of.prefix)];
    words.extend(of.device.iter().flat_map(|device| ["dev".to_owned(), device.clone()]));
    words.extend(of.words.iter().cloned());
    words
}

fn block(keyword: &str, lines: &[Vec<String>], page: &mut Page) {
    page.open(keyword);
    for line in lines {
        let words: Vec<String> = line.iter().map(|word| quoted(word)).collect();
        page.line(&words.join(" "));
    }
    page.close();
}

/// Keywords of `bfd_instance` that do not take seconds.
const MILLISECONDS: &[&str] = &["min_rx", "min_tx", "idle_tx"];

/// `10`, `10.5`.
pub(super) fn milliseconds(time: Duration) -> String {
    let micros = time.as_micros();
    let text = format!("{}.{:03}", micros / 1000, micros % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Keywords and their values.
pub(super) fn options(of: &Options, page: &mut Page) {
    for (keyword, value) in &of.0 {
        match value {
            Written::Flag(true) => page.line(keyword),
            Written::Flag(false) => page.line(&format!("{keyword} off")),
            Written::Number(number) => page.line(&format!("{keyword} {number}")),
            Written::Seconds(time) if MILLISECONDS.contains(&&**keyword) => {
                page.line(&format!("{keyword} {}", milliseconds(*time)));
            }
            Written::Seconds(time) => page.line(&format!("{keyword} {}", time.as_secs_f64())),
            Written::Address(address) => page.line(&format!("{keyword} {address}")),
            Written::Text(text) => page.line(&format!("{keyword} {}", quoted(text))),
            Written::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                page.line(&format!("{keyword} {}", words.join(" ")));
            }
            Written::Script(script) => page.script(keyword, script),
            Written::Lines(lines) => block(keyword, lines, page),
            Written::Block(inner) => {
                page.open(keyword);
                options(inner, page);
                page.close();
            }
        }
    }
}
