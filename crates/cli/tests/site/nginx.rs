//! nginx, each in a namespace.

use std::fs;

use xlvs_testkit::find_program;

use super::Site;

/// Starts nginx on port 80 of a host, whose name its page says. It can be killed as one process.
pub(crate) fn start(site: &mut Site, host: &str) -> usize {
    let folder = site.lab.folder().join(format!("{host}-nginx"));
    fs::create_dir_all(&folder).unwrap();
    let at = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {at}/pid;\nerror_log stderr \
         notice;\nevents {{ }}\nhttp {{\naccess_log off;\n{temporary}server {{\nlisten \
         80;\nlocation / {{ return 200 \"{host}\\n\"; }}\n}}\n}}\n"
    );
    let config = folder.join("nginx.conf");
    fs::write(&config, text).unwrap();
    let mut command = site.command(host, &find_program("nginx").unwrap());
    command.arg("-p").arg(&folder).arg("-c").arg(&config).args(["-e", "stderr"]);
    site.start_command(host, command, "nginx", "nginx/")
}
