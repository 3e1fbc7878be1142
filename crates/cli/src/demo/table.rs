//! Reads what `ipvsadm -Ln` prints, as a person does.

/// One line `-> ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// `172.16.0.114:2100`.
    pub(super) server: String,
    /// `Route`, `Masq`, `Tunnel`.
    pub(super) method: String,
    pub(super) weight: u32,
    pub(super) active: u32,
}

/// The servers in a listing.
pub(super) fn rows(listing: &str) -> Vec<Row> {
    listing.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let words: Vec<_> = line.split_whitespace().collect();
    let ["->", server, method, weight, active, _inactive] = words[..] else { return None };
    let (weight, active) = (weight.parse().ok()?, active.parse().ok()?);
    Some(Row { server: server.to_owned(), method: method.to_owned(), weight, active })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let listing = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  172.16.0.113:2100 wrr
  -> 172.16.0.114:2100            Route   1      3          12
  -> 172.16.0.115:2100            Masq    0      0          0         ";
        let row = |server: &str, method: &str, weight, active| Row {
            server: server.to_owned(),
            method: method.to_owned(),
            weight,
            active,
        };
        let expected =
            [row("172.16.0.114:2100", "Route", 1, 3), row("172.16.0.115:2100", "Masq", 0, 0)];
        assert_eq!(rows(listing), expected);
    }
}
