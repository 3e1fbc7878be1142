//! Lines of a save file.

/// The words of one line of `ipvsadm -R`'s input. White space parts them; nothing quotes, nothing
/// comments; the word `ipvsadm` is dropped, so that a script's lines may be fed in. No words: the
/// line is passed over.
pub fn words(line: &str) -> Vec<String> {
    line.split([' ', '\t', '\r', '\n'])
        .filter(|word| !word.is_empty() && *word != "ipvsadm")
        .map(str::to_owned)
        .collect()
}
