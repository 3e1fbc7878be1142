//! The texts of `-h` and `-v`.

/// What `-v` prints.
pub const fn version() -> &'static str {
    "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n"
}

/// What `-h` prints, for the name the tool was called by.
pub fn help(program: &str) -> String {
    let (usage, rest) = TEXT.split_once("\n\n").unwrap_or((TEXT, ""));
    format!("{}{}\n\n{rest}", version(), usage.replace("PROGRAM", program))
}

/// What `ipvsadm-save -x` prints on standard error, behind `NAME: `.
pub const SAVE_HELP: &str = "Script to save the IPVS table to stdout.\n   \
    With the -n option, prints out the table in numeric format.\n";

/// All but the first line; `PROGRAM` stands for the tool's name.
const TEXT: &str = include_str!("help.txt");
