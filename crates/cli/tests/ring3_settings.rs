//! Settings, lists and limits of a real director: typed by the kernel's names, listed, and there
//! again after a stop, a kill and a restart. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use serde_json::Value;
use xlvs_testkit::Plan;

use site::Site;

/// A setting as the director lists it.
fn value(site: &Site, name: &str) -> Value {
    let list = site.xlvs("director", &format!("set {name} -o json"));
    let list: Value = serde_json::from_str(&list).unwrap();
    list[0]["value"].clone()
}

#[test]
fn settings_lists_and_limits_outlive_the_daemon() {
    let Some(mut site) = Site::build(&Plan::one_arm(1, 1)) else { return };
    let daemon = site.start_director("--interface eth0");
    assert_eq!(value(&site, "expire_nodest_conn"), 0);
    // The line of seed 003.
    site.xlvs("director", "set net.ipv4.vs.expire_nodest_conn=1");
    site.xlvs("director", "set sync_threshold=5");
    site.xlvs("director", "service add tcp:172.16.0.113:80");
    let service = "tcp:172.16.0.113:80";
    site.xlvs("director", &format!("service set {service} --timeout-tcp 77 --client-limit 9/24"));
    site.xlvs("director", "deny add 192.0.2.0/24");
    site.xlvs("director", &format!("allow add 172.16.0.0/16 --service {service}"));
    let (allowed, denied) =
        (site.xlvs("director", "allow list"), site.xlvs("director", "deny list"));
    assert!(allowed.contains(&format!("172.16.0.0/16  {service}")), "{allowed}");
    assert!(denied.contains("192.0.2.0/24  every one"), "{denied}");
    let services = site.xlvs("director", "service list -o json");
    assert!(services.contains("\"client_connections\": 9"), "{services}");

    site.kill(daemon);
    site.start_director("");
    assert_eq!(value(&site, "net.ipv4.vs.expire_nodest_conn"), 1);
    assert_eq!(value(&site, "sync_threshold"), serde_json::json!([5, 50]));
    assert_eq!(site.xlvs("director", "allow list"), allowed);
    assert_eq!(site.xlvs("director", "deny list"), denied);
    assert_eq!(site.xlvs("director", "service list -o json"), services);

    // What ipvsadm does not know of, ipvsadm leaves alone.
    site.xlvs("director", "ipvsadm -E -t 172.16.0.113:80 -s rr");
    let after = site.xlvs("director", "service list -o json");
    assert!(
        after.contains("\"client_connections\": 9") && after.contains("\"tcp\": 77"),
        "{after}"
    );
    site.xlvs("director", "ipvsadm -C");
    assert_eq!(value(&site, "expire_nodest_conn"), 1);
    assert_eq!(site.xlvs("director", "deny list"), denied);

    let refused = site.attempt("director", "set drop_entry=4");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("a number from 0 to 3"), "{told}");
    site.xlvs("director", "set profile=kernel");
    assert_eq!(value(&site, "expire_nodest_conn"), 0, "every default is the kernel's");
    assert_eq!(value(&site, "removed_server"), "drop");
}

#[test]
fn a_profile_holds_and_goes_back() {
    let Some(mut site) = Site::build(&Plan::one_arm(1, 1)) else { return };
    let mut daemon = site.start_director("--interface eth0");
    let all = |site: &Site| -> Vec<(Value, Value)> {
        let list: Value = serde_json::from_str(&site.xlvs("director", "set -o json")).unwrap();
        let list = list.as_array().unwrap().iter();
        list.map(|view| (view["name"].clone(), view["value"].clone())).collect()
    };
    let ours = all(&site);
    for (lines, profile, by_hand) in [
        (&["set profile=kernel", "set drop_entry=2"][..], "kernel", 1),
        (&["set profile=xlvs"], "xlvs", 0),
    ] {
        for line in lines {
            site.xlvs("director", line);
        }
        let before = all(&site);
        site.kill(daemon);
        daemon = site.start_director("");
        assert_eq!(all(&site), before, "{lines:?}, after a restart");
        assert_eq!(value(&site, "profile"), profile, "{lines:?}");
        let list: Value = serde_json::from_str(&site.xlvs("director", "set -o json")).unwrap();
        let differs = |view: &&Value| view["value"] != view["default"];
        assert_eq!(list.as_array().unwrap().iter().filter(differs).count(), by_hand, "{lines:?}");
        let kernels = |view: &Value| view["default"] == view["kernel"];
        assert_eq!(list.as_array().unwrap().iter().all(kernels), profile == "kernel", "{lines:?}");
    }
    assert_eq!(all(&site), ours, "as if nothing had been");
}
