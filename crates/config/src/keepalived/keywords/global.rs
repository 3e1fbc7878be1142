//! The top level and `global_defs`.

use super::{
    Keyword, LONG, Takes, U32,
    Within::{
        self, BfdInstance, GarpGroup, Global, Instance, Service, Ssl, SyncGroup, Top, TrackFile,
        TrackGroup, TrackProcess, VrrpScript,
    },
    row,
};

const T: &[Within] = &[Top];
const G: &[Within] = &[Global];
/// Old files say these at the top, or in `global_defs`.
const BOTH: &[Within] = &[Top, Global];

pub(super) const TOP: &[Keyword] = &[
    row(T, &["global_defs"], Takes::Block("", Global), "settings of the whole"),
    row(
        T,
        &["virtual_server_group"],
        Takes::NamedLines("NAME", "ADDRESS[-LAST|/BITS] [PORT]"),
        "addresses, ranges of them and fwmarks that share their servers",
    ),
    row(
        T,
        &["virtual_server"],
        Takes::Block("ADDRESS [PORT] | fwmark N | group NAME", Service),
        "a service",
    ),
    row(T, &["SSL"], Takes::Block("", Ssl), "the client's side of TLS in SSL_GET"),
    row(
        T,
        &["track_file", "vrrp_track_file"],
        Takes::Block("NAME", TrackFile),
        "a file with a number, for FILE_CHECK and VRRP",
    ),
    row(
        T,
        &["vrrp_instance"],
        Takes::Block("NAME", Instance),
        "addresses that one of several hosts has",
    )
    .later(),
    row(T, &["vrrp_sync_group"], Takes::Block("NAME", SyncGroup), "instances that change together")
        .later(),
    row(
        T,
        &["vrrp_script"],
        Takes::Block("NAME", VrrpScript),
        "a program whose exit code instances follow",
    )
    .later(),
    row(
        T,
        &["vrrp_track_process", "track_process"],
        Takes::Block("NAME", TrackProcess),
        "processes that instances follow",
    )
    .later(),
    row(T, &["bfd_instance"], Takes::Block("NAME", BfdInstance), "a BFD session"),
    row(
        T,
        &["track_group"],
        Takes::Block("NAME", TrackGroup),
        "instances that follow static addresses",
    )
    .later(),
    row(
        T,
        &["garp_group"],
        Takes::Block("", GarpGroup),
        "how fast gratuitous ARPs may follow each other",
    )
    .later(),
    row(
        T,
        &["static_ipaddress"],
        Takes::Lines("ADDRESS/BITS [dev INTERFACE] ..."),
        "addresses that stay on this host",
    )
    .later(),
    row(T, &["static_routes"], Takes::Lines("ROUTE"), "routes that stay, as ip route add has them")
        .later(),
    row(T, &["static_rules"], Takes::Lines("RULE"), "rules that stay, as ip rule add has them")
        .later(),
    row(
        T,
        &["linkbeat_interfaces"],
        Takes::Lines("INTERFACE [MII|ETHTOOL|IOCTL]"),
        "interfaces whose link is polled",
    )
    .later(),
    row(
        T,
        &["interface_up_down_delays"],
        Takes::Lines("INTERFACE DOWN [UP]"),
        "seconds before an interface's change counts",
    )
    .later(),
    row(BOTH, &["linkbeat_use_polling"], Takes::Flag, "links are polled").later(),
    row(BOTH, &["net_namespace"], Takes::Word("NAME"), "the network namespace to run in")
        .nothing("start xlvs in the namespace: ip netns exec NAME xlvs run"),
    row(BOTH, &["net_namespace_ipvs"], Takes::Word("NAME"), "the namespace of the services")
        .nothing("the director of a namespace is the xlvs that runs in it"),
    row(BOTH, &["namespace_with_ipsets"], Takes::Flag, "ipsets with a namespace").nothing(IPTABLES),
    row(BOTH, &["use_pid_dir"], Takes::Flag, "where pid files lie")
        .nothing("xlvs keeps its own in /run/xlvs"),
    row(BOTH, &["instance"], Takes::Word("NAME"), "the name of this keepalived")
        .nothing("say it to xlvs run --instance"),
    row(BOTH, &["child_wait_time"], Takes::Number(0, 255), "seconds that children get at the end")
        .nothing(ONE_PROCESS),
];

pub(super) const GLOBAL: &[Keyword] = &[
    row(G, &["process_names"], Takes::Flag, "names of the processes").nothing(ONE_PROCESS),
    row(
        G,
        &[
            "process_name",
            "vrrp_process_name",
            "checker_process_name",
            "lvs_process_name",
            "bfd_process_name",
        ],
        Takes::MaybeWord("NAME"),
        "a process's name",
    )
    .nothing(ONE_PROCESS),
    row(G, &["use_symlink_paths"], Takes::Bool, "scripts keep the path they were named by")
        .nothing("xlvs runs a script by the path that is written"),
    row(G, &["set_supplementary_groups"], Takes::Bool, "scripts get their user's further groups"),
    row(G, &["router_id"], Takes::Text("NAME"), "this host's name in mails"),
    row(G, &["notification_email"], Takes::Lines("ADDRESS"), "who gets mails"),
    row(G, &["notification_email_from"], Takes::Text("ADDRESS"), "who they are from"),
    row(G, &["smtp_server"], Takes::Words("HOST [PORT]"), "where mails are delivered"),
    row(G, &["smtp_helo_name"], Takes::Text("NAME"), "the name in HELO"),
    row(
        G,
        &["smtp_connect_timeout"],
        Takes::Seconds(0.000_001, LONG),
        "how long mails may take; default 30",
    ),
    row(G, &["smtp_alert"], Takes::Bool, "mails by default"),
    row(G, &["smtp_alert_checker"], Takes::Bool, "mails of services and servers by default"),
    row(G, &["smtp_alert_vrrp"], Takes::Bool, "mails of instances by default").later(),
    row(G, &["no_email_faults"], Takes::Flag, "no mails of faults").later(),
    row(G, &["no_checker_emails"], Takes::Flag, "no mails of services and servers"),
    row(G, &["checker_log_all_failures"], Takes::Bool, "logs also failures that a retry may mend"),
    row(G, &["startup_script"], Takes::Script, "run before anything else"),
    row(
        G,
        &["startup_script_timeout"],
        Takes::Number(1, 1000),
        "seconds that it may take; default 10",
    ),
    row(G, &["shutdown_script"], Takes::Script, "run after everything else"),
    row(
        G,
        &["shutdown_script_timeout"],
        Takes::Number(1, 1000),
        "seconds that it may take; default 10",
    ),
    row(G, &["script_user"], Takes::Words("USER [GROUP]"), "who runs scripts that name nobody"),
    row(G, &["enable_script_security"], Takes::Flag, "root runs no script that others may change"),
    row(
        G,
        &["lvs_timeouts"],
        Takes::Words("[tcp N] [tcpfin N] [udp N]"),
        "idle timeouts of connections, in seconds",
    ),
    row(G, &["lvs_flush"], Takes::Flag, "services of others are deleted at the start"),
    row(
        G,
        &["lvs_flush_on_stop", "lvs_flush_onstop"],
        Takes::MaybeWord("VS"),
        "services are deleted at the end",
    ),
    row(
        G,
        &["lvs_sync_daemon", "lvs_sync_daemon_interface"],
        Takes::Words(
            "INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]",
        ),
        "tells another director of connections",
    )
    .nothing(NOT_YET),
    row(
        G,
        &["notify_fifo", "lvs_notify_fifo"],
        Takes::Words("PATH [USER [GROUP]]"),
        "changes are written to this FIFO",
    )
    .nothing(NOT_YET),
    row(G, &["notify_fifo_script", "lvs_notify_fifo_script"], Takes::Script, "reads the FIFO")
        .nothing(NOT_YET),
    row(
        G,
        &["rs_init_notifies"],
        Takes::Flag,
        "notify_up and notify_down are run at the start too",
    ),
    row(
        G,
        &["vrrp_notify_fifo"],
        Takes::Words("PATH [USER [GROUP]]"),
        "changes of instances are written to this FIFO",
    )
    .later(),
    row(G, &["vrrp_notify_fifo_script"], Takes::Script, "reads it").later(),
    row(
        G,
        &["fifo_write_vrrp_states_on_reload"],
        Takes::Flag,
        "states are written again when the file is read again",
    )
    .later(),
    row(G, &["random_seed"], Takes::Number(0, U32), "makes ${_RANDOM} the same each time")
        .nothing("${_RANDOM} is xlvs's own"),
    row(G, &["umask"], Takes::Words("BITS"), "of files that are made")
        .nothing("the unit file has UMask"),
    row(
        G,
        &["max_auto_priority"],
        Takes::MaybeNumber(-1, 99),
        "the priority rises when the host is busy",
    )
    .nothing(UNIT),
    row(G, &["min_auto_priority_delay"], Takes::Number(1, 10_000_000), "microseconds")
        .nothing(UNIT),
    row(
        G,
        &["checker_priority", "vrrp_priority", "bfd_priority"],
        Takes::Number(-20, 19),
        "a process's nice value",
    )
    .nothing(UNIT),
    row(
        G,
        &["checker_rt_priority", "vrrp_rt_priority", "bfd_rt_priority"],
        Takes::Number(1, 99),
        "a process's real-time priority",
    )
    .nothing(UNIT),
    row(
        G,
        &["checker_cpu_affinity", "vrrp_cpu_affinity", "bfd_cpu_affinity"],
        Takes::Words("CPU ..."),
        "a process's CPUs",
    )
    .nothing(UNIT),
    row(
        G,
        &[
            "checker_rlimit_rttime",
            "vrrp_rlimit_rttime",
            "bfd_rlimit_rttime",
            "checker_rlimit_rtime",
            "vrrp_rlimit_rtime",
            "bfd_rlimit_rtime",
        ],
        Takes::Number(2, U32),
        "microseconds of real-time priority",
    )
    .nothing(UNIT),
    row(
        G,
        &["checker_no_swap", "vrrp_no_swap", "bfd_no_swap"],
        Takes::Flag,
        "a process stays in memory",
    )
    .nothing(UNIT),
    row(
        G,
        &[
            "lvs_netlink_cmd_rcv_bufs",
            "lvs_netlink_monitor_rcv_bufs",
            "vrrp_netlink_cmd_rcv_bufs",
            "vrrp_netlink_monitor_rcv_bufs",
            "process_monitor_rcv_bufs",
        ],
        Takes::Number(1, U32),
        "bytes of a socket's buffer",
    )
    .nothing(BUFFERS),
    row(
        G,
        &[
            "lvs_netlink_cmd_rcv_bufs_force",
            "lvs_netlink_monitor_rcv_bufs_force",
            "vrrp_netlink_cmd_rcv_bufs_force",
            "vrrp_netlink_monitor_rcv_bufs_force",
            "process_monitor_rcv_bufs_force",
        ],
        Takes::Bool,
        "the limit of the system does not count",
    )
    .nothing(BUFFERS),
    row(G, &["vrrp_rx_bufs_policy"], Takes::MaybeWord("MTU|ADVERT|N"), "of a socket's buffer")
        .nothing(BUFFERS),
    row(G, &["vrrp_rx_bufs_multiplier"], Takes::Number(1, U32), "of a socket's buffer")
        .nothing(BUFFERS),
    row(G, &["snmp_socket"], Takes::Text("SOCKET"), "of the SNMP master").nothing(SNMP),
    row(
        G,
        &[
            "enable_traps",
            "enable_snmp_vrrp",
            "enable_snmp_keepalived",
            "enable_snmp_checker",
            "enable_snmp_rfc",
            "enable_snmp_rfcv2",
            "enable_snmp_rfcv3",
        ],
        Takes::Flag,
        "SNMP",
    )
    .nothing(SNMP),
    row(
        G,
        &["snmp_vs_stats_update_interval", "snmp_rs_stats_update_interval"],
        Takes::Seconds(0.001, LONG),
        "how old SNMP's counters may be",
    )
    .nothing(SNMP),
    row(G, &["enable_dbus"], Takes::Flag, "D-Bus").nothing(DBUS),
    row(G, &["dbus_service_name"], Takes::Word("NAME"), "D-Bus").nothing(DBUS),
    row(G, &["dbus_no_interface_name"], Takes::MaybeWord("NAME"), "D-Bus").nothing(DBUS),
    row(G, &["reload_check_config"], Takes::MaybeWord("FILE"), "a broken file is not read again")
        .nothing("xlvs never puts a broken file in force"),
    row(G, &["reload_time_file"], Takes::Word("FILE"), "when the file is read again")
        .nothing(RELOAD),
    row(G, &["reload_repeat"], Takes::Flag, "and again").nothing(RELOAD),
    row(G, &["reload_file"], Takes::MaybeWord("FILE"), "marks a running reload").nothing(RELOAD),
    row(
        G,
        &["include_check"],
        Takes::MaybeWords("readable|match|wildcard_match|brace_match ..."),
        "what a missing file of an include is",
    )
    .nothing("a named file that is missing is an error, a pattern without a match a warning"),
    row(
        G,
        &["config_save_dir", "tmp_config_directory"],
        Takes::Word("DIR"),
        "where files are kept",
    )
    .nothing("xlvs keeps no copies of the file"),
    row(G, &["data_use_instance"], Takes::Bool, "names of dump files").nothing(DUMP),
    row(G, &["json_version"], Takes::Number(1, 2), "of the JSON dump").nothing(DUMP),
    row(
        G,
        &["state_dump_file", "stats_dump_file", "json_dump_file"],
        Takes::Word("FILE"),
        "where a signal dumps",
    )
    .nothing(DUMP),
    row(
        G,
        &["iproute_usr_dir", "iproute_etc_dir"],
        Takes::Word("DIR"),
        "where names of tables are looked up",
    )
    .later(),
    row(
        G,
        &["nftables"],
        Takes::MaybeWord("TABLE"),
        "nftables for addresses that are not to answer",
    )
    .later(),
    row(G, &["nftables_priority"], Takes::Number(-2_147_483_648, 2_147_483_647), "of its chains")
        .later(),
    row(G, &["nftables_counters", "nftables_ifindex"], Takes::Flag, "of its rules").later(),
    row(G, &["nftables_ipvs"], Takes::MaybeWord("TABLE"), "groups by one mark")
        .nothing("xlvs looks a service up in one step, however many a group has"),
    row(
        G,
        &["nftables_ipvs_priority"],
        Takes::Number(-2_147_483_648, 2_147_483_647),
        "of its chains",
    )
    .nothing("see nftables_ipvs"),
    row(G, &["nftables_ipvs_start_fwmark"], Takes::Number(1, U32), "the first mark")
        .nothing("see nftables_ipvs"),
    row(
        G,
        &["vrrp_iptables"],
        Takes::MaybeWords("[IN [OUT]]"),
        "iptables for addresses that are not to answer",
    )
    .later(),
    row(G, &["vrrp_ipsets"], Takes::MaybeWords("[NAME ...]"), "ipsets for the same").later(),
    row(G, &["disable_local_igmp"], Takes::Flag, "no IGMP joins").later(),
    row(
        G,
        &["dynamic_interfaces"],
        Takes::MaybeWord("allow_if_changes"),
        "interfaces may come later",
    )
    .later(),
    row(G, &["default_interface"], Takes::Word("INTERFACE"), "of static addresses; default eth0")
        .later(),
    row(G, &["v3_checksum_as_v2"], Takes::Bool, "of advertisements").later(),
    row(G, &["vrrp_mcast_group4", "vrrp_mcast_group6"], Takes::Address, "where advertisements go")
        .later(),
    row(
        G,
        &[
            "vrrp_garp_master_delay",
            "vrrp_garp_lower_prio_delay",
            "vrrp_garp_master_refresh",
            "vrrp_garp_interval",
            "vrrp_gna_interval",
            "vrrp_vmac_garp_intvl",
        ],
        Takes::Seconds(0.0, 86400.0),
        "when gratuitous ARPs are sent",
    )
    .later(),
    row(
        G,
        &[
            "vrrp_garp_master_repeat",
            "vrrp_garp_master_refresh_repeat",
            "vrrp_garp_lower_prio_repeat",
        ],
        Takes::Number(0, U32),
        "how many gratuitous ARPs are sent",
    )
    .later(),
    row(G, &["vrrp_garp_extra_if"], Takes::Words("[all] SECONDS"), "gratuitous ARPs of macvlans")
        .later(),
    row(
        G,
        &["vrrp_down_timer_adverts"],
        Takes::Number(1, 100),
        "advertisements that may be missed; default 3",
    )
    .later(),
    row(G, &["vrrp_version"], Takes::Number(2, 3), "of instances; default 2").later(),
    row(
        G,
        &["vrrp_startup_delay", "vrrp_delay_after_boot"],
        Takes::Seconds(0.0, 1200.0),
        "before instances start",
    )
    .later(),
    row(
        G,
        &[
            "vrrp_owner_ignore_adverts",
            "vrrp_min_garp",
            "vrrp_lower_prio_no_advert",
            "vrrp_higher_prio_send_advert",
            "vrrp_notify_priority_changes",
            "vrrp_check_unicast_src",
            "vrrp_skip_check_adv_addr",
            "vrrp_strict",
        ],
        Takes::Bool,
        "a default of instances",
    )
    .later(),
    row(G, &["log_unknown_vrids"], Takes::Flag, "logs advertisements of strangers").later(),
    row(G, &["vmac_prefix", "vmac_addr_prefix"], Takes::Word("PREFIX"), "names of macvlans")
        .later(),
];

const ONE_PROCESS: &str = "xlvs is one process";
const UNIT: &str = "the unit file has Nice, CPUSchedulingPolicy, CPUAffinity and the like";
const BUFFERS: &str = "xlvs sizes its buffers itself";
const SNMP: &str = "xlvs does not speak SNMP; it has a Prometheus endpoint";
const DBUS: &str = "xlvs does not speak D-Bus; it has an API on a socket";
const RELOAD: &str = "xlvs reads the file again on SIGHUP or xlvs apply";
const DUMP: &str = "xlvs shows its state with xlvs status, service and server";
const IPTABLES: &str = "xlvs makes no ipsets";

/// It is read and kept.
const NOT_YET: &str = "xlvs does not do this yet";
