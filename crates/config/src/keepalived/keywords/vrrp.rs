//! VRRP: checked and kept, for the day that xlvs takes addresses over; and BFD's sessions.

use super::{
    Keyword, LONG, Takes, U32,
    Within::{
        self, AuthHmac, Authentication, BfdInstance, GarpGroup, Instance, SyncGroup, TrackGroup,
        TrackProcess, VrrpScript,
    },
    row,
};

const I: &[Within] = &[Instance];
const S: &[Within] = &[SyncGroup];
const IS: &[Within] = &[Instance, SyncGroup];
const B: &[Within] = &[BfdInstance];
const P: &[Within] = &[TrackProcess];

pub(super) const TABLE: &[Keyword] = &[
    row(I, &["state"], Takes::OneOf(&["MASTER", "BACKUP"]), "how it starts; default BACKUP")
        .later(),
    row(I, &["interface"], Takes::Word("INTERFACE"), "where advertisements go").later(),
    row(I, &["virtual_router_id"], Takes::Number(1, 255), "its number on the network").later(),
    row(I, &["priority"], Takes::Number(0, 255), "who is master; default 100").later(),
    row(I, &["advert_int"], Takes::Seconds(0.01, 255.0), "between advertisements; default 1")
        .later(),
    row(I, &["version"], Takes::Number(2, 3), "of VRRP; default vrrp_version").later(),
    row(
        I,
        &["virtual_ipaddress"],
        Takes::Lines("ADDRESS[/BITS] [dev INTERFACE] ..."),
        "the addresses",
    )
    .later(),
    row(
        I,
        &["virtual_ipaddress_excluded"],
        Takes::Lines("ADDRESS[/BITS] ..."),
        "addresses that advertisements do not name",
    )
    .later(),
    row(I, &["virtual_routes"], Takes::Lines("ROUTE"), "routes of the master").later(),
    row(I, &["virtual_rules"], Takes::Lines("RULE"), "rules of the master").later(),
    row(
        I,
        &["unicast_peer"],
        Takes::Lines("ADDRESS [min_ttl N] [max_ttl N]"),
        "peers that are told by unicast",
    )
    .later(),
    row(
        I,
        &["mcast_src_ip", "unicast_src_ip", "mcast_dst_ip"],
        Takes::Address,
        "of advertisements",
    )
    .later(),
    row(I, &["authentication"], Takes::Block("", Authentication), "of VRRP version 2").later(),
    row(&[Authentication], &["auth_type"], Takes::OneOf(&["PASS", "AH"]), "plain, or IPsec's AH")
        .later(),
    row(&[Authentication], &["auth_pass"], Takes::Text("PASSWORD"), "its first eight bytes count")
        .later(),
    row(I, &["auth_hmac"], Takes::Block("", AuthHmac), "of VRRP version 3").later(),
    row(&[AuthHmac], &["key"], Takes::Words("ID [hex:|file:]KEY"), "a key, 1 to 255").later(),
    row(&[AuthHmac], &["active_key"], Takes::Number(1, 255), "the key that is sent with").later(),
    row(
        &[AuthHmac],
        &["anti_replay"],
        Takes::OneOf(&["time", "monotonic"]),
        "against old advertisements",
    )
    .later(),
    row(
        &[AuthHmac],
        &["time_window"],
        Takes::Number(1, 300),
        "seconds; default 3 advertisements, at least 5",
    )
    .later(),
    row(
        &[AuthHmac],
        &["mode"],
        Takes::OneOf(&["enforce", "permissive", "receive-only"]),
        "who must have a key",
    )
    .later(),
    row(
        IS,
        &["track_interface"],
        Takes::Lines("INTERFACE [weight N [reverse]]"),
        "interfaces that must be up",
    )
    .later(),
    row(
        IS,
        &["track_script"],
        Takes::Lines("NAME [weight N [reverse|noreverse]]"),
        "vrrp_script blocks",
    )
    .later(),
    row(
        IS,
        &["track_file"],
        Takes::Lines("NAME [weight N [reverse|noreverse]]"),
        "track_file blocks",
    )
    .later(),
    row(
        IS,
        &["track_process"],
        Takes::Lines("NAME [weight N [reverse|noreverse]]"),
        "vrrp_track_process blocks",
    )
    .later(),
    row(
        IS,
        &["track_bfd"],
        Takes::Lines("NAME [weight N [reverse|noreverse]]"),
        "bfd_instance blocks",
    )
    .later(),
    row(
        IS,
        &[
            "notify_master",
            "notify_backup",
            "notify_fault",
            "notify_stop",
            "notify_deleted",
            "notify",
        ],
        Takes::Script,
        "run at a change",
    )
    .later(),
    row(I, &["notify_master_rx_lower_pri"], Takes::Script, "run when a lower one advertises")
        .later(),
    row(IS, &["notify_priority_changes", "smtp_alert"], Takes::Bool, "who is told").later(),
    row(S, &["group"], Takes::Lines("INSTANCE"), "its instances").later(),
    row(S, &["global_tracking", "sync_group_tracking_weight"], Takes::Flag, "how tracking counts")
        .later(),
    row(I, &["vrf"], Takes::Word("INTERFACE"), "the VRF").later(),
    row(I, &["use_vmac"], Takes::MaybeWords("[NAME] [MAC]"), "VRRP's own MAC address").later(),
    row(
        I,
        &[
            "use_vmac_addr",
            "vmac_xmit_base",
            "native_ipv6",
            "promote_secondaries",
            "no_virtual_ipaddress",
            "dont_track_primary",
            "track_src_ip",
            "unicast_fault_no_peer",
            "linkbeat_use_polling",
            "accept",
            "no_accept",
            "preempt",
            "nopreempt",
            "timer_expired_backup",
            "thread_timer_expired",
        ],
        Takes::Flag,
        "of this instance",
    )
    .later(),
    row(
        I,
        &["use_ipvlan"],
        Takes::MaybeWords("[NAME] [ADDRESS] [bridge|private|vepa]"),
        "an ipvlan of its own",
    )
    .later(),
    row(I, &["unicast_ttl"], Takes::Number(0, 255), "of unicast advertisements").later(),
    row(
        I,
        &[
            "check_unicast_src",
            "v3_checksum_as_v2",
            "skip_check_adv_addr",
            "strict_mode",
            "lower_prio_no_advert",
            "higher_prio_send_advert",
            "owner_ignore_adverts",
        ],
        Takes::Bool,
        "as the vrrp_ keyword of global_defs",
    )
    .later(),
    row(I, &["old_unicast_checksum"], Takes::MaybeWord("never"), "of old keepalived").later(),
    row(I, &["preempt_delay"], Takes::Seconds(0.0, 1000.0), "before a lower master is relieved")
        .later(),
    row(I, &["debug"], Takes::MaybeNumber(0, 4), "how much is logged").later(),
    row(I, &["kernel_rx_buf_size"], Takes::Number(1, U32), "bytes of a socket's buffer").later(),
    row(
        I,
        &["lvs_sync_daemon_interface"],
        Takes::Word("INTERFACE"),
        "tells the other director of connections",
    )
    .later(),
    row(
        I,
        &["garp_master_delay", "garp_lower_prio_delay", "garp_master_refresh", "vmac_garp_intvl"],
        Takes::Words("[all] SECONDS"),
        "when gratuitous ARPs are sent",
    )
    .later(),
    row(
        I,
        &["garp_master_repeat", "garp_master_refresh_repeat", "garp_lower_prio_repeat"],
        Takes::Number(0, U32),
        "how many gratuitous ARPs are sent",
    )
    .later(),
    row(I, &["garp_extra_if"], Takes::Words("[all] SECONDS"), "gratuitous ARPs of macvlans")
        .later(),
    row(
        I,
        &["down_timer_adverts"],
        Takes::Number(1, 100),
        "advertisements that may be missed; default 3",
    )
    .later(),
    row(&[VrrpScript], &["script"], Takes::Text("COMMAND"), "the program and its arguments")
        .later(),
    row(
        &[VrrpScript],
        &["interval", "timeout"],
        Takes::Seconds(0.000_001, LONG),
        "how often, how long",
    )
    .later(),
    row(
        &[VrrpScript, TrackProcess, BfdInstance],
        &["weight"],
        Takes::Words("N [reverse]"),
        "what it does to the priority; 0: a fault",
    )
    .later(),
    row(&[VrrpScript], &["rise", "fall"], Takes::Number(1, U32), "how many in a row count").later(),
    row(&[VrrpScript], &["user"], Takes::Words("USER [GROUP]"), "who runs it").later(),
    row(&[VrrpScript], &["init_fail"], Takes::Flag, "it starts as failed").later(),
    row(P, &["process"], Takes::Words("NAME [ARGUMENT ...]"), "which processes").later(),
    row(P, &["param_match"], Takes::OneOf(&["initial", "partial"]), "which arguments count")
        .later(),
    row(P, &["quorum", "quorum_max"], Takes::Number(0, U32), "how many there must be").later(),
    row(
        P,
        &["delay", "fork_delay", "terminate_delay"],
        Takes::Seconds(0.0, 3600.0),
        "before a change counts",
    )
    .later(),
    row(P, &["full_command"], Takes::Flag, "the whole command line counts").later(),
    row(B, &["neighbor_ip"], Takes::Address, "the other end"),
    row(B, &["source_ip"], Takes::Address, "this end; default the address of the route"),
    row(B, &["min_rx"], Takes::Millis(1.0, 1000.0), "the neighbor may send so often; default 10"),
    row(B, &["min_tx"], Takes::Millis(1.0, 1000.0), "this end sends so often; default 10"),
    row(
        B,
        &["idle_tx"],
        Takes::Millis(1000.0, 10000.0),
        "and so often while the session is not up; default 1000",
    ),
    row(B, &["multiplier"], Takes::Number(1, 255), "packets that may be missed; default 5"),
    row(B, &["passive"], Takes::Flag, "this end waits for the neighbor's first packet"),
    row(B, &["multihop"], Takes::Flag, "there are routers between (RFC 5883): port 4784"),
    row(B, &["vrrp", "checker"], Takes::Flag, "who follows it; default both"),
    row(B, &["ttl", "hoplimit"], Takes::Number(1, 255), "of packets that are sent; default 255"),
    row(
        B,
        &["max_hops"],
        Takes::Number(-1, 255),
        "what comes may have lost so many of ttl; default 0, -1 and 255: any number",
    ),
    row(&[TrackGroup], &["group"], Takes::Lines("INSTANCE"), "its instances").later(),
    row(
        &[GarpGroup],
        &["garp_interval", "gna_interval"],
        Takes::Seconds(0.0, 86400.0),
        "between two",
    )
    .later(),
    row(&[GarpGroup], &["interface"], Takes::Word("INTERFACE"), "on which").later(),
    row(&[GarpGroup], &["interfaces"], Takes::Lines("INTERFACE"), "on which together").later(),
];
