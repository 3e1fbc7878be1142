//! Which libraries a program asks its system for, read from the program itself.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _};

/// The newest version of the C library that the program names: `2.34`.
pub(super) fn glibc(program: &Path) -> Result<String> {
    let data = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    let data = data.as_slice();
    let header = elf::FileHeader64::<object::Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let mut newest = None;
    for section in sections.iter() {
        let Some((mut libraries, strings)) = section.gnu_verneed(endian, data)? else { continue };
        let strings = sections.strings(endian, data, strings)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                let name = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
                newest = newest.max(name.strip_prefix("GLIBC_").and_then(parts));
            }
        }
    }
    let (major, minor) = newest.context("the program names no version of the C library")?;
    Ok(format!("{major}.{minor}"))
}

/// Numbers, so that 2.34 is newer than 2.4.
fn parts(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        let rows = [
            ("2.34", Some((2, 34)), "two numbers"),
            ("2.2.5", Some((2, 2)), "the third never decides"),
            ("PRIVATE", None, "no number"),
        ];
        for (version, expected, sentence) in rows {
            assert_eq!(parts(version), expected, "{sentence}");
        }
        assert!(parts("2.34") > parts("2.4"));
    }

    #[test]
    fn this_test_names_one() {
        let own = std::env::current_exe().expect("a running program has a path");
        let version = glibc(&own).expect("it was linked to the C library");
        assert!(version.starts_with("2."), "{version}");
    }
}
