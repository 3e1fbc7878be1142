//! From what the linker wrote to what is committed: without debug sections, and refused when a
//! panic is left in it.
//!
//! Done here and not by a system's `strip`, whose version would be one more thing that the bytes
//! depend on. BTF stays: the loader and the verifier's messages use it.

use anyhow::{Context as _, Result, ensure};
use object::build::elf::{Builder, SectionData};

/// Removes the debug sections of a linked object.
pub(crate) fn strip(linked: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(linked).context("the linked object is no ELF file")?;
    for section in &builder.sections {
        ensure!(
            !section.name.as_slice().starts_with(b".text.unlikely"),
            "the object holds a panic (section .text.unlikely): the verifier refuses a function \
             without an end. Look for an index, a division or an `expect` that is not proved away"
        );
    }
    for section in &mut builder.sections {
        let name = section.name.as_slice();
        section.delete |= DROPPED.iter().any(|prefix| name.starts_with(prefix));
    }
    // The section symbols of what was deleted go with it; relocations are always against others.
    let deleted = builder
        .sections
        .iter()
        .filter(|section| section.delete && !matches!(section.data, SectionData::Symbol))
        .map(object::build::elf::Section::id)
        .collect::<Vec<_>>();
    for symbol in &mut builder.symbols {
        symbol.delete |= symbol.section.is_some_and(|section| deleted.contains(&section));
    }
    builder.delete_orphans();
    // LLVM keeps the sections' names among the symbols'; the writer wants them apart.
    if !builder.sections.iter().any(|one| matches!(one.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab".as_slice().into();
        names.sh_type = object::elf::SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("writing the stripped object")?;
    Ok(stripped)
}

/// BTF's relocations are for linkers: loaders find variables by name, and offsets of lines and
/// functions stand in BTF itself.
const DROPPED: &[&[u8]] = &[b".debug_", b".rel.debug_", b".rel.BTF", b".comment"];
